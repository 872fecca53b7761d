"""Summarizes the call log: how many calls at once, how often each number was called, what came after a given time.

Recounted from the log each time: a stored count can drift, which is the error this summary is there to detect.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from telephony.simulator.call_log import Call, CallLog


class Caller(TypedDict):
    """The calls of one caller id; `first_at` is when the first of them was created, in ISO 8601."""

    calls: int
    first_at: str
    most_at_once: int
    now: int
    statuses: dict[str, int]
    to: dict[str, int]


class Summary(TypedDict):
    """All calls; `requests_after` and `calls_after` count from the given time, or everything.

    `listings` and `fetches` are how many lists, and how many single calls, have been requested.
    """

    calls: int
    requests: int
    requests_after: int
    calls_after: int
    listings: int
    fetches: int
    callbacks: dict[str, int]
    callers: dict[str, Caller]


def summarize(call_log: CallLog, after: datetime | None = None, *, listings: int = 0, fetches: int = 0) -> Summary:
    """Recount the whole log; `after` is an aware time. The log does not have the requests for lists and single calls."""
    by_caller: defaultdict[str, list[Call]] = defaultdict(list)
    for call in call_log.calls.values():
        by_caller[call.from_].append(call)
    return Summary(
        calls=len(call_log.calls),
        requests=len(call_log.received),
        requests_after=sum(1 for received in call_log.received if after is None or received.at > after),
        calls_after=sum(1 for call in call_log.calls.values() if after is None or call.created_at > after),
        listings=listings,
        fetches=fetches,
        callbacks=dict(call_log.callbacks),
        callers={caller: _caller(calls) for caller, calls in by_caller.items()},
    )


def most_at_once(calls: Iterable[Call]) -> int:
    """The most of these calls that existed at one instant: from their creation, queued ones included, to their end."""
    changes = [(call.opened, 1) for call in calls]
    changes += [(call.closed, -1) for call in calls if call.closed is not None]
    return max(accumulate(step for _, step in sorted(changes)), default=0)


def as_json(call_log: CallLog) -> dict[str, list[dict[str, object]]]:
    """The whole log as JSON values: every call, and every request for one."""
    return {"calls": [call_entry(call) for call in call_log.calls.values()], "requests": _requests(call_log)}


def _caller(calls: list[Call]) -> Caller:
    return Caller(
        calls=len(calls),
        first_at=min(call.created_at for call in calls).isoformat(),
        most_at_once=most_at_once(calls),
        now=sum(1 for call in calls if not call.over),
        statuses=dict(Counter(call.status for call in calls)),
        to=dict(Counter(call.to for call in calls)),
    )


def call_entry(call: Call) -> dict[str, object]:
    """One call as JSON values: its course, what was heard, and how long the dialer took for each answer."""
    return {
        "sid": call.sid,
        "account": call.account,
        "to": call.to,
        "from": call.from_,
        "direction": call.direction,
        "created_at": call.created_at.isoformat(),
        "answered_at": _iso(call.answered_at),
        "ended_at": _iso(call.ended_at),
        "status": call.status,
        "scenario": call.plan.scenario.value,
        "requests": call.requests,
        "answered_by": call.answered_by,
        "heard": call.heard,
        "script_error": call.script_error,
        "callback_seconds": [round(seconds, 4) for seconds in call.callback_seconds],
        "script_seconds": [round(seconds, 4) for seconds in call.script_seconds],
        "recordings": [recording.sid for recording in call.recordings],
    }


def _requests(call_log: CallLog) -> list[dict[str, object]]:
    return [
        {
            "at": received.at.isoformat(),
            "account": received.account,
            "to": received.to,
            "from": received.from_,
            "status": received.status,
            "sid": received.sid,
            "fault": received.fault,
        }
        for received in call_log.received
    ]


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
