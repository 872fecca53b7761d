"""Decides how each call goes, from the seed, the number and how often it was called.

Pure: no clock, no I/O. Times are in simulated seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

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


Seconds = Annotated[float, Field(ge=0, le=86_400)]
Keys = Annotated[str, Field(pattern=r"^[0-9*#]{0,64}$")]


class Course(BaseModel):
    """How a call to one number goes where that is not left to its scenario; `scenario` None: the simulator's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scenario: Scenario | None = None
    # Of a refused call: Twilio's code in the answer. Of any other: it fails, with this code in its last callback.
    error_code: Annotated[int, Field(ge=10_000, le=999_999)] | None = None
    # The keys pressed at each <Gather> in turn, and the words said at one that listens.
    digits: tuple[Keys, ...] = ()
    speech: Annotated[str, Field(max_length=500)] = ""
    answered_by: Literal["human", "machine", "fax", "unknown"] | None = None
    greeting_seconds: Seconds | None = None
    greeting_end: Literal["beep", "silence", "other"] = "beep"
    talk_seconds: Seconds | None = None


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
    greeting_seconds: float = 0.0
    greeting_end: str = "beep"
    digits: tuple[str, ...] = ()
    speech: str = ""


def plan_course(course: Course, scenario: Scenario, seed: int, to: str, nth: int) -> Plan:
    """The course of the `nth` call (from 0) to a number that has a course of its own; `scenario` is the simulator's."""
    drawn = plan(course.scenario or scenario, seed, to, nth)
    fails = course.error_code is not None and drawn.scenario is not Scenario.REFUSED
    return replace(
        drawn,
        error_code=course.error_code or drawn.error_code,
        ends="failed" if fails else drawn.ends,
        digits=course.digits,
        speech=course.speech,
        answered_by=course.answered_by or drawn.answered_by,
        greeting_seconds=drawn.greeting_seconds if course.greeting_seconds is None else course.greeting_seconds,
        greeting_end=course.greeting_end,
        talk_seconds=drawn.talk_seconds if course.talk_seconds is None else course.talk_seconds,
    )


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
        greeting_seconds=between(2, 8, *key, "greeting") if kind is Scenario.MACHINE else 2.0,
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
