"""The timelines of the database: what a fail-over or a restored backup has made it forget, and how it hears of it again.

On the road of a call: beside 3, on the day after a disaster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sql.pool import Pool

TEXT = statements("timelines")


@dataclass(frozen=True, slots=True)
class Timeline:
    """The present one, for one business.

    Its calls placed before `calls_from` are known; in `wait_seconds` the provider shows all that were placed before this timeline began. It
    was read when the database's clock was `as_of`.
    """

    id: int
    since: datetime
    calls_from: datetime
    wait_seconds: float
    as_of: datetime


@dataclass(frozen=True, slots=True)
class OrphanedCall:
    """A call the provider lists and of which we may know nothing: to `phone`, E.164."""

    sid: str
    phone: str
    created_at: datetime


class Timelines:
    """The timelines, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def present(self, business_id: int, shown_after_seconds: float) -> Timeline | None:
        """The timeline we are in, None when the business has been compared in it; a call is shown `shown_after_seconds` after its claim."""
        row = await self._pool.fetchrow(TEXT["present"], business_id, shown_after_seconds)
        return Timeline(**row) if row and row["calls_from"] else None

    async def adopt_calls(
        self,
        incarnation: UUID,
        epoch: int,
        business_id: int,
        timeline: Timeline,
        calls: Sequence[OrphanedCall],
        *,
        ring_seconds: int,
        account_sid: str,
    ) -> int | None:
        """Give each of these calls of `account_sid` that the log does not know to the lead it was for, and let leads be taken again.

        Returns how many there were; None, and nothing has changed, when the business is another worker's or the timeline has changed.
        """
        listed = [{"sid": call.sid, "phone": call.phone, "created_at": call.created_at.isoformat()} for call in calls]
        found = await self._pool.fetchval(
            TEXT["adopt_calls"], incarnation, epoch, business_id, timeline.id, timeline.since, listed, ring_seconds, account_sid
        )
        return None if found is None else int(found)
