"""Jobs: one lead in one run each, with the attempts made for it and every callback received."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from decimal import Decimal

    from asyncpg import Record

    from sql.pool import Pool

TEXT = statements("jobs")
EXPORT_PAGE_ROWS = 500


@dataclass(frozen=True, slots=True)
class JobSearch:
    """What a person looks for: LIKE patterns of the name and of phones in E.164, and a lead id; a job that fits one of them is found."""

    name: str
    lead_id: str
    phones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs of a run: those that fit everything that is given."""

    statuses: Sequence[str] | None = None
    outcomes: Sequence[str] | None = None
    search: JobSearch | None = None

    @property
    def arguments(self) -> tuple[Sequence[str] | None, Sequence[str] | None, str | None, str | None, Sequence[str] | None]:
        """The last arguments of dialer.job_matches."""
        search = (self.search.name, self.search.lead_id, list(self.search.phones)) if self.search else (None, None, None)
        return self.statuses, self.outcomes, *search


ALL_JOBS = JobFilter()


@dataclass(frozen=True, slots=True)
class Job:
    """A lead in its run.

    `lead_id` is as it was loaded, a number or a text; `attempt_state` is the state of its newest attempt, `position` its place in the run.
    `reason` says why it was skipped, or which rule ended it after a call. `error` and `error_code` are of its last call, if that failed;
    the code, and `duration` in seconds, only where jobs are listed or shown by themselves. `missing_since` is set only for calls in
    progress that the provider does not know: since when.
    """

    job_id: int
    lead_id: int | str
    phone: str | None
    name: str | None
    status: str
    outcome: str | None
    attempts: int
    twilio_call_sid: str | None
    started_at: datetime | None
    ended_at: datetime | None
    error: str | None
    position: int
    attempt_state: str | None
    reason: str | None = None
    missing_since: datetime | None = None
    error_code: int | None = None
    duration: int | None = None


@dataclass(frozen=True, slots=True)
class PriceQuery:
    """What the provider is asked about an answered call whose price is not known; `account_sid` None is the default account."""

    attempt_id: int
    sid: str
    account_sid: str | None


@dataclass(frozen=True, slots=True)
class ExportJob:
    """A job with what people read of it: when it was last called, the length of that call in seconds, and what the list said of the lead.

    `variables` are texts by their keys, as in sql/runs/new_run.py.
    """

    job: Job
    called_at: datetime | None
    seconds: int | None
    variables: dict[str, str]


class Jobs:
    """The jobs of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def page(
        self, business_id: int, run_id: int, wanted: JobFilter = ALL_JOBS, *, after: int = 0, limit: int = 50, sort: str = ""
    ) -> list[Job]:
        """The jobs of a run after the one at position `after` (0: the first ones), in the order they are dialled, or sorted.

        `sort` is name, phone, outcome, length, calls or last (the last call); with a minus before it the other way round.
        """
        statement, order = ("sorted_page", (sort,)) if sort else ("page", ())
        rows = await self._pool.fetch(TEXT[statement], business_id, run_id, after, *wanted.arguments, *order, limit)
        return [_job(row) for row in rows]

    async def positions_before(
        self, business_id: int, run_id: int, wanted: JobFilter, *, until: int, limit: int, sort: str = ""
    ) -> list[int]:
        """The positions of the last `limit` jobs up to the one at position `until`, in the same order, the last one first."""
        statement, order = ("sorted_page_before", (sort,)) if sort else ("page_before", ())
        rows = await self._pool.fetch(TEXT[statement], business_id, run_id, until, *wanted.arguments, *order, limit)
        return [row["position"] for row in rows]

    async def get(self, business_id: int, run_id: int, job_id: int) -> Job | None:
        """One job; None when this run of this business has none with this id."""
        row = await self._pool.fetchrow(TEXT["get"], business_id, run_id, job_id)
        return _job(row) if row else None

    async def attempts(self, business_id: int, run_id: int, job_id: int) -> list[dict[str, Any]]:
        """The attempts of a job, oldest first, each with its `callbacks` and its `recordings` in the order they arrived."""
        attempts = [dict(row) for row in await self._pool.fetch(TEXT["attempts"], business_id, run_id, job_id)]
        ids = [attempt["id"] for attempt in attempts]
        for name in ("callbacks", "recordings"):
            rows = await self._pool.fetch(TEXT[name], business_id, ids)
            for attempt in attempts:
                attempt[name] = [dict(row) for row in rows if row["attempt_id"] == attempt["id"]]
        return attempts

    async def calls_without_price(self, business_id: int, run_id: int, job_id: int, *, limit: int) -> list[PriceQuery]:
        """The answered calls of a job that are over and have no price yet, the newest first; the others cost nothing."""
        return [PriceQuery(**row) for row in await self._pool.fetch(TEXT["calls_without_price"], business_id, run_id, job_id, limit)]

    async def keep_price(self, business_id: int, attempt_id: int, price: Decimal, unit: str) -> None:
        """Store what the provider charged for a call; `unit` is a currency, ISO 4217."""
        await self._pool.execute(TEXT["keep_price"], business_id, attempt_id, price, unit)

    async def count(self, business_id: int, run_id: int, wanted: JobFilter) -> int:
        """How many jobs of a run there are."""
        count: int = await self._pool.fetchval(TEXT["count"], business_id, run_id, *wanted.arguments)
        return count

    async def on_every_line(self, business_id: int) -> list[tuple[int, Job]]:
        """The jobs whose calls are being placed or in progress, each with its run_id, the oldest call first."""
        return [(row["run_id"], _job(row)) for row in await self._pool.fetch(TEXT["on_every_line"], business_id)]

    async def export(self, business_id: int, run_id: int, wanted: JobFilter = ALL_JOBS) -> AsyncIterator[Job]:
        """The jobs of a run, in order, read in pages of 500: a larger one would keep the event loop busy for too long."""
        after = 0
        while jobs := await self.page(business_id, run_id, wanted, after=after, limit=EXPORT_PAGE_ROWS):
            for job in jobs:
                yield job
            after = jobs[-1].position

    async def export_for_people(
        self, business_id: int, run_id: int, wanted: JobFilter, job_ids: Sequence[int] | None = None
    ) -> AsyncIterator[list[ExportJob]]:
        """The same in lists of at most 500, each with what people read of it; of `job_ids` only, if they are given."""
        after, arguments = 0, (*wanted.arguments, job_ids, EXPORT_PAGE_ROWS)
        while rows := await self._pool.fetch(TEXT["page_for_people"], business_id, run_id, after, *arguments):
            yield [ExportJob(_job(row), row["called_at"], row["seconds"], row["variables"] or {}) for row in rows]
            after = rows[-1]["position"]

    async def foreign(self, business_id: int, job_id: int) -> int | None:
        """The other business that has a job with this id, for the security log alone."""
        owner: int | None = await self._pool.fetchval(TEXT["foreign"], business_id, job_id)
        return owner


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


def _job(row: Record) -> Job:
    return Job(
        job_id=row["id"],
        lead_id=row["lead_id"],
        phone=row["phone"],
        name=row["lead_name"],
        status=row["status"],
        outcome=row["outcome"],
        attempts=row["attempts"],
        twilio_call_sid=row["twilio_call_sid"] or row["sid"],
        started_at=_utc(row["started_at"]),
        ended_at=_utc(row["ended_at"]),
        error=row["error_message"],
        position=row["position"],
        attempt_state=row["attempt_state"],
        reason=row["reason"],
        missing_since=row.get("missing_since"),
        error_code=row.get("error_code"),
        duration=row.get("duration"),
    )
