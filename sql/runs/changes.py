"""What is done to a run after it was loaded: its settings are changed, leads are added, leads are called again as a new run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sql.audit.audit import CURRENT_ADDRESS
from sql.commands.requests import answer_request
from sql.runs.lead_rows import rows_of_leads
from sql.runs.load_reports import keep_load
from sql.runs.new_run import TEXT, insert_run, load, numbered, receive, started

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sql.pool import Connection, Pool
    from sql.runs.load_reports import ListReport
    from sql.runs.new_lead import NewLead
    from sql.runs.new_run import NewRun, Request


class EndedRunError(Exception):
    """The run has ended, is being cancelled, or is being filled by an operation: nothing can be added to it."""


class NoSuchLeadsError(Exception):
    """No lead of the run has such an outcome."""


class UnknownVariableError(Exception):
    """The script needs a variable that no lead has, whose key is the only argument."""


@dataclass(frozen=True, slots=True)
class KnownLead:
    """A lead to be added that the run has already: `same_as` is the lead_id there, `by` lead or phone."""

    same_as: int | str
    by: str


@dataclass(frozen=True, slots=True)
class Addition:
    """Leads for a run. `answer` makes the answer besides the run's status and its new total, of the leads that were known, by their index.

    `kept` makes of the same what is kept with the run.

    `is_numbered`: the leads have no ids, but the numbers of their rows; they are numbered behind those of the run.
    """

    business_id: int
    run_id: int
    leads: Sequence[NewLead]
    answer: Callable[[Mapping[int, KnownLead]], dict[str, Any]]
    kept: Callable[[Mapping[int, KnownLead]], ListReport] | None = None
    is_numbered: bool = False


class RunChanges:
    """The changes of the runs of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def change(
        self, business_id: int, run_id: int, changes: Mapping[str, Any], actor: str, loosens: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Change a run; return `code`, empty on success, and the `partition` of its business: sql/runs/change_settings_v1.sql.

        Raises:
            RowLockedError: when another session holds the business or the run.
        """
        values = business_id, run_id, dict(changes), actor, list(loosens), CURRENT_ADDRESS.get()
        answer: dict[str, Any] = await self._pool.fetchval(TEXT["change"], *values)
        return answer

    async def add(self, addition: Addition, request: Request) -> tuple[dict[str, Any], bool]:
        """Add leads to a run that has not ended; return the answer, and whether it answers a repeated request.

        Raises:
            IdReusedError: when the id was used before with another digest.
            EndedRunError: when the run has ended.
            DatabaseUnavailableError: when it failed or its answer was lost; retrying the same request is harmless.
        """
        business_id, run_id = addition.business_id, addition.run_id
        leads = await numbered(self._pool, business_id, addition.leads)
        async with self._pool.acquire() as connection, connection.transaction():
            repeated = await receive(connection, business_id, request)
            if repeated is not None:
                return repeated, True
            await connection.execute(TEXT["one_addition"], run_id)
            if addition.is_numbered:
                leads = await _behind(connection, business_id, run_id, leads)
            known = await _known(connection, business_id, run_id, leads)
            report = addition.answer(known)
            new = [lead for n, lead in enumerate(leads) if n not in known]
            last = await connection.fetchval(TEXT["last_position"], business_id, run_id)
            rows = await asyncio.to_thread(rows_of_leads, new, after=last)
            await load(connection, business_id, run_id, rows)
            addition_values = business_id, run_id, len(new), *rows.zones, request.requested_by, CURRENT_ADDRESS.get()
            counted = await connection.fetchval(TEXT["count_addition"], *addition_values)
            if counted is None:
                raise EndedRunError
            if addition.kept:
                kept = await asyncio.to_thread(addition.kept, known)
                await keep_load(connection, business_id, run_id, kept, request.requested_by)
            answer = {"run_id": run_id, **report, "status": counted["status"], "total_leads": counted["total_leads"]}
            return await answer_request(connection, business_id, request.id, answer), False

    async def again(
        self, source_id: int, outcomes: Sequence[str], new: NewRun, request: Request, variables: frozenset[str] = frozenset()
    ) -> tuple[dict[str, Any], bool]:
        """Load a run with the leads of another whose last call ended in one of `outcomes`; the answer is that of `Runs.create`.

        `variables` are the keys of those that its script needs.

        Raises:
            IdReusedError: when the id was used before with another digest.
            NoSuchLeadsError: when there is no such lead.
            UnknownVariableError: when no lead has one of the variables.
            DatabaseUnavailableError: when it failed or its answer was lost; retrying the same request is harmless.
        """
        business_id = new.business_id
        async with self._pool.acquire() as connection, connection.transaction():
            repeated = await receive(connection, business_id, request)
            if repeated is not None:
                return repeated, True
            lineage = await connection.fetchval(TEXT["lineage"], business_id, source_id)
            run_id = await insert_run(connection, replace(new, ancestors=lineage), request)
            copied = await connection.fetchval(TEXT["copy_leads"], business_id, source_id, run_id, list(outcomes))
            if not copied:
                raise NoSuchLeadsError
            if variables:
                await _require(connection, business_id, run_id, variables)
            status = await started(connection, new, run_id, request)
            answer = {"run_id": run_id, "status": status, **request.answer, "total_leads": copied, "accepted": copied}
            return await answer_request(connection, business_id, request.id, answer), False


async def _require(connection: Connection, business_id: int, run_id: int, variables: frozenset[str]) -> None:
    known = await connection.fetch(TEXT["known_variables"], business_id, run_id, list(variables))
    unknown = variables - {row["name"] for row in known}
    if unknown:
        raise UnknownVariableError(min(unknown))


async def _behind(connection: Connection, business_id: int, run_id: int, leads: Sequence[NewLead]) -> Sequence[NewLead]:
    """The leads numbered behind the highest lead_id of the run: the rows of another table have the same numbers as those of the first."""
    highest = await connection.fetchval(TEXT["highest_lead"], business_id, run_id)
    return [replace(lead, lead_id=highest + (lead.lead_id or 0)) for lead in leads]


async def _known(connection: Connection, business_id: int, run_id: int, leads: Sequence[NewLead]) -> dict[int, KnownLead]:
    """The leads that the run has already, by their index."""
    rows = await connection.fetch(
        TEXT["known_leads"], business_id, run_id, [lead.lead_id for lead in leads], [lead.phone for lead in leads]
    )
    ids = {row["lead_id"]: row["shown"] for row in rows}
    phones = {row["phone"]: row["shown"] for row in rows}
    known: dict[int, KnownLead] = {}
    for n, lead in enumerate(leads):
        if lead.lead_id in ids:
            known[n] = KnownLead(ids[lead.lead_id], "lead")
        elif lead.phone in phones:
            known[n] = KnownLead(phones[lead.phone], "phone")
    return known
