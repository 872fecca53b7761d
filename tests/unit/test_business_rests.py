"""When a business requests permits again after a claim that met a lock, or that failed."""

from __future__ import annotations

from actors.dispatch.dispatcher import ClaimResult
from actors.supervisor.business import Business
from actors.supervisor.messages import CallOver, Effect, RequestPermits, Rest, RestOver, Wake
from sql.attempts.attempts import Verdict
from sql.attempts.verdicts import VerdictCode


def answered(business: Business, code: VerdictCode) -> list[Effect]:
    business.claim_pending = True
    return business.handle(ClaimResult((), Verdict(1, code), 0.0))


def test_a_lock_that_stays_is_retried_less_and_less_often() -> None:
    business = Business(1, 3)
    pauses = []
    for _ in range(9):
        [rest] = answered(business, VerdictCode.BUSY)
        assert isinstance(rest, Rest)
        pauses.append(rest.seconds)
        assert business.handle(RestOver()) == [RequestPermits(3)]
    assert pauses == [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5]


def test_any_other_verdict_makes_the_next_pause_short_again() -> None:
    business = Business(1, 3)
    for _ in range(5):
        answered(business, VerdictCode.BUSY)
        business.handle(RestOver())
    answered(business, VerdictCode.FULL)
    assert answered(business, VerdictCode.BUSY) == [Rest(0.005)]


def test_a_parked_business_rests_whatever_happens() -> None:
    business = Business(1, 3)
    assert answered(business, VerdictCode.PARKED) == [Rest(30.0)]
    assert business.handle(Wake()) == []
    assert [effect for effect in business.handle(CallOver(7, 1)) if isinstance(effect, RequestPermits)] == []
    assert business.handle(RestOver()) == [RequestPermits(3)]
