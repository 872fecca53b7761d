"""When the zones of running runs are open: read by the worker that computes it, compared with the clock by the claim."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dialer.policy.windows import Window

NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ClosedZone:
    """A zone of a run without a window that lasts; `hours` are the calling hours that hold (None: always), `now` is database time.

    `by_day` when a daily cap applies, and the window must end with the day.
    """

    business_id: int
    run_id: int
    zone: str
    hours: Any
    by_day: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class ZoneWindow:
    """The next window of a zone; None when it never opens."""

    of: ClosedZone
    window: Window | None

    @property
    def row(self) -> tuple[Any, ...]:
        """The arguments of the SQL function, one for each of its arrays."""
        zone, window = self.of, self.window
        times = (window.opens_at, window.closes_at, window.day_from, window.day_to) if window else (NEVER, NEVER, None, None)
        return zone.business_id, zone.run_id, zone.zone, zone.hours, zone.by_day, *times
