"""Calling hours as they are given: what is accepted, what each error names and says, and which hours are within which."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from dialer.policy.calling_hours import MAX_INTERVALS, WEEKDAYS, CallingHours, default_hours
from dialer.policy.public_holidays import is_holiday, public_holidays
from dialer.policy.time_zones import ZoneKey, read_key, time_zone

NOON = [["12:00", "13:00"]]
# What counts in Israel, and what does not, as docs/rules.md says it.
ISRAEL_2026 = """
2026-04-02 2026-04-08 2026-04-22 2026-05-22 2026-09-12 2026-09-13 2026-09-21 2026-09-26 2026-10-03
"""
ORDINARY_IN_ISRAEL = """
2026-03-03 2026-04-03 2026-04-21 2026-05-05 2026-07-23 2026-09-27 2026-10-02 2026-12-05 2026-12-25
"""

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"monday": [["9:00", "13:00"]]}, "monday.0", "time_of_day"),
    ({"monday": [["09:00", "13:0"]]}, "monday.0", "time_of_day"),
    ({"monday": [["09:00", "24:01"]]}, "monday.0", "time_of_day"),
    ({"monday": [["09:00", "13:60"]]}, "monday.0", "time_of_day"),
    ({"monday": [["\u0660\u0669:\u0660\u0660", "13:00"]]}, "monday.0", "time_of_day"),
    ({"monday": [["09:00\n", "13:00"]]}, "monday.0", "time_of_day"),
    ({"monday": [["09:00", "09:00"]]}, "monday.0", "interval_order"),
    ({"monday": [["22:00", "06:00"]]}, "monday.0", "interval_order"),
    ({"monday": [["24:00", "24:00"]]}, "monday.0", "interval_order"),
    ({"monday": [["09:00"]]}, "monday.0", "interval"),
    ({"monday": [["09:00", "10:00", "11:00"]]}, "monday.0", "interval"),
    ({"monday": ["09:00"]}, "monday.0", "interval"),
    ({"monday": [[9, 13]]}, "monday.0", "interval"),
    ({"monday": "09:00-13:00"}, "monday", "list_type"),
    ({"monday": None}, "monday", "list_type"),
    ({"monday": [["15:00", "20:00"], ["09:00", "15:01"]]}, "monday", "intervals_overlap"),
    ({"monday": [["09:00", "10:00"], ["09:00", "10:00"]]}, "monday", "intervals_overlap"),
    ({"monday": [[f"00:{minute:02}", f"00:{minute + 1:02}"] for minute in range(MAX_INTERVALS + 1)]}, "monday", "too_long"),
    ({"holiday_eves": [["15:00", "08:00"]]}, "holiday_eves.0", "interval_order"),
    ({"holidays": "ajar"}, "holidays", "literal_error"),
    ({"holidays": None}, "holidays", "literal_error"),
    ({"dates": {"2026-02-29": NOON}}, "dates", "calendar_date"),
    ({"dates": {"25-12-2026": NOON}}, "dates", "calendar_date"),
    ({"dates": {"2026-12-25T00:00": NOON}}, "dates", "calendar_date"),
    ({"dates": {"9999-12-31": NOON}}, "dates", "calendar_date"),
    ({"dates": {"2026-12-25": [["13:00", "12:00"]]}}, "dates.2026-12-25.0", "interval_order"),
    ({"dates": [["2026-12-25", []]]}, "dates", "dict_type"),
    ({"mondays": NOON}, "mondays", "extra_forbidden"),
    ({"Monday": NOON}, "Monday", "extra_forbidden"),
]  # fmt: skip


def hours(**days: object) -> CallingHours:
    return CallingHours.model_validate(days, strict=True)


@pytest.mark.parametrize(("value", "field", "kind"), WRONG)
def test_what_is_wrong_is_named(value: dict[str, Any], field: str, kind: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CallingHours.model_validate(value, strict=True)
    [error] = caught.value.errors()
    assert (".".join(map(str, error["loc"])), error["type"]) == (field, kind)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        hours(monday=[["9", "10"]], friday=[["10:00", "09:00"]], holidays="no")
    assert {error["loc"][0] for error in caught.value.errors()} == {"monday", "friday", "holidays"}


def test_hours_are_kept_as_they_were_given() -> None:
    given = {
        "monday": [["15:00", "20:00"], ["09:00", "13:00"]],
        "holidays": "open",
        "dates": {"2028-02-29": [], "2026-12-31": [["00:00", "24:00"]]},
    }
    rules = CallingHours.model_validate(given, strict=True)
    assert rules.model_dump(mode="json", exclude_unset=True) == given
    assert rules.on(date(2026, 11, 23), "US") == ((540, 780), (900, 1200))
    assert rules.on(date(2026, 12, 31), "US") == ((0, 1440),)


def test_a_missing_day_is_closed_and_so_are_holidays() -> None:
    assert [hours().on(date(2026, 11, day), "US") for day in range(23, 30)] == [()] * 7
    assert hours(thursday=NOON).on(date(2026, 11, 26), "US") == (), "Thanksgiving"
    assert hours(thursday=NOON).on(date(2026, 11, 26), "IL") == ((720, 780),)


def test_a_date_beats_a_holiday_beats_an_eve_beats_a_weekday() -> None:
    # Rosh Hashana 2026: Saturday, 12 September, which is the eve of Sunday; Friday is the eve of both.
    saturday = date(2026, 9, 12)
    usual = {"friday": [["01:00", "02:00"]], "saturday": [["01:00", "02:00"]]}
    eves = {**usual, "holiday_eves": [["03:00", "04:00"]]}
    listed = {**eves, "dates": {"2026-09-12": [["05:00", "06:00"]]}}
    assert hours(**usual, holidays="open").on(saturday, "IL") == ((60, 120),)
    assert hours(**eves, holidays="open").on(saturday, "IL") == ((180, 240),)
    assert hours(**eves).on(date(2026, 9, 11), "IL") == ((180, 240),)
    assert hours(**eves).on(saturday, "IL") == ()
    assert hours(**listed).on(saturday, "IL") == ((300, 360),)
    assert hours(friday=NOON, holiday_eves=[]).on(date(2026, 9, 11), "IL") == ()


def test_which_days_are_holidays_in_israel() -> None:
    assert sorted(map(str, public_holidays("IL", 2026))) == ISRAEL_2026.split()
    assert not any(is_holiday("IL", date.fromisoformat(day)) for day in ORDINARY_IN_ISRAEL.split())
    assert {len(public_holidays("IL", year)) for year in range(2024, 2050)} == {9}


@pytest.mark.parametrize("country", ["", "XX", "001", "il", "ISR\n"])
def test_an_unknown_country_has_no_holidays(country: str) -> None:
    assert public_holidays(country, 2026) == frozenset()


def test_the_new_year_is_on_its_day_and_its_eve_is_in_the_old_year() -> None:
    rules = default_hours("IL").model_copy(update={"holidays": "closed"})
    assert rules.on(date(2027, 1, 1), "US") == ()
    assert rules.on(date(2026, 12, 31), "US") == ((480, 900),)


def test_the_default_hours() -> None:
    day, short = ((480, 1260),), ((480, 900),)
    assert default_hours("IL").week == (day, day, day, day, short, (), day)
    assert default_hours("US").week == (day,) * 7
    assert default_hours("US").on(date(2026, 12, 25), "US") == day


def test_a_zone_key_is_read() -> None:
    assert read_key("IL:Asia/Jerusalem") == ZoneKey("IL", ("Asia/Jerusalem",))
    assert read_key("US:America/Chicago,America/New_York") == ZoneKey("US", ("America/Chicago", "America/New_York"))
    assert read_key("DE:") == ZoneKey("DE", ())
    assert [time_zone(name) for name in ("", "Asia", "/etc/localtime", "../tzdata/zones", "asia/jerusalem")] == [None] * 5


ALL_DAY = {name: [["00:00", "24:00"]] for name in WEEKDAYS}
MORNING = {"monday": [["08:00", "12:00"]]}
SAME = {"monday": [["08:00", "10:00"], ["10:00", "12:00"]]}


@pytest.mark.parametrize(
    ("inner", "outer", "within"),
    [
        (MORNING, MORNING, True),
        (MORNING, SAME, True),
        (SAME, MORNING, True),
        ({}, MORNING, True),
        (MORNING, {}, False),
        ({"monday": [["08:00", "12:01"]]}, MORNING, False),
        ({"monday": [["07:59", "12:00"]]}, MORNING, False),
        ({"monday": [["08:00", "12:00"]]}, {"monday": [["08:00", "10:00"], ["10:01", "12:00"]]}, False),
        ({"tuesday": [["09:00", "10:00"]]}, MORNING, False),
        (MORNING | {"holidays": "open"}, MORNING, False),
        (MORNING, MORNING | {"holidays": "open"}, True),
        (MORNING, MORNING | {"holiday_eves": [["08:00", "10:00"]]}, False),
        (MORNING | {"holiday_eves": []}, MORNING, True),
        (MORNING | {"holiday_eves": [["08:00", "13:00"]]}, MORNING, False),
        (MORNING | {"dates": {"2026-11-22": [["08:00", "09:00"]]}}, MORNING, False),
        (MORNING, MORNING | {"dates": {"2026-11-23": []}}, False),
        (MORNING, MORNING | {"dates": {"2026-11-24": []}}, True),
        (MORNING | {"dates": {"2026-11-23": []}}, MORNING | {"dates": {"2026-11-23": []}}, True),
        # A date may be a holiday in the country of some lead.
        (MORNING | {"dates": {"2026-11-23": [["08:00", "09:00"]]}}, MORNING, False),
        (MORNING | {"dates": {"2026-11-23": [["08:00", "09:00"]]}}, MORNING | {"holidays": "open"}, True),
        (MORNING, ALL_DAY, True),
    ],
)
def test_hours_within_hours(inner: dict[str, Any], outer: dict[str, Any], *, within: bool) -> None:
    assert CallingHours.model_validate(inner).is_within(CallingHours.model_validate(outer)) is within
