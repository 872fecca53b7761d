"""Retries, the gap and the day's limit, registers, and which rules of a run hold and which are looser than its business's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from dialer.policy.calling_hours import CallingHours, default_hours
from dialer.policy.earlier_calls import EarlierCall, calls_today, gap_ends
from dialer.policy.field_errors import SENTENCES
from dialer.policy.registers import RequiredRegister, registers_too_old
from dialer.policy.retries import Retries
from dialer.policy.run_settings import CallingRules, RunRules, effective, loosens
from web.server import inputs

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)

RETRIES = Retries.model_validate(
    {"no-answer": {"times": 3, "after_minutes": [30, 240]}, "busy": {"times": 1, "after_minutes": [0.05, 60]}}, strict=True
)


@pytest.mark.parametrize(
    ("outcome", "ended_with_it", "seconds"),
    [
        ("no-answer", 1, 1800),
        ("no-answer", 2, 14400),
        ("no-answer", 3, 14400),
        ("no-answer", 4, None),
        ("busy", 1, pytest.approx(3)),
        ("busy", 2, None),
        *((outcome, 1, None) for outcome in ("failed", "machine", "human", "answered", "fax", "refused", "canceled", "lost", "no_answer")),
    ],
)
def test_the_pause_before_a_retry(outcome: str, ended_with_it: int, seconds: float | None) -> None:
    assert RETRIES.pause_before(outcome, ended_with_it) == seconds


def retry(times: object = 1, after_minutes: object = (1,)) -> dict[str, Any]:
    return {"times": times, "after_minutes": [*after_minutes] if isinstance(after_minutes, tuple) else after_minutes}


WRONG_RETRIES: list[tuple[dict[str, Any], str, str]] = [
    ({"human": retry()}, "human", "extra_forbidden"),
    ({"no_answer": retry()}, "no_answer", "extra_forbidden"),
    ({"busy": {"times": 1}}, "busy.after_minutes", "missing"),
    ({"busy": {"after_minutes": [1]}}, "busy.times", "missing"),
    ({"busy": retry() | {"after": 1}}, "busy.after", "extra_forbidden"),
    ({"busy": retry(0)}, "busy.times", "greater_than_equal"),
    ({"busy": retry(21)}, "busy.times", "less_than_equal"),
    ({"busy": retry(1.5)}, "busy.times", "int_type"),
    ({"busy": retry(times=True)}, "busy.times", "int_type"),
    ({"busy": retry(1, 30)}, "busy.after_minutes", "list_type"),
    ({"busy": retry(1, ())}, "busy.after_minutes", "too_short"),
    ({"busy": retry(1, (1,) * 21)}, "busy.after_minutes", "too_long"),
    ({"busy": retry(1, (0,))}, "busy.after_minutes.0", "greater_than"),
    ({"busy": retry(1, (1, -0.5))}, "busy.after_minutes.1", "greater_than"),
    ({"busy": retry(1, (86400.1,))}, "busy.after_minutes.0", "less_than_equal"),
    ({"busy": retry(1, ("30",))}, "busy.after_minutes.0", "float_type"),
    ({"busy": retry(1, (float("nan"),))}, "busy.after_minutes.0", "finite_number"),
    ({"busy": []}, "busy", "model_type"),
]
NO_AMOUNTS = ("", "0", "0.00", "-1", "1e3", "1,5", "1.", " 1", "$1")
WRONG_RULES: list[tuple[dict[str, Any], str, str]] = [
    ({"calling_hours": "always"}, "calling_hours", "model_type"),
    ({"calling_hours": {"monday": [["09:00", "08:00"]]}}, "calling_hours.monday.0", "interval_order"),
    ({"retries": {"no-answer": retry(0)}}, "retries.no-answer.times", "greater_than_equal"),
    ({"min_gap_hours": -1}, "min_gap_hours", "greater_than_equal"),
    ({"min_gap_hours": 8761}, "min_gap_hours", "less_than_equal"),
    ({"min_gap_hours": float("inf")}, "min_gap_hours", "finite_number"),
    ({"max_per_day": -1}, "max_per_day", "greater_than_equal"),
    ({"max_per_day": False}, "max_per_day", "int_type"),
    ({"max_per_day": 101}, "max_per_day", "less_than_equal"),
    ({"max_per_day": 2.5}, "max_per_day", "int_type"),
    ({"recently_called": "no"}, "recently_called", "literal_error"),
    ({"priority": 101}, "priority", "less_than_equal"),
    ({"priority": -101}, "priority", "greater_than_equal"),
    ({"budget": {}}, "budget", "budget"),
    ({"budget": {"amount": "1"}}, "budget", "budget"),
    ({"budget": {"currency": "USD"}}, "budget", "budget"),
    ({"budget": {"calls": 5, "currency": "USD"}}, "budget", "budget"),
    ({"budget": {"calls": 0}}, "budget.calls", "greater_than_equal"),
    ({"budget": {"amount": 12.5, "currency": "USD"}}, "budget.amount", "string_type"),
    *(({"budget": {"amount": text, "currency": "USD"}}, "budget.amount", "amount") for text in NO_AMOUNTS),
    *(({"budget": {"amount": "1", "currency": text}}, "budget.currency", "currency") for text in ("", "usd", "US", "USDT", "€")),
    ({"max_calls": 3}, "max_calls", "extra_forbidden"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "value", "field", "kind"), [*((Retries, *row) for row in WRONG_RETRIES), *((RunRules, *row) for row in WRONG_RULES)]
)
def test_what_is_wrong_is_named(model: type[BaseModel], value: dict[str, Any], field: str, kind: str) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(value, strict=True)
    [error] = caught.value.errors()
    assert (".".join(map(str, error["loc"])), error["type"]) == (field, kind)
    assert kind in inputs.WRONG, "the web process has its sentence, to be translated"


def test_the_sentences_are_those_of_the_web_process() -> None:
    assert {kind: inputs.WRONG[kind] for kind in SENTENCES} == SENTENCES


GIVEN: dict[str, Any] = {
    "calling_hours": None,
    "retries": {"no-answer": {"times": 2, "after_minutes": [0.5, 240]}},
    "min_gap_hours": 1.5,
    "max_per_day": None,
    "budget": {"amount": "12.50", "currency": "USD"},
}


def test_what_a_run_was_given_is_kept_and_no_more() -> None:
    rules = RunRules.model_validate(GIVEN, strict=True)
    assert rules.given() == GIVEN
    assert RunRules.model_validate(rules.given(), strict=True) == rules
    assert RunRules().given() == {}


def test_absent_is_the_businesses_and_null_is_none() -> None:
    business = CallingRules(calling_hours=default_hours("IL"), retries=RETRIES, min_gap_hours=24, max_per_day=3)
    assert effective(business, RunRules()).given() == business.given()
    nothing = RunRules(calling_hours=None, retries=None, min_gap_hours=0, max_per_day=None, priority=5)
    assert effective(business, nothing) == nothing
    some = effective(business, RunRules(max_per_day=1, recently_called="skip"))
    assert (some.max_per_day, some.min_gap_hours, some.calling_hours, some.recently_called) == (1, 24, default_hours("IL"), "skip")


def test_no_calls_a_day_is_no_limit() -> None:
    assert RunRules(max_per_day=0).given() == {"max_per_day": None}


STRICT = CallingRules(calling_hours=default_hours("IL"), min_gap_hours=24, max_per_day=3)
FREE = CallingRules()


@pytest.mark.parametrize(
    ("business", "run", "looser"),
    [
        (STRICT, RunRules(), []),
        (STRICT, RunRules(min_gap_hours=24, max_per_day=3, calling_hours=default_hours("IL")), []),
        (STRICT, RunRules(min_gap_hours=48, max_per_day=1, calling_hours=CallingHours()), []),
        (STRICT, RunRules(retries=RETRIES, recently_called="skip", priority=100), []),
        (STRICT, RunRules(min_gap_hours=23.99), ["min_gap_hours"]),
        (STRICT, RunRules(min_gap_hours=0), ["min_gap_hours"]),
        (STRICT, RunRules(min_gap_hours=None), ["min_gap_hours"]),
        (STRICT, RunRules(max_per_day=4), ["max_per_day"]),
        (STRICT, RunRules(max_per_day=None), ["max_per_day"]),
        (STRICT, RunRules(calling_hours=default_hours("US")), ["calling_hours"]),
        (STRICT, RunRules(calling_hours=None, min_gap_hours=0, max_per_day=None), ["calling_hours", "min_gap_hours", "max_per_day"]),
        (FREE, RunRules(calling_hours=None, min_gap_hours=0, max_per_day=None), []),
        (FREE, RunRules(calling_hours=default_hours("IL"), min_gap_hours=1, max_per_day=1), []),
    ],
)
def test_a_run_that_is_looser_than_its_business(business: CallingRules, run: RunRules, looser: list[str]) -> None:
    assert loosens(business, run) == looser


def test_the_gap_is_between_runs() -> None:
    calls = [EarlierCall(NOW - 24 * HOUR, 1), EarlierCall(NOW - 24 * HOUR + SECOND, 2), EarlierCall(NOW - HOUR, 3)]
    assert gap_ends([], 24, {9}, NOW) is None
    assert gap_ends(calls[:1], 24, {9}, NOW) is None, "at its end the gap is over"
    assert gap_ends(calls[:2], 24, {9}, NOW) == NOW + SECOND
    assert gap_ends(calls, 24, {9}, NOW) == NOW + 23 * HOUR
    assert gap_ends(calls, 24, {9, 3}, NOW) == NOW + SECOND, "retries of the run itself, and the run that it repeats"
    assert gap_ends(calls, 24, {9, 3, 2}, NOW) is None
    assert gap_ends(calls, 1.5, {9}, NOW) == NOW + HOUR / 2
    assert gap_ends(calls, 0, {9}, NOW) is None


def test_every_call_of_the_day_counts() -> None:
    calls = [EarlierCall(NOW - SECOND, 1), EarlierCall(NOW, 1), EarlierCall(NOW + HOUR, 2)]
    assert calls_today(calls, NOW) == 2
    assert calls_today([], NOW) == 0


def test_a_register_that_is_too_old() -> None:
    required = [RequiredRegister(name="IL", max_age_days=15), RequiredRegister(name="US", max_age_days=31)]
    fifteen = NOW - timedelta(days=15)
    assert registers_too_old(required, {"IL": fifteen, "US": fifteen}, NOW) == []
    assert registers_too_old(required, {"IL": fifteen - SECOND, "US": fifteen}, NOW) == ["IL"]
    assert registers_too_old(required, {"IL": NOW}, NOW) == ["US"]
    assert registers_too_old([], {}, NOW) == []
