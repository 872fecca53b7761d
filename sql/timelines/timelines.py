"""The timelines of the database: detects lost calls after a fail-over or a restored backup, and adopts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sql.audit.audit import CURRENT_ADDRESS
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from sql.pool import Pool

TEXT = statements("timelines")


@dataclass(frozen=True, slots=True)
class Timeline:
    """The present timeline, for one business.

    Calls placed before `calls_from` are known; after `wait_seconds` the provider lists all that were placed before this timeline began. It
    was read when the database's clock was `as_of`.
    """

    id: int
    since: datetime
    calls_from: datetime
    wait_seconds: float
    as_of: datetime


@dataclass(frozen=True, slots=True)
class OrphanedCall:
    """A call that the provider lists and we may not know; `phone` and `caller_id` are E.164, None for the first of the business."""

    sid: str
    phone: str
    created_at: datetime
    caller_id: str | None = None


class Timelines:
    """The timelines, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def note_restore(self, actor: str) -> None:
        """Begin a timeline: the database comes from a copy, although nothing in it shows that."""
        await self._pool.fetchrow(TEXT["note_restore"], actor, CURRENT_ADDRESS.get())

    async def present(self, business_id: int, shown_after_seconds: float) -> Timeline | None:
        """The present timeline; None when compared already. The provider lists calls `shown_after_seconds` after their claim."""
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
        max_minutes: int,
        account_sid: str,
    ) -> int | None:
        """Adopt those of these calls of `account_sid` that are unknown, each for its lead, and allow leads to be claimed again.

        Returns how many were adopted; None, with nothing changed, when another worker owns the business or the timeline has changed.
        """
        listed = [
            {"sid": call.sid, "phone": call.phone, "created_at": call.created_at.isoformat(), "caller_id": call.caller_id} for call in calls
        ]
        adopted = await self._pool.fetchval(
            TEXT["adopt_calls"],
            incarnation,
            epoch,
            business_id,
            timeline.id,
            timeline.since,
            listed,
            ring_seconds,
            max_minutes,
            account_sid,
        )
        return None if adopted is None else int(adopted)
