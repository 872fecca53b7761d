"""The rules of calling of a schedule: what its businesses and runs are given, and how people change them while it goes on.

A schedule begins 12 s before midnight UTC, which is 9 in Tokyo: hours and days have their edges in the time of trouble.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.simulation.randomness import SeededRandom

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHARE_WITH_RULES = 0.5
SHARE_OF_RULES = 0.3
ZONES = ("US:UTC", "US:Asia/Tokyo")
# A country with other holidays, and leads that may be in either zone: for them it is open where both are.
MORE_ZONES = ("IL:UTC", "US:America/New_York,UTC")
# In the US a holiday, and its eve; the whole schedule happens on them.
NEW_YEAR, EVE = "2030-01-01", "2029-12-31"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# The minutes in which a schedule happens, from 23:59 UTC and from 08:59 in Tokyo on.
MINUTES = (-1, 0, 1, 2)
DAY_MINUTES = 24 * 60
TOKYO_MINUTES = 9 * 60
LONGEST_STOP_SECONDS = 30.0
# What calls cost in every schedule: a minute, and the longest call that is asked for, which is shorter than a minute.
MINUTE_PRICE = MAX_COST = 2
# Of the later minutes: each that is closed makes the schedule a minute longer.
SHARE_OF_LATE_CLOSING = 0.1


@dataclass(frozen=True, slots=True)
class ScheduleRules:
    """The rules of each business, the settings of each run, and how often people change something."""

    businesses: tuple[dict[str, Any], ...] = ()
    runs: tuple[dict[str, Any], ...] = ()
    changes: int = 0
    refused_numbers: int = 0
    stops: int = 0
    zones: tuple[str, ...] = ZONES
    # How many of the calls that are answered, a machine answers.
    machines: float = 0.0


def draw_rules(seed: int, businesses: int, runs: int) -> ScheduleRules:
    """The rules of a seed; about half of the schedules have none."""
    chance, calendar = SeededRandom(seed, "rules"), SeededRandom(seed, "calendar")
    if not chance.hits(SHARE_WITH_RULES):
        return ScheduleRules()
    of_businesses = [draw_change(chance, ("calling_hours", "retries", "gap_hours", "max_per_day", "countries")) for _ in range(businesses)]
    of_runs = [_settings(chance) for _ in range(runs)]
    changes, numbers, stops = (chance.randint(1, most) if chance.hits(0.5) else 0 for most in (3, 4, 2))
    given = [tuple(with_calendar(calendar, rules) for rules in found) for found in (of_businesses, of_runs)]
    zones = (*ZONES, *MORE_ZONES) if calendar.hits(0.5) else ZONES
    return ScheduleRules(given[0], given[1], changes, numbers, stops, zones, calendar.choice([0.0, 0.5]))


def with_calendar(chance: SeededRandom, rules: dict[str, Any]) -> dict[str, Any]:
    """The same rules; the hours with holidays, their eves and dates, the retries with machines."""
    found = dict(rules)
    if found.get("calling_hours") is not None:
        found["calling_hours"] = found["calling_hours"] | _draw_days(chance)
    if found.get("retries") and chance.hits(0.6):
        found["retries"] = found["retries"] | {"machine": {"times": 1, "after_minutes": [chance.uniform(0.05, 0.5)]}}
    return found


def _draw_days(chance: SeededRandom) -> dict[str, Any]:
    days: dict[str, Any] = {"holidays": "closed" if chance.hits(0.45) else "open"}
    if chance.hits(0.3):
        days["holiday_eves"] = draw_hours(chance)[WEEKDAYS[0]]
    if chance.hits(0.3):
        days["dates"] = {day: draw_hours(chance)[WEEKDAYS[0]] if chance.hits(0.8) else [] for day in (NEW_YEAR, EVE) if chance.hits(0.6)}
    return days


def draw_change(chance: SeededRandom, names: Sequence[str]) -> dict[str, Any]:
    """New values for some of these rules of a business."""
    drawn: dict[str, Callable[[], Any]] = {
        "calling_hours": lambda: draw_hours(chance),
        "retries": lambda: _retries(chance),
        "gap_hours": lambda: chance.uniform(5.0, 60.0) / 3600,
        "max_per_day": lambda: chance.randint(1, 2),
        "countries": lambda: chance.choice([["US"], ["US"], ["IL"]]),
    }
    return {name: drawn[name]() for name in names if chance.hits(SHARE_OF_RULES)}


def _settings(chance: SeededRandom) -> dict[str, Any]:
    drawn = draw_change(chance, ("calling_hours", "retries", "gap_hours", "max_per_day"))
    if "gap_hours" in drawn:
        drawn["min_gap_hours"] = drawn.pop("gap_hours")
        drawn["recently_called"] = chance.choice(["wait", "skip"])
    if chance.hits(SHARE_OF_RULES):
        drawn["budget"] = _budget(chance, 4)
    return drawn


def draw_run_change(chance: SeededRandom) -> dict[str, Any]:
    """New values for some of the fields of a run that people may change."""
    drawn = draw_change(chance, ("calling_hours", "retries"))
    if chance.hits(SHARE_OF_RULES):
        drawn["budget"] = chance.choice([None, _budget(chance, 6)])
    for name, values in (("concurrency", (1, 3)), ("priority", (0, 1))):
        if chance.hits(SHARE_OF_RULES):
            drawn[name] = chance.randint(*values)
    if "calling_hours" in drawn and chance.hits(0.3):
        drawn["calling_hours"] = None
    return with_calendar(chance, drawn)


def _budget(chance: SeededRandom, most: int) -> dict[str, Any]:
    """In calls, or in money that covers the longest call and some billed minutes."""
    calls = chance.randint(1, most)
    return {"calls": calls} if chance.hits(0.5) else {"amount": str(MAX_COST + (calls - 1) * MINUTE_PRICE), "currency": "USD"}


def _retries(chance: SeededRandom) -> dict[str, Any]:
    return {
        outcome: {"times": chance.randint(1, 2), "after_minutes": [chance.uniform(0.05, 0.5) for _ in range(chance.randint(1, 2))]}
        for outcome in ("no-answer", "busy", "failed")
        if chance.hits(0.6)
    }


def draw_hours(chance: SeededRandom) -> dict[str, Any]:
    """Every day the same: always open, but for some of the minutes of the schedule."""
    closed = [minute for minute in MINUTES if chance.hits(0.4 if minute < 1 else SHARE_OF_LATE_CLOSING)]
    closed_minutes = {(start + minute) % DAY_MINUTES for minute in closed for start in (0, TOKYO_MINUTES)}
    edges = sorted({0, DAY_MINUTES, *closed_minutes, *(minute + 1 for minute in closed_minutes)})
    intervals = [[_clock(start), _clock(end)] for start, end in pairwise(edges) if start not in closed_minutes]
    return dict.fromkeys(WEEKDAYS, intervals)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
