"""Which answered calls are greeted: every combination is checked against the table."""

from __future__ import annotations

import itertools

from dialer.model import AttemptState
from sql.attempts.attempts import RecordResult
from sql.attempts.verdicts import RecordVerdict
from web.twilio.greeting import greets
from web.twilio.receiver import CallbackResult

COMBINATIONS = list(itertools.product([*AttemptState, None], RecordVerdict, [False, True]))


def result(state: AttemptState | None, verdict: RecordVerdict, hang_up: bool) -> CallbackResult:  # noqa: FBT001
    return CallbackResult("AC", RecordResult(1, 1, verdict, state, hang_up=hang_up))


def test_every_combination_matches_the_table() -> None:
    greeted = {row for row in COMBINATIONS if greets(result(*row))}
    # A greeted call is live, belongs to this attempt, and no hang-up was requested: exactly these rows.
    assert greeted == {(AttemptState.LIVE, verdict, False) for verdict in (RecordVerdict.APPLIED, RecordVerdict.KNOWN)}


def test_without_postgresql_no_call_is_greeted() -> None:
    assert greets(None) is False
