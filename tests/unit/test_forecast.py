"""What will become of a lead, told before its run is loaded; and when the last one will have been called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dialer.policy.earlier_calls import EarlierCall
from dialer.policy.forecasts.estimates import MAX_MOMENTS, estimated_end
from dialer.policy.forecasts.forecast import Forecast, Preflight, Prospect
from dialer.policy.run_settings import RunRules

# A Monday, ten o'clock in Jerusalem.
START = datetime(2026, 6, 15, 7, 0, tzinfo=UTC)
ISRAEL, LONDON = "IL:Asia/Jerusalem", "GB:Europe/London"
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAYTIME: dict[str, Any] = {**{day: [["09:00", "17:00"]] for day in DAYS}, "holidays": "open"}


def decide(zone: str = ISRAEL, *, hours_ago: tuple[float, ...] = (), listed: bool = False, **rules: Any) -> Forecast:  # noqa: ANN401 - any rule
    countries = rules.pop("countries", None)
    calls = [EarlierCall(START - timedelta(hours=hours), 0) for hours in hours_ago]
    return Preflight(RunRules.model_validate(rules), countries, START).decide(Prospect(zone, calls, listed))


def utc(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 6, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("forecast", "expected"),
    [
        (decide(), Forecast(START)),
        (decide(calling_hours=DAYTIME), Forecast(START)),
        (decide(LONDON, calling_hours=DAYTIME), Forecast(utc(15, 8), "closed")),
        (decide("IL:", calling_hours=DAYTIME), Forecast(None, "hours_never_open")),
        (decide("IL:"), Forecast(START)),
        (decide(calling_hours={}), Forecast(None, "hours_never_open")),
        (decide(countries={"GB"}), Forecast(None, "country_not_allowed")),
        (decide(LONDON, countries={"GB"}), Forecast(START)),
        (decide(listed=True), Forecast(None, "do_not_call")),
        # The country is decided before the list, and the list before the hours.
        (decide(countries={"GB"}, listed=True), Forecast(None, "country_not_allowed")),
        (decide(listed=True, calling_hours={}), Forecast(None, "do_not_call")),
        (decide(hours_ago=(5, 30), min_gap_hours=24), Forecast(utc(16, 2), "recently_called", is_recent=True)),
        (decide(hours_ago=(24,), min_gap_hours=24), Forecast(START)),
        (decide(hours_ago=(5,), min_gap_hours=24, recently_called="skip"), Forecast(None, "recently_called", is_recent=True)),
        # The gap ends at night: the lead is called when it opens.
        (decide(hours_ago=(5,), min_gap_hours=20, calling_hours=DAYTIME), Forecast(utc(16, 6), "recently_called", is_recent=True)),
        # It has ended when the zone opens.
        (decide(LONDON, hours_ago=(1,), min_gap_hours=2, calling_hours=DAYTIME), Forecast(utc(15, 8), "closed")),
        (decide(hours_ago=(1, 2), max_per_day=2), Forecast(utc(15, 21), "daily_cap")),
        (decide(hours_ago=(1, 12), max_per_day=2), Forecast(START)),
        (decide(hours_ago=(1, 2), max_per_day=2, calling_hours=DAYTIME), Forecast(utc(16, 6), "daily_cap")),
        # The day is decided before the gap; what is skipped for the gap may have waited for the day.
        (decide(hours_ago=(1, 2), max_per_day=2, min_gap_hours=1.5, recently_called="skip"), Forecast(utc(15, 21), "daily_cap")),
        (decide(hours_ago=(1, 2), max_per_day=2, min_gap_hours=48), Forecast(utc(17, 6), "daily_cap", is_recent=True)),
    ],
)
def test_a_lead_is_decided_as_the_claim_will(forecast: Forecast, expected: Forecast) -> None:
    assert forecast == expected


def test_an_only_day_that_passes_is_never() -> None:
    hours = {"dates": {"2026-06-15": [["09:00", "17:00"]]}}
    assert decide(calling_hours=hours) == Forecast(START)
    assert decide(calling_hours=hours, hours_ago=(1,), min_gap_hours=24) == Forecast(None, "hours_never_open", is_recent=True)


def end(leads: dict[tuple[datetime, str], int], calls_per_second: float = 0.1, **rules: Any) -> datetime | None:  # noqa: ANN401 - any rule
    checking = Preflight(RunRules.model_validate(rules), None, START)
    return estimated_end(leads, checking.calendar, START, calls_per_second=calls_per_second)


def test_the_end_follows_from_the_pace() -> None:
    assert end({(START, ISRAEL): 6}) == START + timedelta(minutes=1)
    assert end({(START, ISRAEL): 6, (START + timedelta(hours=1), LONDON): 3}) == START + timedelta(hours=1, seconds=30)
    assert end({}) == START


def test_nothing_is_called_while_the_zone_is_closed() -> None:
    # Seven open hours are left today, of which 25,200 seconds take 2,520 leads; the next day opens at six.
    assert end({(START, ISRAEL): 2_520}, calling_hours=DAYTIME) == utc(15, 14)
    assert end({(START, ISRAEL): 2_526}, calling_hours=DAYTIME) == utc(16, 6, 1)
    # London goes on for two hours when Jerusalem has closed.
    both = {(START, ISRAEL): 1_260, (utc(15, 8), LONDON): 1_260}
    assert end(both, calling_hours=DAYTIME) == utc(15, 14)


def test_an_end_that_never_comes_is_none() -> None:
    hours = {"dates": {"2026-06-15": [["09:00", "17:00"]]}}
    assert end({(START, ISRAEL): 2_521}, calling_hours=hours) is None
    assert end({(START, ISRAEL): 10_000_000_000}, calls_per_second=0.001, calling_hours=DAYTIME) is None


def test_many_moments_are_taken_together() -> None:
    leads = {(START + timedelta(seconds=n), ISRAEL): 1 for n in range(MAX_MOMENTS + 500)}
    found = end(leads, calls_per_second=10)
    assert found is not None
    assert timedelta(minutes=30) <= found - START < timedelta(minutes=31)
