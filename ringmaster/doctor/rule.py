"""A check of the database that is one statement: how many rows are wrong, which, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringmaster.doctor.finding import Finding, Status
from sql.errors import FAILED, NOT_MIGRATED
from sql.unusable import why_unusable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ringmaster.doctor.finding import Findings
    from sql.diagnosis.diagnosis import Diagnosis

UNREAD = "grant this role what the check `privileges` names, or ask again when PostgreSQL has less to do"


@dataclass(frozen=True, slots=True)
class Rule:
    """`name` is that of the check, and of its statement in sql/diagnosis/queries.sql unless `statement` names another.

    The statement gets `values`; its `found` is 0 when all is well, and NULL when another check says it already. The texts name columns of
    its row in braces. `reads` is what it reads.
    """

    name: str
    status: Status
    reads: str
    good: str
    bad: str
    remedy: str
    values: tuple[object, ...] = ()
    statement: str = ""


async def follow(diagnosis: Diagnosis, database_url: str, rules: Iterable[Rule]) -> Findings:
    """The findings of these rules, one after the other."""
    for rule in rules:
        found = await _apply(diagnosis, database_url, rule)
        if found is not None:
            yield found


async def _apply(diagnosis: Diagnosis, database_url: str, rule: Rule) -> Finding | None:
    try:
        row = await diagnosis.ask(rule.statement or rule.name, *rule.values)
    except NOT_MIGRATED:
        return None  # the check of the migrations says so
    except FAILED as error:
        detail = f"reading {rule.reads}: {why_unusable(error, database_url)}"
        return Finding(rule.name, Status.WARN, detail, UNREAD)
    if row.get("found") is None:
        return None
    if not row["found"]:
        return Finding(rule.name, Status.OK, rule.good.format_map(row))
    return Finding(rule.name, rule.status, rule.bad.format_map(row), rule.remedy.format_map(row))
