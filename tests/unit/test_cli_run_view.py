"""The displayed state of a run follows from the events of its stream."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ringmaster.demo.run_view import RunView, names
from ringmaster.demo.sse import ServerEvent
from ringmaster.demo.terminal import status_line

RUN = {"status": "running", "total_leads": 4, "queued": 2, "in_progress": 1, "completed": 1, "failed": 0, "cancelled": 0, "skipped": 0}
NOW = datetime(2026, 5, 20, 12, 0, 45, 500_000, tzinfo=UTC)
OPENS = NOW.replace(second=0, microsecond=0) + timedelta(minutes=1)
LOCAL = f"{OPENS.astimezone():%H:%M}"
CLOSED = {"reason": "closed", "since": None, "until": "2026-05-20T12:01:00Z", "detail": "It is outside the calling hours."}
ENDED = RUN | {"status": "completed", "queued": 0, "in_progress": 0, "completed": 4}


@pytest.fixture
def view() -> RunView:
    return RunView("Harbor Light", 7, 4, {2004: "Patricia O'Neill"})


def event(name: str, data: dict[str, Any]) -> ServerEvent:
    return ServerEvent(name, json.dumps({"type": name, "run_id": 7, "data": data}))


def whole(name: str, **body: object) -> ServerEvent:
    return ServerEvent(name, json.dumps({"type": name, "run_id": 7, **body}))


def test_a_reset_event_sets_the_whole_state(view: RunView) -> None:
    view.apply(whole("reset", run=RUN, calls=[{"lead_id": 2004, "status": "calling"}]))
    assert (view.done, view.over, len(view.calls)) == (1, False, 1)
    assert status_line(view) == "Harbor Light: running, 1 of 4 done, 1 on the line (1 completed)"


def test_progress_moves_counts_and_calls(view: RunView) -> None:
    view.apply(event("run.progress", RUN | {"completed": 2, "queued": 1}))
    view.apply(event("call.progress", {"calls": [{"lead_id": 2004, "state": "ringing"}]}))
    assert (view.done, view.calls[0]["state"]) == (2, "ringing")


def test_events_name_the_lead(view: RunView) -> None:
    view.apply(event("run.started", {}))
    view.apply(event("job.changed", {"lead_id": 2004, "status": "failed", "outcome": "no-answer"}))
    view.apply(event("job.changed", {"lead_id": 2005, "status": "completed", "outcome": "human"}))
    view.apply(event("job.changed", {"lead_id": 2006, "status": "cancelled", "outcome": None}))
    assert list(view.last) == ["the run has started", "Patricia O'Neill: no answer", "lead 2005: answered", "lead 2006: cancelled"]


def test_it_is_over_when_the_run_has_ended_and_no_call_is_left(view: RunView) -> None:
    view.update(ENDED | {"in_progress": 1, "status": "stopped"})
    assert not view.over
    view.apply(whole("end", run=ENDED))
    assert (view.over, view.end_seen, view.calls) == (True, True, ())


def test_unknown_events_are_ignored(view: RunView) -> None:
    view.apply(event("voice.transcript", {"text": "hello"}))
    view.apply(ServerEvent("message", ""))
    assert not view.last


def test_names_are_read_as_far_as_they_can_be() -> None:
    text = "\ufefflead_id,phone,name\n1,050,נועה\n1,051,other\n,052,nobody\nx,053,letters\n2,054\n3,055,\xe9"
    assert names(text.encode()) == {1: "נועה", 3: "é"}
    assert names("1,\xe9".encode("latin-1")) == {}


def test_a_run_says_when_its_hours_open_and_counts_down(view: RunView) -> None:
    view.update(RUN | {"waits_for": [CLOSED]})
    assert view.waiting(NOW) == f"waiting: opens at {LOCAL}, in 15 s"
    assert view.waiting(NOW, step_seconds=10) == f"waiting: opens at {LOCAL}, in 20 s"
    view.apply(event("run.progress", RUN))
    assert view.waiting(NOW + timedelta(seconds=10)) == f"waiting: opens at {LOCAL}, in 5 s"
    assert view.waiting(OPENS) is None


def test_of_several_waits_the_first_to_end_is_shown(view: RunView) -> None:
    retry = {"reason": "retry", "until": "2026-05-20T12:00:50.25Z"}
    view.update(RUN | {"waits_for": [CLOSED, retry]})
    assert view.waiting(NOW) == "waiting: calls again, in 5 s"
    assert status_line(view, view.waiting(NOW)).endswith("(1 completed) | waiting: calls again, in 5 s")


def test_a_wait_without_a_known_end_is_not_shown(view: RunView) -> None:
    view.update(RUN | {"waits_for": [{"reason": "lines_in_use", "since": None, "detail": "All lines are in use."}]})
    assert view.waiting(NOW) is None
    view.update(RUN | {"waits_for": [CLOSED | {"reason": "recently_called"}]})
    assert view.waiting(NOW) == f"waiting: recently called until {LOCAL}:00, in 15 s"
    view.update(ENDED)
    assert view.waiting(NOW) is None
