"""When the last of many leads will have been called: an estimate from the pace of calls and the hours of each zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dialer.policy.forecasts.forecast import ZoneCalendar

# Each step is the opening or the closing of a zone, or leads that may be called from then on. A run with more has no estimate.
MAX_STEPS: Final = 20_000
# Of more leads that wait until different moments, those of the same ten minutes are taken together.
MAX_MOMENTS: Final = 1_000
GRAIN: Final = timedelta(minutes=10)


def estimated_end(
    leads: Mapping[tuple[datetime, str], int], calendar: Callable[[str], ZoneCalendar], start: datetime, *, calls_per_second: float
) -> datetime | None:
    """When the last lead will have been called at this pace, each while its zone is open; None when it cannot be told.

    `leads` are counted by the moment from which they may be called, and by their zone key.
    """
    coming = sorted(((at, zone, count) for (at, zone), count in _grained(leads, start).items()), reverse=True)
    waiting: dict[str, float] = {}
    now = start
    for _ in range(MAX_STEPS):
        while coming and coming[-1][0] <= now:
            _, zone, count = coming.pop()
            waiting[zone] = waiting.get(zone, 0) + count
        if not waiting and not coming:
            return now
        windows = {zone: window for zone in waiting if (window := calendar(zone).at(now))}
        open_zones = {zone for zone, window in windows.items() if window.opens_at <= now}
        changes = [window.closes_at if zone in open_zones else window.opens_at for zone, window in windows.items()]
        changes += [coming[-1][0]] if coming else []
        if not changes:
            return None
        now = _call(waiting, open_zones, now, min(changes), calls_per_second)
    return None


def _call(waiting: dict[str, float], zones: set[str], now: datetime, until: datetime, calls_per_second: float) -> datetime:
    """Call the leads of these zones, in equal shares, until they are done or something changes; return that moment."""
    total = sum(waiting[zone] for zone in zones)
    if not total:
        return until
    share = (until - now).total_seconds() * calls_per_second / total
    for zone in zones:
        waiting[zone] -= share * waiting[zone]
        if share >= 1:
            del waiting[zone]
    return now + timedelta(seconds=total / calls_per_second) if share >= 1 else until


def _grained(leads: Mapping[tuple[datetime, str], int], start: datetime) -> Mapping[tuple[datetime, str], int]:
    if len(leads) <= MAX_MOMENTS:
        return leads
    grained: dict[tuple[datetime, str], int] = {}
    for (at, zone), count in leads.items():
        key = start + -(-(at - start) // GRAIN) * GRAIN, zone
        grained[key] = grained.get(key, 0) + count
    return grained
