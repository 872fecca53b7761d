"""The table of who is greeted: every combination of what may be known, held against the sentences it is made of."""

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


def heard(
    before: AttemptState,
    after: AttemptState | None,
    verdict: RecordVerdict,
    wanted_before: bool,  # noqa: FBT001
    wanted_after: bool,  # noqa: FBT001
) -> CallbackResult:
    attempt = AttemptContext(
        before,
        hang_up=not wanted_before,
        excess=False,
        cancel_requested=False,
        sid=None,
        account_sid="AC",
        auth_token_sealed=None,
        partition=0,
    )
    return CallbackResult(attempt, RecordResult(1, 1, verdict, after, hang_up=not wanted_after))


def test_every_combination_has_the_answer_of_the_table() -> None:
    greeted = {row for row in COMBINATIONS if greets(heard(*row))}
    # Whoever is greeted is on a live call of this attempt that nobody wants ended: these rows, and none besides.
    assert greeted == {
        (AttemptState(before), AttemptState.LIVE, verdict, True, True)
        for before in {*OPEN, "not_placed"}
        for verdict in (RecordVerdict.APPLIED, RecordVerdict.KNOWN)
    }


def test_without_postgresql_nobody_is_greeted() -> None:
    assert greets(None) is False


@pytest.mark.parametrize("before", ["over", "not_sent"])
@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_call_of_an_attempt_that_has_ended_is_never_greeted(before: str, verdict: RecordVerdict) -> None:
    assert not any(greets(heard(AttemptState(before), after, verdict, True, True)) for after in AttemptState)  # noqa: FBT003
