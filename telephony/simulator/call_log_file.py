"""Reads the calls of an earlier run from the file of the call log: a telephone company keeps its calls when a process restarts.

A call that was not over when the simulator stopped has ended with it.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from telephony.simulator.call_log import ENDED, OUTBOUND, Call
from telephony.simulator.scenarios import Plan, Scenario
from telephony.simulator.voice.recordings import Recording

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OVER: Final = Plan(Scenario.ANSWER, 0.0, 0.0, 0.0, 0.0, "human")


def read_calls(file: Path, now: datetime) -> list[Call]:
    """The calls in the file of a call log, oldest first; those that were not over have ended `now`."""
    calls: dict[str, Call] = {}
    for line in _lines(file):
        if line.get("event") == "reset":
            calls.clear()
        elif line.get("event") == "created":
            calls[line["sid"]] = _call(line)
        elif (call := calls.get(line.get("sid", ""))) is not None:
            _apply(call, line)
    for call in calls.values():
        if not call.over:
            _move(call, "completed" if call.answered_at else "failed", now)
    return list(calls.values())


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    if not file.exists():
        return
    text = file.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        # The process was killed while it wrote the last line: begin a new one.
        with file.open("a", encoding="utf-8") as book:
            book.write("\n")
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _call(line: dict[str, Any]) -> Call:
    at = datetime.fromisoformat(line["at"])
    return Call(
        sid=line["sid"],
        account=line["account"],
        to=line["to"],
        from_=line["from"],
        url=None,
        twiml=None,
        status_callback=None,
        events=frozenset(),
        ring_timeout_seconds=0,
        time_limit_seconds=0,
        machine_detection=None,
        plan=OVER,
        created_at=at,
        opened=0,
        direction=line.get("direction", OUTBOUND),
    )


def _apply(call: Call, line: dict[str, Any]) -> None:
    match line["event"]:
        case "heard":
            call.heard = line["heard"]
        case "recording":
            kept = line["recording"]
            call.recordings.append(Recording(**{**kept, "created_at": datetime.fromisoformat(kept["created_at"])}))
        case "recording_deleted":
            call.recordings = [recording for recording in call.recordings if recording.sid != line["recording"]]
        case status:
            _move(call, str(status), datetime.fromisoformat(line["at"]))


def _move(call: Call, status: str, at: datetime) -> None:
    call.status = status
    if status == "in-progress":
        call.answered_at = call.started_at = at
    if status in ENDED:
        call.ended_at = at
        call.duration_seconds = round((at - call.answered_at).total_seconds()) if call.answered_at else 0
