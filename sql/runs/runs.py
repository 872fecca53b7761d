"""Runs: loaded in one transaction with all their leads, read with counters that always add up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dialer.messages import KEEP_HTTP_SECONDS, Command, CommandType
from dialer.model import RunStatus
from sql.audit.audit import TEXT as AUDIT_TEXT
from sql.commands.commands import TEXT as COMMAND_TEXT
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from asyncpg import Record

    from sql.pool import Connection, Pool

TEXT = statements("runs")
# What holds for a run that was not given these; the business has no rule for them.
DEFAULTS = {"machine_detection": None, "record": False, "recently_called": "wait", "budget": None}


@dataclass(frozen=True, slots=True)
class Run:
    """A run as in the contract; times are aware, in UTC.

    `settings` is what it was given, `rules` the rules of calling of its business.
    """

    run_id: int
    business_id: int
    name: str | None
    status: RunStatus
    total_leads: int
    queued: int
    in_progress: int
    completed: int
    failed: int
    cancelled: int
    skipped: int
    cursor_position: int
    concurrency: int
    cancel_requested: bool
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    locked_by_worker: str | None
    lock_ts: datetime | None
    last_error: str | None
    cancel_requested_at: datetime | None
    cancel_requested_by: str | None
    settings: dict[str, Any]
    priority: int
    schedule_at: datetime | None
    archived_at: datetime | None
    rules: dict[str, Any]

    @property
    def effective_settings(self) -> dict[str, Any]:
        """What holds now: the settings that the run was given, and the rules of its business where it was given none."""
        given = {name: value for name, value in self.settings.items() if name != "schedule_at"}
        return {**DEFAULTS, **self.rules, **given, "priority": self.priority}

    @property
    def can_cancel(self) -> bool:
        """True for a pending, running or paused run whose cancel has not been requested yet."""
        return not self.status.ended and not self.cancel_requested


@dataclass(frozen=True, slots=True)
class Waits:
    """Reasons why calls of a business may have to wait.

    `reason`, `detail` and `since` come from its worker, None while it takes leads; `is_full` when every slot is in use;
    `unconfirmed_since` is when the oldest call was claimed whose outcome is unknown, or that goes on after its time limit; `now` is
    database time.
    """

    now: datetime
    reason: str | None
    detail: str | None
    since: datetime | None
    is_full: bool
    unconfirmed_since: datetime | None


@dataclass(frozen=True, slots=True)
class NewLead:
    """A checked lead: `phone` is E.164, `zone` the name of its time zone; `variables` are checked and not stored yet.

    A lead whose id is a text has it as `external_id` and no `lead_id`: it is given a number when it is loaded.
    """

    lead_id: int | None
    phone: str
    name: str | None
    zone: str
    external_id: str | None = None
    variables: dict[str, Any] | None = None


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


@dataclass(frozen=True, slots=True)
class Request:
    """The HTTP request that loads leads: `id` from its Idempotency-Key, or new; `answer` is the answer besides run_id and status."""

    id: str
    digest: bytes
    requested_by: str
    answer: dict[str, Any]
    type: str = "run.create"


class IdReusedError(Exception):
    """The Idempotency-Key was used before with another body."""


class Runs:
    """The runs of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def get(self, business_id: int, run_id: int) -> Run | None:
        """One run; None when there is none with this id in this business."""
        row = await self._pool.fetchrow(TEXT["get"], business_id, run_id)
        return _run(row) if row else None

    async def page(
        self, business_id: int, *, statuses: Sequence[str] | None = None, before: int | None = None, limit: int = 50
    ) -> list[Run]:
        """The newest runs of a business, with ids below `before`."""
        return [_run(row) for row in await self._pool.fetch(TEXT["page"], business_id, statuses, before, limit)]

    async def some(self, business_id: int, run_ids: Sequence[int]) -> list[Run]:
        """Those of these runs that belong to the business."""
        return [_run(row) for row in await self._pool.fetch(TEXT["some"], business_id, list(run_ids))]

    async def active(self, business_id: int, limit: int) -> list[Run]:
        """The newest runs of a business that have not ended, or still have calls in flight."""
        return [_run(row) for row in await self._pool.fetch(TEXT["active"], business_id, limit)]

    async def foreign(self, business_id: int, run_id: int) -> int | None:
        """The other business that has a run with this id, for the security log alone."""
        owner: int | None = await self._pool.fetchval(TEXT["foreign"], business_id, run_id)
        return owner

    async def create(self, new: NewRun, request: Request) -> tuple[dict[str, Any], bool]:
        """Load a run with its leads, and start it if requested; return the answer, and whether it answers a repeated request.

        A second request with the same id waits for the first.

        Raises:
            IdReusedError: when the id was used before with another digest.
            DatabaseUnavailableError: when it failed or its answer was lost; retrying the same request is harmless.
        """
        new = replace(new, leads=await numbered(self._pool, new.business_id, new.leads))
        async with self._pool.acquire() as connection, connection.transaction():
            repeated = await receive(connection, new.business_id, request)
            if repeated is not None:
                return repeated, True
            run_id = await insert_run(connection, new, request)
            await load(connection, new.business_id, run_id, new.leads, after=0)
            status = await started(connection, new, run_id, request)
            answer = {"run_id": run_id, "status": status, **request.answer}
            await connection.execute(TEXT["answer_request"], new.business_id, request.id, answer, run_id)
            return answer, False

    async def waits_for(self, business_id: int, *, ringing_seconds: float, live_seconds: float) -> Waits:
        """Why calls of a business may have to wait; a call older than these, in its state, counts as unconfirmed."""
        [row] = await self._pool.fetch(TEXT["waits_for"], business_id, ringing_seconds, live_seconds)
        return Waits(**row)

    async def to_rewrite(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[tuple[int, int]]:
        """Cancelled and stopped runs of these partitions whose job rows are not rewritten yet, except `but`: business_id, run_id."""
        found = await self._pool.fetch(TEXT["to_rewrite"], list(partitions), limit, list(but))
        return [(row["business_id"], row["id"]) for row in found]

    async def rewrite(self, business_id: int, run_id: int, start: int, chunk: int) -> int | None:
        """Mark the next `chunk` job rows from position `start` as cancelled; return where to continue, None at the end.

        Locked rows are skipped; the run then stays among those to rewrite.
        """
        found: int | None = await self._pool.fetchval(TEXT["rewrite"], business_id, run_id, start, chunk)
        if found is None:
            # Not in the statement above: that one locks job rows, and a command locks its run before a job.
            await self._pool.execute(TEXT["rewritten"], business_id, run_id)
        return found

    async def to_end(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[tuple[int, int]]:
        """Finished runs of these partitions that are still marked running, except `but`: business_id, run_id."""
        found = await self._pool.fetch(TEXT["to_end"], list(partitions), limit, list(but))
        return [(row["business_id"], row["id"]) for row in found]

    async def end_if_done(self, business_id: int, run_id: int) -> bool:
        """End this run if it has nothing left, in case that was missed; False also while its row is locked."""
        return bool(await self._pool.fetchval(TEXT["end_if_done"], business_id, run_id))


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
    is_new = await connection.fetchval(
        TEXT["receive_request"], business_id, request.id, request.digest, request.requested_by, KEEP_HTTP_SECONDS, request.type
    )
    if is_new is None:
        raise IdReusedError
    answer: dict[str, Any] | None = None if is_new else await connection.fetchval(TEXT["answer_of_request"], business_id, request.id)
    return answer


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
    if new.loosens:
        detail = {"settings": new.settings, "loosens": list(new.loosens)}
        await connection.execute(AUDIT_TEXT["write"], new.business_id, request.requested_by, request.type, run_id, detail)
    return run_id


async def load(connection: Connection, business_id: int, run_id: int, leads: Sequence[NewLead], *, after: int) -> None:
    """Add the rows of leads at the positions behind `after`, and those of their time zones."""
    ordered = sorted(leads, key=lambda lead: lead.zone)
    await connection.copy_records_to_table(
        "outbound_call_jobs",
        schema_name="public",
        columns=["run_id", "business_id", "lead_id", "external_id", "lead_name", "phone", "position"],
        records=[
            (run_id, business_id, lead.lead_id, lead.external_id, lead.name, lead.phone, n)
            for n, lead in enumerate(ordered, start=after + 1)
        ],
    )
    for zone, first, last in _zones(ordered, after + 1):
        await connection.execute(TEXT["insert_zone"], business_id, run_id, zone, first, last)


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
    )
    return RunStatus(found["status"])


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


def _run(row: Record) -> Run:
    return Run(
        run_id=row["id"],
        business_id=row["business_id"],
        name=row["name"],
        status=RunStatus(row["status"]),
        total_leads=row["total_leads"],
        queued=row["queued_count"],
        in_progress=row["in_progress_count"],
        completed=row["completed_count"],
        failed=row["failed_count"],
        cancelled=row["cancelled_count"],
        skipped=row["skipped_count"],
        cursor_position=row["cursor_position"],
        concurrency=row["concurrency"],
        cancel_requested=row["cancel_requested"],
        created_at=_utc(row["created_at"]),
        started_at=_utc(row["started_at"]),
        ended_at=_utc(row["ended_at"]),
        locked_by_worker=row["locked_by_worker"],
        lock_ts=_utc(row["lock_ts"]),
        last_error=row["last_error"],
        cancel_requested_at=_utc(row["cancel_requested_at"]),
        cancel_requested_by=row["cancel_requested_by"],
        settings=row["settings"],
        priority=row["priority"],
        schedule_at=_utc(row["schedule_at"]),
        archived_at=_utc(row["archived_at"]),
        rules=row["rules"] or {},
    )
