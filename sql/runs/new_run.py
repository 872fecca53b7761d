"""Loads a run with its leads: the steps of one transaction, which locks the lane only in its last one, to start the run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from dialer.messages import Command, CommandType
from dialer.model import RunStatus
from sql.audit.audit import CURRENT_ADDRESS
from sql.audit.audit import TEXT as AUDIT_TEXT
from sql.commands.commands import TEXT as COMMAND_TEXT
from sql.commands.requests import receive_request
from sql.runs.lead_rows import JOB_COLUMNS, VARIABLE_COLUMNS, with_numbers
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from datetime import datetime

    from sql.pool import Connection, Pool
    from sql.runs.lead_rows import LeadRows
    from sql.runs.load_reports import ListReport
    from sql.runs.new_lead import NewLead


TEXT = statements("runs")
# While they are encoded for PostgreSQL, the event loop does nothing else.
IDS_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be loaded. `concurrency` is how many of the business's calls it may hold at once."""

    business_id: int
    name: str | None
    concurrency: int
    leads: Sequence[NewLead] | LeadRows
    start: bool = False
    priority: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    created_by_user_id: int | None = None
    schedule_at: datetime | None = None
    # The runs whose leads it calls again, the oldest first.
    ancestors: Sequence[int] = ()
    # The rules of the business that it loosens, for the audit log.
    loosens: Sequence[str] = ()
    # What became of the list, to be kept with the run.
    report: ListReport | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """The HTTP request that loads leads: `id` from its Idempotency-Key, or new; `answer` is the answer besides run_id and status."""

    id: str
    digest: bytes
    requested_by: str
    answer: dict[str, Any]
    type: str = "run.create"


async def numbered(pool: Pool, business_id: int, leads: Sequence[NewLead]) -> Sequence[NewLead]:
    """The leads, those whose id is a text with the number that it has, or gets, in this business."""
    numbers = await numbers_of(pool, business_id, [lead.external_id for lead in leads if lead.external_id is not None])
    return [lead if lead.external_id is None else replace(lead, lead_id=numbers[lead.external_id]) for lead in leads]


async def numbers_of(pool: Pool, business_id: int, external_ids: Sequence[str]) -> dict[str, int]:
    """The numbers that these ids have, or get, in this business."""
    numbers: dict[str, int] = {}
    for start in range(0, len(external_ids), IDS_AT_ONCE):
        part = external_ids[start : start + IDS_AT_ONCE]
        await pool.execute(TEXT["number_leads"], business_id, part)
        rows = await pool.fetch(TEXT["lead_numbers"], business_id, part)
        numbers |= {row["external_id"]: row["lead_id"] for row in rows}
    return numbers


async def receive(connection: Connection, business_id: int, request: Request) -> dict[str, Any] | None:
    """Note a request that loads leads, in the transaction that does; return its answer if it is a repeat.

    Raises:
        IdReusedError: when the id was used before with another digest.
    """
    await connection.execute(TEXT["lock_timeout_while_loading"])
    return await receive_request(
        connection, business_id, request_id=request.id, digest=request.digest, kind=request.type, requested_by=request.requested_by
    )


async def insert_run(connection: Connection, new: NewRun, request: Request) -> int:
    """Add the row of a run, and return its id; its leads are counted, and their rows are for the caller to add."""
    run_id: int = await connection.fetchval(
        TEXT["insert"],
        new.business_id,
        new.name,
        new.concurrency,
        len(new.leads),
        new.priority,
        new.settings,
        new.created_by_user_id,
        new.schedule_at,
        list(new.ancestors),
    )
    detail: dict[str, Any] = {"command_id": request.id, "name": new.name}
    if new.leads:
        detail |= {"leads": len(new.leads)}
    if new.ancestors:
        detail |= {"of": new.ancestors[-1]}
    if new.loosens:
        detail |= {"settings": new.settings, "loosens": list(new.loosens)}
    entry = new.business_id, request.requested_by, request.type, run_id, detail, CURRENT_ADDRESS.get()
    await connection.execute(AUDIT_TEXT["write"], *entry)
    return run_id


async def load(connection: Connection, business_id: int, run_id: int, leads: LeadRows, numbers: Mapping[str, int] | None = None) -> None:
    """Add the rows of leads; the ranges of their zones are for the caller to add. `numbers` are those of ids that are texts."""
    own = b"\t%d\t%d\n" % (run_id, business_id)
    jobs = with_numbers(leads.jobs(), numbers) if numbers else leads.jobs()
    for schema, table, columns, parts in (
        ("public", "outbound_call_jobs", JOB_COLUMNS, jobs),
        ("dialer", "lead_variables", VARIABLE_COLUMNS, leads.variables()),
    ):
        first = await asyncio.to_thread(next, parts, b"")
        if first:
            source, names = _owned(first, parts, own), [*columns, "run_id", "business_id"]
            await connection.copy_to_table(table, schema_name=schema, columns=names, source=source, format="text")


async def _owned(first: bytes, parts: Iterator[bytes], own: bytes) -> AsyncIterator[bytes]:
    """The parts, each row with the ids of its run and its business behind it: an end of line within a text is written otherwise."""
    part = first
    while part:
        yield part.replace(b"\n", own)
        part = await asyncio.to_thread(next, parts, b"")


async def started(connection: Connection, new: NewRun, run_id: int, request: Request) -> RunStatus:
    """Start a run that was just loaded, if that was asked for; return its status."""
    if not new.start:
        return RunStatus.PENDING
    command = Command(new.business_id, f"{request.id}:start", CommandType.START, run_id, requested_by=request.requested_by)
    found = await connection.fetchval(
        COMMAND_TEXT["command"],
        new.business_id,
        command.id,
        command.digest,
        command.type,
        run_id,
        None,
        command.hang_up,
        command.requested_by,
        command.keep_seconds,
        CURRENT_ADDRESS.get(),
    )
    return RunStatus(found["status"])
