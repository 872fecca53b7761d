"""The demo finds each kind of discrepancy, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ringmaster.demo.accounting import Evidence, Results, discrepancies, results

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


def test_a_run_in_order_has_no_discrepancies(sound: Evidence) -> None:
    assert discrepancies(sound) == []


def test_leads_are_counted_by_outcome(sound: Evidence) -> None:
    assert results(sound) == Results(
        total=8, answered=2, voicemail=1, busy=1, no_answer=1, failed=1, cancelled=1, skipped=1, most_at_once=3
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"status": "failed", "last_error": "the account is closed"}, "failed, not completed: the account is closed"),
        ({"total_leads": 9}, "9"),
        ({"queued": 1}, "add up to 9 of 8"),
        ({"completed": 4, "failed": 2}, "the run counts 4 completed, its jobs 3"),
    ],
)
def test_wrong_counts_of_a_run_are_found(sound: Evidence, change: dict[str, Any], sentence: str) -> None:
    assert any(sentence in text for text in discrepancies(replace(sound, run={**sound.run, **change})))


def test_a_lead_that_has_not_ended_is_found(sound: Evidence) -> None:
    jobs = [{**sound.jobs[0], "status": "calling"}, *sound.jobs[1:]]
    assert any("no final status: lead 100 (calling)" in text for text in discrepancies(replace(sound, jobs=jobs)))


def test_a_lost_job_is_found(sound: Evidence) -> None:
    assert any("8 leads and 7 jobs" in text for text in discrepancies(replace(sound, jobs=sound.jobs[1:])))


def test_a_lead_listed_twice_is_found(sound: Evidence) -> None:
    assert any("lead_id twice 101" in text for text in discrepancies(replace(sound, jobs=[sound.jobs[1], *sound.jobs[1:]])))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"to": {"+12125550100": 2}}, "called more than once: number +12125550100 (2 times)"),
        ({"to": {"+12125550199": 1}}, "called, but no job was dialled: number +12125550199"),
        ({"to": {}}, "dialled by its job, but unknown to the simulator: number +12125550100"),
        ({"most_at_once": 4}, "4 calls at once, 3 are allowed"),
        ({"now": 1}, "1 of its calls have not"),
    ],
)
def test_the_calls_of_the_simulator_are_compared(sound: Evidence, change: dict[str, Any], sentence: str) -> None:
    assert any(sentence in text for text in discrepancies(replace(sound, calls={**sound.calls, **change})))


def test_many_discrepancies_of_one_kind_are_one_line(sound: Evidence) -> None:
    called = {f"+1212555{number}": 1 for number in range(2000, 2100)} | dict(sound.calls["to"])
    [text] = discrepancies(replace(sound, calls={**sound.calls, "to": called}))
    assert text.endswith("and 95 more")
