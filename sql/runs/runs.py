"""Runs: loaded in one transaction with all their leads, read with counters that always add up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dialer.model import RunStatus
from sql.commands.requests import answer_request
from sql.runs.lead_rows import LeadRows, rows_of_leads
from sql.runs.load_reports import keep_load
from sql.runs.new_run import insert_run, load, numbers_of, receive, started
from sql.runs.zone_windows import ClosedZone
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from asyncpg import Record

    from sql.pool import Pool
    from sql.runs.new_run import NewRun, Request
    from sql.runs.zone_windows import ZoneWindow

TEXT = statements("runs")
# What an old application calls a run that nobody has started.
QUEUED = {None, "", "queued"}
DEFAULT_CONCURRENCY = 3
# What holds for a run that was not given these; the business has no rule for them.
DEFAULTS = {
    "machine_detection": None,
    "machine_detection_async": False,
    "on_machine": "hang_up",
    "machine_message": None,
    "record": False,
    "recently_called": "wait",
    "caller_id_choice": "first",
    "budget": None,
}


@dataclass(frozen=True, slots=True)
class Run:
    """A run as in the contract; times are aware, in UTC.

    `settings` is what it was given, `rules` the rules of calling of its business. `last_error` says in English why it paused itself,
    `last_error_cause` says it for programs.
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
    last_error_cause: dict[str, Any] | None
    cancel_requested_at: datetime | None
    cancel_requested_by: str | None
    settings: dict[str, Any]
    priority: int
    schedule_at: datetime | None
    archived_at: datetime | None
    amount_spent: Decimal
    spent_currency: str | None
    rules: dict[str, Any]

    @property
    def effective_settings(self) -> dict[str, Any]:
        """What holds now: the settings that the run was given, and the rules of its business where it was given none."""
        given = {name: value for name, value in self.settings.items() if name != "schedule_at"}
        of_business = self.rules.get("caller_ids", [])
        # As dialer.caller_id_for: those that the business still has; when none is left, all of them.
        caller_ids = [number for number in given.get("caller_ids") or [] if number in of_business] or of_business
        return {**DEFAULTS, **self.rules, **given, "caller_ids": caller_ids, "priority": self.priority}

    @property
    def can_cancel(self) -> bool:
        """True for a pending, running or paused run whose cancel has not been requested yet."""
        return not self.status.ended and not self.cancel_requested


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """A pending run that starts by itself: `at` in epoch seconds, by the database's clock in `seconds`, negative when it is due."""

    business_id: int
    run_id: int
    at: int
    seconds: float


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

    async def ids_from(self, business_id: int, *, statuses: Sequence[str] | None, start: int, limit: int) -> list[int]:
        """The ids of the oldest `limit` runs with ids from `start` on, the oldest first."""
        return [row["id"] for row in await self._pool.fetch(TEXT["page_before"], business_id, statuses, start, limit)]

    async def some(self, business_id: int, run_ids: Sequence[int]) -> list[Run]:
        """Those of these runs that belong to the business."""
        return [_run(row) for row in await self._pool.fetch(TEXT["some"], business_id, list(run_ids))]

    async def active(self, business_id: int, limit: int) -> list[Run]:
        """The newest runs of a business that have not ended, or still have calls in flight."""
        return [_run(row) for row in await self._pool.fetch(TEXT["active"], business_id, limit)]

    async def leads_of(self, business_id: int, run_id: int) -> int | None:
        """How many leads a run has; None when there is no such run."""
        leads: int | None = await self._pool.fetchval(TEXT["leads_of"], business_id, run_id)
        return leads

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
        leads = new.leads if isinstance(new.leads, LeadRows) else await asyncio.to_thread(rows_of_leads, new.leads)
        numbers = await numbers_of(self._pool, new.business_id, leads.external_ids)
        async with self._pool.acquire() as connection, connection.transaction():
            repeated = await receive(connection, new.business_id, request)
            if repeated is not None:
                return repeated, True
            run_id = await insert_run(connection, new, request)
            await load(connection, new.business_id, run_id, leads, numbers)
            await connection.execute(TEXT["add_zones"], new.business_id, run_id, *leads.zones)
            if new.report:
                await keep_load(connection, new.business_id, run_id, new.report, request.requested_by)
            status = await started(connection, new, run_id, request)
            answer = {"run_id": run_id, "status": status, **request.answer}
            return await answer_request(connection, new.business_id, request.id, answer), False

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

    async def to_delete(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[tuple[int, int]]:
        """Ended runs of these partitions that their business does not want to keep any longer, except `but`: business_id, run_id."""
        rows = await self._pool.fetch(TEXT["to_delete"], list(partitions), limit, list(but))
        return [(row["business_id"], row["id"]) for row in rows]

    async def delete_part(self, business_id: int, run_id: int, limit: int) -> int:
        """Delete at most `limit` leads of a run with all about them, and the run with the last of them; return how many."""
        return int(await self._pool.fetchval(TEXT["delete_run"], business_id, run_id, limit))

    async def to_start(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[ScheduledRun]:
        """The pending runs of these partitions that start by themselves, except `but`: the first `limit`, the earliest first."""
        found = await self._pool.fetch(TEXT["to_start"], list(partitions), limit, list(but))
        return [ScheduledRun(row["business_id"], row["id"], row["at"], row["seconds"]) for row in found]

    async def closed_zones(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[ClosedZone]:
        """Zones of running runs of these partitions, except `but`, whose window has passed or is not known."""
        rows = await self._pool.fetch(TEXT["closed_zones"], list(partitions), limit, list(but))
        return [ClosedZone(**row) for row in rows]

    async def store_windows(self, windows: Sequence[ZoneWindow]) -> set[int]:
        """Store windows, except where the rules have changed meanwhile or a row is locked; return the runs that have new ones."""
        columns = [list(column) for column in zip(*(window.row for window in windows), strict=True)]
        return set(await self._pool.fetchval(TEXT["store_windows"], *columns))


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


def _status(word: str | None, started_at: datetime | None) -> RunStatus:
    """The status of a run; one that an old application has inserted belongs to us only once it is started."""
    if word in QUEUED or (word == RunStatus.RUNNING and started_at is None):
        return RunStatus.PENDING
    return RunStatus(word) if word in set(RunStatus) else RunStatus.FAILED


def _run(row: Record) -> Run:
    return Run(
        run_id=row["id"],
        business_id=row["business_id"],
        name=row["name"],
        status=_status(row["status"], row["started_at"]),
        # An old application may have left these empty.
        total_leads=row["total_leads"] or 0,
        queued=row["queued_count"] or 0,
        in_progress=row["in_progress_count"] or 0,
        completed=row["completed_count"] or 0,
        failed=row["failed_count"] or 0,
        cancelled=row["cancelled_count"],
        skipped=row["skipped_count"],
        cursor_position=row["cursor_position"] or 0,
        concurrency=row["concurrency"] or DEFAULT_CONCURRENCY,
        cancel_requested=row["cancel_requested"],
        created_at=_utc(row["created_at"]),
        started_at=_utc(row["started_at"]),
        ended_at=_utc(row["ended_at"]),
        locked_by_worker=row["locked_by_worker"],
        lock_ts=_utc(row["lock_ts"]),
        last_error=row["last_error"],
        last_error_cause=row["last_error_cause"],
        cancel_requested_at=_utc(row["cancel_requested_at"]),
        cancel_requested_by=row["cancel_requested_by"],
        settings=row["settings"],
        priority=row["priority"],
        schedule_at=_utc(row["schedule_at"]),
        archived_at=_utc(row["archived_at"]),
        amount_spent=row["amount_spent"],
        spent_currency=row["spent_currency"],
        rules=row["rules"] or {},
    )
