"""The small run of the demo is created at most 20 s before its hours open, at whatever second the demo starts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dialer.policy.calling_hours import CallingHours
from dialer.policy.windows import next_window
from ringmaster.demo import late_opening
from ringmaster.demo.late_opening import LEAST_WAIT, MINUTE, MOST_WAIT, creation, next_opening

NOON = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
ZONE = f"US:{late_opening.ZONE}"


def test_at_any_second_it_waits_and_not_long() -> None:
    for now in (NOON + timedelta(seconds=tenths / 10) for tenths in range(600)):
        created = creation(now)
        assert now <= created < now + MINUTE
        assert LEAST_WAIT <= next_opening(created) - created <= MOST_WAIT, now


def test_it_is_created_at_once_when_the_wait_is_right() -> None:
    now = NOON + timedelta(seconds=50)
    assert creation(now) == now


@pytest.mark.parametrize(
    "opens",
    [
        NOON,
        datetime(2026, 5, 21, 7, 0, tzinfo=UTC),  # midnight in Phoenix
        datetime(2026, 5, 21, 6, 59, tzinfo=UTC),  # its last minute of the day
        datetime(2026, 12, 25, 18, 0, tzinfo=UTC),  # a holiday
        datetime(2027, 3, 14, 9, 30, tzinfo=UTC),  # the night on which other clocks change
    ],
)
def test_its_hours_open_then_and_not_before(opens: datetime) -> None:
    hours = CallingHours.model_validate(late_opening.hours(opens))
    window = next_window(hours, ZONE, opens - timedelta(seconds=10), by_day=False)
    assert window
    assert window.opens_at == opens
    assert window.closes_at >= opens + timedelta(days=1)
