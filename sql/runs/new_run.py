"""Loads a run with its leads: the steps of one transaction, which locks the lane only in its last one, to start the run."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from dialer.messages import Command, CommandType
from dialer.model import RunStatus
from dialer.scripts.texts import lead_values
from sql.audit.audit import CURRENT_ADDRESS
from sql.audit.audit import TEXT as AUDIT_TEXT
from sql.commands.commands import TEXT as COMMAND_TEXT
from sql.commands.requests import receive_request
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sql.pool import Connection, Pool
    from sql.runs.load_reports import ListReport

    # Zone keys, and the first and the last position of each.
    ZoneRanges = tuple[list[str], list[int], list[int]]

TEXT = statements("runs")
# While a part is encoded for PostgreSQL, the event loop does nothing else, and its texts are in memory.
LEADS_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class NewLead:
    """A checked lead: `phone` is E.164, `zone` its zone key, `variables` what is known of it; what its script may say of these is stored.

    A lead whose id is a text has it as `external_id` and no `lead_id`: it is given a number when it is loaded.
    """

    lead_id: int | None
    phone: str = field(repr=False)
    name: str | None = field(repr=False)
    zone: str
    external_id: str | None = None
    variables: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be loaded. `concurrency` is how many of the business's calls it may hold at once."""

    business_id: int
    name: str | None
    concurrency: int
    leads: Sequence[NewLead]
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
    texts = [lead.external_id for lead in leads if lead.external_id is not None]
    if not texts:
        return leads
    await pool.execute(TEXT["number_leads"], business_id, texts)
    rows = await pool.fetch(TEXT["lead_numbers"], business_id, texts)
    numbers = {row["external_id"]: row["lead_id"] for row in rows}
    return [lead if lead.external_id is None else replace(lead, lead_id=numbers[lead.external_id]) for lead in leads]


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


async def load(connection: Connection, business_id: int, run_id: int, leads: Sequence[NewLead], *, after: int) -> ZoneRanges:
    """Add the rows of leads at the positions behind `after`; return the ranges of their zones, which are for the caller to add."""
    ordered = await asyncio.to_thread(sorted, leads, key=lambda lead: lead.zone)
    for start in range(0, len(ordered), LEADS_AT_ONCE):
        part = ordered[start : start + LEADS_AT_ONCE]
        await _load_part(connection, business_id, run_id, part, after=after + start)
    ranges = list(_zones(ordered, after + 1))
    return [zone for zone, _, _ in ranges], [first for _, first, _ in ranges], [last for _, _, last in ranges]


async def _load_part(connection: Connection, business_id: int, run_id: int, part: Sequence[NewLead], *, after: int) -> None:
    copying = connection.copy_records_to_table(
        "outbound_call_jobs",
        schema_name="public",
        columns=["run_id", "business_id", "lead_id", "external_id", "lead_name", "phone", "position"],
        records=[
            (run_id, business_id, lead.lead_id, lead.external_id, lead.name, lead.phone, n) for n, lead in enumerate(part, start=after + 1)
        ],
    )
    # The variables are written as JSON while PostgreSQL copies the rows.
    _, (positions, texts) = await asyncio.gather(copying, asyncio.to_thread(_variables, part, after + 1))
    if positions:
        # COPY has no text format for JSON.
        await connection.execute(TEXT["add_variables"], business_id, run_id, positions, texts)


def _variables(part: Sequence[NewLead], first: int) -> tuple[list[int], list[str]]:
    """The positions of the leads that have variables, and what a script may say of them, by its key, as JSON."""
    values = ((n, lead_values(None, lead.variables)) for n, lead in enumerate(part, start=first) if lead.variables)
    known = [(n, json.dumps(texts, ensure_ascii=False)) for n, texts in values if texts]
    return [n for n, _ in known], [text for _, text in known]


def _zones(ordered: Sequence[NewLead], first: int) -> Iterator[tuple[str, int, int]]:
    for zone, leads in groupby(ordered, key=lambda lead: lead.zone):
        last = first + sum(1 for _ in leads) - 1
        yield zone, first, last
        first = last + 1


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
