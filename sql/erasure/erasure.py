"""Erases a business, or one person in it, in steps of some pages; what must be kept is kept as proofs (docs/erasure.md)."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sql.audit.audit import CURRENT_ADDRESS
from sql.erasure.export import OPEN_STATUSES, Export, person_of
from sql.erasure.walk import ABOUT, ATTEMPTS, JOBS, TEXT, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sql.erasure.walk import Person, Table
    from sql.pool import Pool

    # Called with the name of a table, how many of its pages are done, how many there are, and the rows erased so far.
    Progress: TypeAlias = Callable[[str, int, int, int], None]

# What outlives a business.
KEPT: Final = frozenset({"dialer.erasures", "dialer.proofs"})
# Of a person these are treated in their own way, before or after the others.
APART: Final = frozenset({JOBS, "dialer.audit_log", "dialer.do_not_call", "dialer.lead_numbers"})
NUMBERS: Final = "dialer.do_not_call"
# A row that was changed meanwhile may have moved to where the walk has been.
MAX_PASSES: Final = 5


@dataclass(frozen=True, slots=True)
class ProofRules:
    """Under which key proofs are made, and for how many days they are kept; 0: none is made."""

    key: bytes
    days: int


@dataclass(frozen=True, slots=True)
class Proof:
    """What is kept of an erased call, or of an erased entry of the do-not-call list (`kind`)."""

    kind: str
    at: datetime
    sid: str | None
    outcome: str | None
    duration: int | None
    kept_until: datetime


@dataclass(frozen=True, slots=True)
class Obstacles:
    """What must be over first: runs of a business, or leads of a person, and calls in progress."""

    runs: Sequence[int] = ()
    calls: int = 0
    jobs: Sequence[int] = ()

    def __bool__(self) -> bool:
        return bool(self.runs or self.calls or self.jobs)


class Erasure:
    """Everything about one business, in PostgreSQL."""

    def __init__(self, pool: Pool, business_id: int, rules: ProofRules, progress: Progress) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool
        self._business_id = business_id
        self._rules = rules
        self._progress = progress

    async def lacking(self) -> list[str]:
        """The tables from which this role may not delete, but an erasure has to."""
        names = [table.name for table in await tables(self._pool) if table.name not in KEPT]
        lacking: list[str] = await self._pool.fetchval(TEXT["lacking"], names)
        return lacking

    async def begin(self, actor: str) -> Obstacles | None:
        """Stop the business for good, unless there are obstacles; None when there never was such a business.

        Raises:
            RowLockedError: when another session has locked one of its rows; nothing is done then.
        """
        found = await self._pool.fetchval(TEXT["begin"], self._business_id, actor)
        return None if found is None else Obstacles(found["runs"], found["calls"])

    async def business(self, actor: str) -> dict[str, int]:
        """Erase all of it, after `begin`; return how many rows of each table. It can be repeated after it was interrupted.

        Raises:
            RowLockedError: when another session has locked a row; call it again.
        """
        counts: Counter[str] = Counter()
        for _ in range(MAX_PASSES):
            erased = Counter({table.name: await self._walk(table, None) for table in await tables(self._pool) if table.name not in KEPT})
            counts += erased
            if not erased.total():
                break
        result = dict(counts)
        await self._pool.fetchrow(TEXT["end"], self._business_id, actor, result, CURRENT_ADDRESS.get())
        return result

    async def person(self, phone: str, actor: str) -> tuple[Person, dict[str, Any], Obstacles]:
        """Erase one person: the ids that the rows had, how many rows of each table were erased, and the obstacles.

        With obstacles nothing is erased. The entry of the do-not-call list stays, without its reason: else the person is called again.

        Raises:
            RowLockedError: when another session has locked a row; call it again.
        """
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ABOUT}
        async for name, texts in Export(self._pool).rows(self._business_id, phone):
            rows[name] += map(json.loads, texts)
        person = person_of(phone, rows[JOBS], rows[ATTEMPTS])
        waiting = [job["id"] for job in rows[JOBS] if job["status"] in OPEN_STATUSES]
        live = sum(attempt["ended_at"] is None for attempt in rows[ATTEMPTS])
        if waiting or live:
            return person, {}, Obstacles(jobs=waiting, calls=live)
        counts: Counter[str] = Counter()
        # Leads are found by the number, everything else by the ids of leads and attempts: these go last, should this be interrupted.
        for table in sorted(await tables(self._pool), key=lambda table: table.name == ATTEMPTS):
            if table.name in ABOUT and table.name not in APART:
                counts[table.name] += await self._walk(table, person)
            elif table.name == "dialer.audit_log":
                for begin, end in table.spans():
                    await self._pool.execute(TEXT["mask_audit"], self._business_id, person.argument, begin, end)
        for job in rows[JOBS]:
            if not await self._pool.fetchval(TEXT["erase_lead"], self._business_id, job["id"]):
                return person, dict(counts), Obstacles(jobs=[job["id"]])
            counts[JOBS] += 1
        await self._pool.execute(TEXT["forget_reasons"], self._business_id, phone)
        await self._pool.execute(TEXT["erase_lead_numbers"], self._business_id, list(person.externals))
        result = {name: n for name, n in counts.items() if n}
        detail = {"rows": result, "jobs": [int(job) for job in person.jobs]}
        await self._pool.execute(TEXT["note_person"], self._business_id, actor, detail, CURRENT_ADDRESS.get())
        return person, result, Obstacles()

    async def _walk(self, table: Table, person: Person | None) -> int:
        own = {ATTEMPTS: TEXT["erase_attempts"], NUMBERS: TEXT["erase_numbers"]}.get(table.name)
        more = (self._rules.key, self._rules.days) if own else ()
        about, erased = person.argument if person else None, 0
        for number, (begin, end) in enumerate(table.spans()):
            erased += await self._pool.fetchval(own or table.delete_statement, self._business_id, about, begin, end, *more)
            self._progress(table.name, number, table.pages, erased)
        return erased


async def proofs(pool: Pool, business_id: int, keys: Sequence[bytes], phone: str) -> list[Proof]:
    """What is kept of erased calls to a number, and of its entry in the do-not-call list, made under any of the keys; the oldest first."""
    return [Proof(**row) for row in await pool.fetch(TEXT["proofs"], business_id, list(keys), phone)]


async def described(pool: Pool, business_id: int) -> tuple[str, list[str]] | None:
    """The name of a business and the sids of its own provider accounts; None when it is not there, or not any more."""
    row = await pool.fetchrow(TEXT["business"], business_id)
    return None if row is None else (row["name"], row["accounts"])
