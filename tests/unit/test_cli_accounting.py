"""The auditor of the demo: it finds what it is there to find, and nothing else.

On the road of a call: after it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ringmaster.demo.accounting import Evidence, Results, faults, results

OUTCOMES = [
    ("completed", "human"),
    ("completed", "machine"),
    ("completed", "answered"),
    ("failed", "busy"),
    ("failed", "no-answer"),
    ("failed", "refused"),
    ("cancelled", "canceled"),
    ("skipped", None),
]


def job(number: int, status: str, outcome: str | None) -> dict[str, Any]:
    attempts = int(status != "skipped")
    return {
        "job_id": number,
        "lead_id": 100 + number,
        "phone": f"+1212555010{number}",
        "status": status,
        "outcome": outcome,
        "attempts": attempts,
    }


@pytest.fixture
def sound() -> Evidence:
    jobs = [job(number, *ended) for number, ended in enumerate(OUTCOMES)]
    run = {"status": "completed", "last_error": None, "total_leads": 8, "queued": 0, "in_progress": 0}
    run |= {"completed": 3, "failed": 3, "cancelled": 1, "skipped": 1}
    called = [entry["phone"] for entry in jobs if entry["attempts"] and entry["outcome"] != "refused"]
    calls = {"to": dict.fromkeys(called, 1), "most_at_once": 3, "now": 0}
    return Evidence(accepted=8, max_calls=3, run=run, jobs=jobs, calls=calls)


def test_a_run_in_order_has_no_faults(sound: Evidence) -> None:
    assert faults(sound) == []


def test_leads_are_counted_by_how_they_ended(sound: Evidence) -> None:
    assert results(sound) == Results(
        total=8, answered=2, voicemail=1, busy=1, no_answer=1, failed=1, cancelled=1, skipped=1, most_at_once=3
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": "failed", "last_error": "the account is closed"}, "failed, not completed: the account is closed"),
        ({"total_leads": 9}, "9"),
        ({"queued": 1}, "add up to 9 of 8"),
        ({"completed": 4, "failed": 2}, "says 4 completed, its jobs say 3"),
    ],
)
def test_a_run_that_counts_wrongly_is_found(sound: Evidence, change: dict[str, Any], said: str) -> None:
    assert any(said in fault for fault in faults(replace(sound, run={**sound.run, **change})))


def test_a_lead_that_has_not_ended_is_found(sound: Evidence) -> None:
    jobs = [{**sound.jobs[0], "status": "calling"}, *sound.jobs[1:]]
    assert any("not ended: lead 100 (calling)" in fault for fault in faults(replace(sound, jobs=jobs)))


def test_a_lost_job_is_found(sound: Evidence) -> None:
    assert any("8 leads and 7 jobs" in fault for fault in faults(replace(sound, jobs=sound.jobs[1:])))


def test_a_lead_listed_twice_is_found(sound: Evidence) -> None:
    assert any("lead_id twice 101" in fault for fault in faults(replace(sound, jobs=[sound.jobs[1], *sound.jobs[1:]])))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"to": {"+12125550100": 2}}, "called more than once: number +12125550100 (2 times)"),
        ({"to": {"+12125550199": 1}}, "called, but no job says so: number +12125550199"),
        ({"to": {}}, "said to be dialled, but no call was seen: number +12125550100"),
        ({"most_at_once": 4}, "4 calls at once, 3 are allowed"),
        ({"now": 1}, "1 of its calls are not"),
    ],
)
def test_what_the_simulator_saw_is_compared(sound: Evidence, change: dict[str, Any], said: str) -> None:
    assert any(said in fault for fault in faults(replace(sound, calls={**sound.calls, **change})))


def test_many_faults_of_one_kind_are_one_line(sound: Evidence) -> None:
    called = {f"+1212555{number}": 1 for number in range(2000, 2100)} | dict(sound.calls["to"])
    [fault] = faults(replace(sound, calls={**sound.calls, "to": called}))
    assert fault.endswith("and 95 more")
