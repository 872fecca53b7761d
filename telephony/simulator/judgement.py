"""What the ledger proves: how many calls at once, how often each number, what came after a given time.

Recounted from the ledger each time, not kept: a count that is kept can drift, which is what it is here to catch in others.

On the road of a call: read by tests and by the demo's last table.
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
    """What one caller id did."""

    calls: int
    most_at_once: int
    now: int
    statuses: dict[str, int]
    to: dict[str, int]


class Summary(TypedDict):
    """What everybody did; `requests_after` and `calls_after` count from the time asked for, or are all."""

    calls: int
    requests: int
    requests_after: int
    calls_after: int
    callbacks: dict[str, int]
    callers: dict[str, Caller]


def summary(ledger: CallLog, after: datetime | None = None) -> Summary:
    """Recount the whole ledger; `after` is an aware time."""
    by_caller: defaultdict[str, list[Call]] = defaultdict(list)
    for call in ledger.calls.values():
        by_caller[call.from_].append(call)
    return Summary(
        calls=len(ledger.calls),
        requests=len(ledger.received),
        requests_after=sum(1 for received in ledger.received if after is None or received.at > after),
        calls_after=sum(1 for call in ledger.calls.values() if after is None or call.created_at > after),
        callbacks=dict(ledger.callbacks),
        callers={caller: _caller(calls) for caller, calls in by_caller.items()},
    )


def most_at_once(calls: Iterable[Call]) -> int:
    """Count the most of these calls that existed at one instant: from being created, queued ones included, to the end."""
    changes = [(call.opened, 1) for call in calls]
    changes += [(call.closed, -1) for call in calls if call.closed is not None]
    return max(accumulate(step for _, step in sorted(changes)), default=0)


def book(ledger: CallLog) -> dict[str, list[dict[str, object]]]:
    """Give the whole ledger as JSON can hold it: every call, and every request for one."""
    return {"calls": [_entry(call) for call in ledger.calls.values()], "requests": _requests(ledger)}


def _caller(calls: list[Call]) -> Caller:
    return Caller(
        calls=len(calls),
        most_at_once=most_at_once(calls),
        now=sum(1 for call in calls if not call.over),
        statuses=dict(Counter(call.status for call in calls)),
        to=dict(Counter(call.to for call in calls)),
    )


def _entry(call: Call) -> dict[str, object]:
    return {
        "sid": call.sid,
        "account": call.account,
        "to": call.to,
        "from": call.from_,
        "created_at": call.created_at.isoformat(),
        "answered_at": _iso(call.answered_at),
        "ended_at": _iso(call.ended_at),
        "status": call.status,
        "scenario": call.plan.scenario.value,
        "requests": call.requests,
    }


def _requests(ledger: CallLog) -> list[dict[str, object]]:
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
        for received in ledger.received
    ]


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
