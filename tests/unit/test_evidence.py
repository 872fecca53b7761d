"""Two checks prove what one alone cannot: apart by the database's clock and by the worker's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from actors.calls.evidence import Moment, no_such_call, not_listed, shown_again
from actors.calls.reconciler import listed_since
from actors.services import CallPolicy
from dialer.model import AttemptState
from sql.attempts.attempts import OpenAttempt
from telephony.provider import Listing

LAG, RING, LIMIT = 60.0, 30, 600
RULES = CallPolicy("https://x", RING, LIMIT, LAG, 1.0, "AC0")
SENT_BY = datetime(2030, 1, 1, tzinfo=UTC)
ME, OTHER = "me", "other"


def attempt(evidence: dict[str, Any] | None = None) -> OpenAttempt:
    return OpenAttempt(
        1, 1, 1, 1, AttemptState.UNKNOWN, "n", UUID(int=0), None, "+1", "+2", "AC0", SENT_BY, SENT_BY - timedelta(seconds=5), SENT_BY,
        0.0, 0, hang_up=False, partition=0, evidence=evidence,
    )  # fmt: skip


def at(seconds: float, boot: float | None = None, by: str = ME, trusted_from: float = 0.0) -> Moment:
    """So long after the last moment it could be sent; by the worker's own clock, by default, as long."""
    return Moment(SENT_BY.timestamp() + seconds, 1000 + (seconds if boot is None else boot), by, trusted_from)


def proven(*moments: Moment) -> bool:
    evidence: dict[str, Any] | None = None
    absent = False
    for moment in moments:
        absent, evidence = not_listed(attempt(evidence), moment, RULES)
    return absent


@pytest.mark.parametrize(
    ("moments", "absent"),
    [
        ((at(2.3), at(60.3)), True),
        ((at(2.3), at(59)), False),
        ((at(1.9), at(60.3)), False),
        ((at(60.3), at(62)), False),
        ((at(30), at(88)), True),
        # The database's clock jumps: the worker's says that no time has passed between the two.
        ((at(2.3), at(3600, boot=5)), False),
        ((at(2.3), at(3600, boot=5), at(3601, boot=6)), False),
        # It jumps before the first: the two are not far enough apart.
        ((at(3600, boot=-3), at(3602, boot=-1)), False),
        # It jumps back: what was seen before counts no more.
        ((at(100), at(61, boot=160)), False),
        # Two workers: their boot clocks have nothing to do with each other.
        ((at(2.3, by=OTHER), at(60.3)), False),
        ((at(2.3, by=OTHER), at(60.3), at(118)), True),
        # The first list is older than the clock is trusted.
        ((at(2.3), at(60.3, trusted_from=1010)), False),
        ((at(2.3), at(60.3, trusted_from=1010), at(118, trusted_from=1010)), True),
    ],
)
def test_absence_needs_two_lists_apart_by_two_clocks(moments: tuple[Moment, ...], absent: bool) -> None:  # noqa: FBT001
    assert proven(*moments) is absent


def test_a_call_whose_answer_named_another_is_never_absent() -> None:
    absent, evidence = not_listed(attempt({"confused": True, "first": at(2.3).mark()}), at(600), RULES)
    assert (absent, evidence["confused"]) == (False, True)


LONGEST = RING + LIMIT + LAG


@pytest.mark.parametrize(
    ("moments", "lost"),
    [
        ((at(LONGEST - 1), at(LONGEST - 0.5)), False),
        ((at(LONGEST + 1),), False),
        ((at(1), at(LONGEST + 1)), False),
        ((at(LONGEST + 1), at(LONGEST + 30)), False),
        ((at(LONGEST + 1), at(LONGEST + 62)), True),
        ((at(LONGEST + 1, boot=5), at(LONGEST + 62, boot=7)), False),
        ((at(LONGEST + 1, by=OTHER), at(LONGEST + 62)), False),
        ((at(LONGEST + 1), at(LONGEST + 62, trusted_from=1e6)), False),
    ],
)
def test_a_call_is_lost_when_it_is_unknown_twice_after_its_longest_possible_end(
    moments: tuple[Moment, ...],
    lost: bool,  # noqa: FBT001
) -> None:
    evidence: dict[str, Any] | None = None
    found = False
    for moment in moments:
        found, evidence = no_such_call(attempt(evidence), moment, RULES)
    assert found is lost
    assert evidence is not None
    assert evidence["missing"] == moments[0].at, "since when it is missing"


def test_what_is_shown_again_is_not_missing() -> None:
    _, evidence = no_such_call(attempt({"first": 1}), at(LONGEST + 1), RULES)
    assert shown_again(attempt(evidence)) == {"first": 1}
    assert shown_again(attempt()) is None


@pytest.mark.parametrize("ahead", [-300.0, -7.0, 0.0, 7.0, 300.0])
def test_the_window_of_a_list_holds_the_call_whatever_the_providers_clock(ahead: float) -> None:
    """The database's clock was read 3 s before the answer; the call was created at once, and both clocks show whole seconds."""
    one = attempt()
    listing = Listing((), complete=True, at=one.as_of + timedelta(seconds=3 + ahead))
    created = (one.created_at + timedelta(seconds=ahead)).replace(microsecond=0)
    assert listed_since(one, listing, 4.0, jumped=False) <= created


def test_without_a_date_the_window_is_minutes_and_after_a_jump_a_day() -> None:
    one, silent = attempt(), Listing((), complete=True)
    assert one.created_at - listed_since(one, silent, 0.0, jumped=False) == timedelta(minutes=10)
    assert one.created_at - listed_since(one, replace(silent, at=one.as_of), 0.0, jumped=True) == timedelta(days=1)
