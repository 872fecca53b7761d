"""Which answered calls are greeted: every combination is checked against the table."""

from __future__ import annotations

import itertools

import pytest

from dialer.model import AttemptState
from sql.attempts.attempts import AttemptContext, RecordResult
from sql.attempts.verdicts import RecordVerdict
from web.twilio.greeting import greets
from web.twilio.receiver import CallbackResult

OPEN = {"placing", "unknown", "placed", "ringing", "live"}
VERDICTS = (
    RecordVerdict.APPLIED,
    RecordVerdict.KNOWN,
    RecordVerdict.REFUSED,
    RecordVerdict.STRANGER,
    RecordVerdict.SECOND,
    RecordVerdict.BUSY,
)
COMBINATIONS = list(itertools.product(AttemptState, [*AttemptState, None], VERDICTS, [False, True], [False, True]))


def result(
    before: AttemptState,
    after: AttemptState | None,
    verdict: RecordVerdict,
    wanted_before: bool,  # noqa: FBT001
    wanted_after: bool,  # noqa: FBT001
) -> CallbackResult:
    attempt = AttemptContext(before, hang_up=not wanted_before, account_sid="AC")
    return CallbackResult(attempt, RecordResult(1, 1, verdict, after, hang_up=not wanted_after))


def test_every_combination_matches_the_table() -> None:
    greeted = {row for row in COMBINATIONS if greets(result(*row))}
    # A greeted call is live, belongs to this attempt, and no hang-up was requested: exactly these rows.
    assert greeted == {
        (AttemptState(before), AttemptState.LIVE, verdict, True, True)
        for before in {*OPEN, "not_placed"}
        for verdict in (RecordVerdict.APPLIED, RecordVerdict.KNOWN)
    }


def test_without_postgresql_no_call_is_greeted() -> None:
    assert greets(None) is False


@pytest.mark.parametrize("before", ["over", "not_sent"])
@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_call_of_an_attempt_that_has_ended_is_never_greeted(before: str, verdict: RecordVerdict) -> None:
    assert not any(greets(result(AttemptState(before), after, verdict, True, True)) for after in AttemptState)  # noqa: FBT003
