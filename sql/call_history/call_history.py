"""Reads the calls of a run as they happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sql.statements import statements

if TYPE_CHECKING:
    from datetime import datetime

    from sql.pool import Pool

TEXT = statements("call_history")


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A call that is over; `duration` in seconds, None when it was not answered."""

    attempt_id: int
    job_id: int
    name: str | None
    phone: str
    ended_at: datetime
    duration: int | None
    outcome: str


@dataclass(frozen=True, slots=True)
class OtherCall:
    """A call to the same number as another lead; `outcome` is None while it goes on."""

    run_id: int
    job_id: int
    run_name: str | None
    at: datetime
    outcome: str | None


class CallCount(NamedTuple):
    """How many calls were placed in stretch `n` of a span and had this outcome; None: they go on."""

    n: int
    outcome: str | None
    calls: int


class HourCount(NamedTuple):
    """Calls placed in an hour of the week, 0 for Sunday, and how many of them a person answered."""

    weekday: int
    hour: int
    calls: int
    answered: int


class CallHistory:
    """The calls of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def newest(self, business_id: int, run_id: int, *, since: datetime, until: datetime, limit: int) -> list[EndedCall]:
        """The last `limit` calls of a run that were placed within this span and are over, the newest first."""
        return [EndedCall(**row) for row in await self._pool.fetch(TEXT["newest"], business_id, run_id, since, until, limit)]

    async def just_ended(self, business_id: int, run_id: int, *, placed_seconds: float, ended_seconds: float) -> list[EndedCall]:
        """The calls placed within the last `placed_seconds` that ended within the last `ended_seconds`, the newest first."""
        return [EndedCall(**row) for row in await self._pool.fetch(TEXT["just_ended"], business_id, run_id, placed_seconds, ended_seconds)]

    async def counted(self, business_id: int, run_id: int, *, since: datetime, until: datetime, seconds: float) -> list[CallCount]:
        """The calls placed within a span, by stretches of `seconds` and by outcome."""
        return [CallCount(*row) for row in await self._pool.fetch(TEXT["counted"], business_id, run_id, since, until, seconds)]

    async def of_phone(self, business_id: int, phone: str, *, besides_job: int, limit: int) -> list[OtherCall]:
        """The last `limit` calls to a number in E.164, but those of one lead, the newest first."""
        return [OtherCall(**row) for row in await self._pool.fetch(TEXT["of_phone"], business_id, phone, besides_job, limit)]

    async def variables(self, business_id: int, run_id: int, position: int) -> dict[str, str]:
        """What the list says of a lead besides its name and number, as far as it is kept."""
        return await self._pool.fetchval(TEXT["variables"], business_id, run_id, position) or {}

    async def by_hour(self, business_id: int, *, since: datetime, zone: str) -> list[HourCount]:
        """The calls of all runs of a business since then, by the hour of the week in `zone`."""
        return [HourCount(*row) for row in await self._pool.fetch(TEXT["by_hour"], business_id, since, zone)]
