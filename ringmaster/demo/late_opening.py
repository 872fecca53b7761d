"""The small run whose calling hours open soon after it is created: when it is created, and these hours.

Calling hours have whole minutes, so the run is created shortly before a minute begins. Pure: no I/O.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from dialer.policy.calling_hours import DAY, WEEKDAYS
from dialer.policy.time_zones import time_zone

if TYPE_CHECKING:
    from datetime import datetime

MINUTE: Final = timedelta(minutes=1)
MOST_WAIT: Final = timedelta(seconds=20)  # contract, section 7
LEAST_WAIT: Final = timedelta(seconds=4)  # less, and nobody sees it wait
# Of all leads of the run. Its clocks never change, so each of its minutes comes once a day.
ZONE: Final = time_zone("America/Phoenix")


def next_opening(now: datetime) -> datetime:
    """The minute that begins next."""
    return now.replace(second=0, microsecond=0) + MINUTE


def creation(now: datetime) -> datetime:
    """When to create the run: `now`, or the next moment that leaves a wait of the right length."""
    opens = next_opening(now)
    if opens - now < LEAST_WAIT:
        opens += MINUTE
    return max(now, opens - MOST_WAIT)


def hours(opens: datetime) -> dict[str, Any]:
    """The `calling_hours` of leads in `ZONE` that open then, until the end of the day after; holidays are days like any other."""
    local = opens.astimezone(ZONE)
    return {
        WEEKDAYS[local.weekday()]: [[f"{local:%H:%M}", "24:00"]],
        WEEKDAYS[(local + DAY).weekday()]: [["00:00", "24:00"]],
        "holidays": "open",
    }
