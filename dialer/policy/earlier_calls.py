"""How often one phone may be called, over all runs of a business: the gap between calls, and the calls of a day."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class EarlierCall(NamedTuple):
    """A call to the phone: when it was claimed, and for which run. One that was surely never placed is none."""

    at: datetime
    run_id: int


def gap_ends(calls: Iterable[EarlierCall], gap_hours: float, lineage: Collection[int], now: datetime) -> datetime | None:
    """When the phone may be called again after calls of other runs; None: now. At the very end of the gap it may.

    `lineage` is the run itself, which follows its retries, and the runs of which it repeats the leads (`again`): their calls do not count.
    """
    gap = timedelta(hours=gap_hours)
    return max((call.at + gap for call in calls if call.run_id not in lineage and call.at + gap > now), default=None)


def calls_today(calls: Iterable[EarlierCall], day_from: datetime) -> int:
    """How many calls the phone has had since its day began; those of every run count, retries too. `windows.py` has the day."""
    return sum(call.at >= day_from for call in calls)
