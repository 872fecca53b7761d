"""Decides how each call goes, from the seed, the number and how often it was called.

Pure: no clock, no I/O. Times are in simulated seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Final

from telephony.simulator.randomness import between, fraction


class Scenario(StrEnum):
    """How a call goes; `mix` draws one of the others, `refused` is rejected by the API at once.

    `limit` is accepted and then fails: the account has as many calls as it may (10004). `queued` waits in the provider's queue for an hour.
    """

    MIX = "mix"
    ANSWER = "answer"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"
    MACHINE = "machine"
    SLOW = "slow"
    REFUSED = "refused"
    LIMIT = "limit"
    QUEUED = "queued"


# In per cent: about what a campaign to known numbers meets.
WEIGHTS: Final = {
    Scenario.ANSWER: 55,
    Scenario.NO_ANSWER: 15,
    Scenario.MACHINE: 12,
    Scenario.BUSY: 10,
    Scenario.SLOW: 5,
    Scenario.FAILED: 3,
}

NEVER: Final = float("inf")
QUEUED_SECONDS: Final = 3600.0
AT_ITS_LIMIT: Final = 10004
ENDS: Final = {Scenario.BUSY: "busy", Scenario.FAILED: "failed", Scenario.LIMIT: "failed"}


@dataclass(frozen=True, slots=True)
class Plan:
    """The course of one call, in simulated seconds; `ends` is set when it ends without ringing."""

    scenario: Scenario
    queue_seconds: float
    dial_seconds: float
    ring_seconds: float
    talk_seconds: float
    answered_by: str
    ends: str | None = None
    error_code: int | None = None


def plan(scenario: Scenario, seed: int, to: str, nth: int) -> Plan:
    """The course of the `nth` call (from 0) to a number."""
    kind = _drawn(seed, to, nth) if scenario is Scenario.MIX else scenario
    slow = kind is Scenario.SLOW
    key = (seed, to, nth)
    return Plan(
        scenario=kind,
        queue_seconds=QUEUED_SECONDS if kind is Scenario.QUEUED else between(0.05, 0.2, *key, "queue"),
        dial_seconds=between(5, 9, *key, "dial") if slow else between(0.4, 2, *key, "dial"),
        ring_seconds=_ring_seconds(kind, key),
        talk_seconds=between(90, 240, *key, "talk") if slow else between(4, 60, *key, "talk"),
        answered_by="machine" if kind is Scenario.MACHINE else "human",
        ends=ENDS.get(kind),
        error_code=AT_ITS_LIMIT if kind is Scenario.LIMIT else None,
    )


def _ring_seconds(kind: Scenario, key: tuple[int, str, int]) -> float:
    match kind:
        case Scenario.NO_ANSWER:
            return NEVER
        case Scenario.SLOW:
            return between(15, 25, *key, "ring")
        case _:
            return between(2, 12, *key, "ring")


def _drawn(seed: int, to: str, nth: int) -> Scenario:
    point = fraction(seed, to, nth, "scenario") * sum(WEIGHTS.values())
    return next(kind for kind, edge in zip(WEIGHTS, accumulate(WEIGHTS.values()), strict=True) if point < edge)
