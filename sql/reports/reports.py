"""Reads what a person asks about a business, a run or a lead; nothing here changes anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sql.statements import statements

if TYPE_CHECKING:
    from datetime import date

    from asyncpg import Record

    from sql.pool import Pool

TEXT = statements("reports")


@dataclass(frozen=True, slots=True)
class BusinessReport:
    """Why calls of a business may have to wait.

    `reason` and `since` come from its worker, None while it takes leads; `is_full` when every slot is in use; `unconfirmed_since` is when
    the oldest call was claimed whose outcome is unknown, or that goes on after its time limit; `stopped_at` and `stop_reason` of a stop of
    the business, else of the installation; `register` is one that it needs and has not, or not recently enough, `register_since` since
    when, and the day of its import in the zone of the business; `now` is database time.
    """

    now: datetime
    reason: str | None
    since: datetime | None
    is_full: bool
    max_calls: int
    unconfirmed_since: datetime | None
    stopped_at: datetime | None
    stop_reason: str | None
    by_installation: bool
    register: str | None
    register_since: datetime | None
    register_imported_on: date | None


@dataclass(frozen=True, slots=True)
class RunReport:
    """What the rows of a run tell.

    `leads_wait` says why none of its leads can be taken now, each reason with its earliest end if known; empty when one can be taken.
    `call_seconds` is how long its recent calls held a line, on average, and `calls_ended` how many of them that tells of; `other_runs` how
    many runs share the lines with it.
    `lacks_money` when its budget covers no other call before one in progress has ended.
    """

    schedule_at: datetime | None
    is_spent: bool
    lacks_money: bool
    leads_wait: dict[str, datetime | None]
    other_runs: int
    call_seconds: float | None
    calls_ended: int


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """The leads of a run, each counted once: by last outcome, or by `not_called` if no call of theirs has an outcome.

    The keys of `not_called` are those of dialer.counted_as: queued, in_progress, cancelled, and so on. What nobody has is left out.
    """

    called: dict[str, int]
    not_called: dict[str, int]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule that kept a lead from being called, for the last time at `at`: its verdict is wait (until then, if known) or skip.

    `zone` is the zone key of the lead.
    """

    at: datetime
    rule: str
    verdict: str
    until: datetime | None
    detail: str | None = None
    zone: str | None = None


@dataclass(frozen=True, slots=True)
class JobReport:
    """What a queued lead waits for.

    Its `zone` (a zone key) is closed until `opens_at` (None: it never opens), it is called again at `due_at` after the `outcome` of its
    last call, its run is paused or spent, or starts at `schedule_at`. `last_error` and `last_error_cause` say why the run paused itself.
    """

    now: datetime
    run_status: str
    run_changed_at: datetime | None
    is_spent: bool
    schedule_at: datetime | None
    last_error: str | None
    last_error_cause: dict[str, Any] | None
    zone: str | None
    is_closed: bool | None
    opens_at: datetime | None
    due_at: datetime | None
    due_reason: str | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class UnknownCall:
    """A call in progress that the provider has not confirmed, since `at`; or does not know, when it `is_missing`."""

    at: datetime
    is_missing: bool


@dataclass(frozen=True, slots=True)
class JobCancel:
    """Who cancelled a lead, and when: by itself or among others, or `with_run`."""

    at: datetime
    requested_by: str
    with_run: bool


@dataclass(frozen=True, slots=True)
class LinesReport:
    """The lines of a business and its running runs; `undriven_since` is when a worker last drove one of them, if that is too long ago.

    `excess_since`: since when a call beyond the limit is on the line.
    """

    max: int
    in_use: int
    timezone: str
    running: int
    undriven_since: datetime | None
    excess_since: datetime | None


class Reports:
    """The reports on all businesses, from PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def of_business(self, business_id: int, *, ringing_seconds: float, live_seconds: float) -> BusinessReport:
        """Why calls of a business may have to wait; a call older than these, in its state, counts as unconfirmed."""
        [row] = await self._pool.fetch(TEXT["of_business"], business_id, ringing_seconds, live_seconds)
        return BusinessReport(**row)

    async def of_run(self, business_id: int, run_id: int) -> RunReport:
        """What the rows of a run tell; the run exists."""
        [row] = await self._pool.fetch(TEXT["of_run"], business_id, run_id)
        return RunReport(**{**row, "leads_wait": _moments(row["leads_wait"])})

    async def outcomes(self, business_id: int, run_id: int) -> OutcomeCounts:
        """How many leads of a run have each last outcome, and how many have none yet."""
        rows = await self._pool.fetch(TEXT["outcomes"], business_id, run_id)
        called = {row["outcome"]: row["n"] for row in rows if row["outcome"] is not None}
        return OutcomeCounts(called, {row["counted"]: row["n"] for row in rows if row["outcome"] is None})

    async def refusals(self, business_id: int, run_id: int, job_id: int) -> list[Refusal]:
        """The rules that have kept a lead from being called, the oldest first."""
        return [Refusal(**row) for row in await self._pool.fetch(TEXT["refusals"], business_id, run_id, job_id)]

    async def of_job(self, business_id: int, run_id: int, job_id: int) -> JobReport | None:
        """What a queued lead waits for; None for any other."""
        row: Record | None = await self._pool.fetchrow(TEXT["of_job"], business_id, run_id, job_id)
        return JobReport(**row) if row else None

    async def call_in_doubt(self, business_id: int, run_id: int, job_id: int) -> UnknownCall | None:
        """The call of a lead that the provider has not confirmed; None when its call is not in doubt."""
        row: Record | None = await self._pool.fetchrow(TEXT["call_in_doubt"], business_id, run_id, job_id)
        return UnknownCall(**row) if row else None

    async def cancelled(self, business_id: int, run_id: int, job_id: int) -> JobCancel | None:
        """Who cancelled a lead; None when nobody has."""
        row: Record | None = await self._pool.fetchrow(TEXT["cancelled"], business_id, run_id, job_id)
        return JobCancel(**row) if row else None

    async def lines(self, business_id: int, *, driven_seconds: float) -> LinesReport:
        """The lines of a business; a run that no worker has driven for `driven_seconds` counts as undriven."""
        [row] = await self._pool.fetch(TEXT["lines"], business_id, driven_seconds)
        return LinesReport(**row)

    async def calls_since(self, business_id: int, since: datetime) -> tuple[int, dict[str, int]]:
        """How many calls were placed since then, and how many of them ended with each outcome."""
        [row] = await self._pool.fetch(TEXT["today"], business_id, since)
        return row["calls"], row["outcomes"]


def _moments(found: dict[str, Any] | None) -> dict[str, datetime | None]:
    return {reason: datetime.fromisoformat(until).astimezone(UTC) if until else None for reason, until in (found or {}).items()}
