"""The demo finds each kind of discrepancy, and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
        total=8, answered=2, voicemail=1, busy=1, no_answer=1, failed=1, cancelled=1, skipped=1, called_again=0, calls=6, most_at_once=3
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
        ({"to": {}}, "number +12125550100 (0 calls, 1 attempts)"),
        ({"most_at_once": 4}, "4 calls at once, 3 are allowed"),
        ({"now": 1}, "1 of its calls have not"),
    ],
)
def test_the_calls_of_the_simulator_are_compared(sound: Evidence, change: dict[str, Any], sentence: str) -> None:
    assert any(sentence in text for text in discrepancies(replace(sound, calls={**sound.calls, **change})))


@pytest.mark.parametrize(
    ("number", "times", "attempts"),
    [("+12125550100", 2, 1), ("+12125550100", 0, 1), ("+12125550105", 1, 0), ("+12125550107", 1, 0), ("+12125550199", 1, 0)],
)
def test_each_number_has_as_many_calls_as_its_job_has_attempts(sound: Evidence, number: str, times: int, attempts: int) -> None:
    calls = {**sound.calls, "to": {**sound.calls["to"], number: times}}
    [text] = discrepancies(replace(sound, calls=calls))
    assert text.endswith(f"number {number} ({times} calls, {attempts} attempts)")


def test_many_discrepancies_of_one_kind_are_one_line(sound: Evidence) -> None:
    called = {f"+1212555{number}": 1 for number in range(2000, 2100)} | dict(sound.calls["to"])
    [text] = discrepancies(replace(sound, calls={**sound.calls, "to": called}))
    assert text.endswith("and 95 more")


def called_again(sound: Evidence, outcome: str, attempts: int) -> Evidence:
    """The same run, with a retry after no answer: the lead that was answered first has this outcome after so many attempts."""
    first, *others = (job for job in sound.jobs if job["outcome"] != "no-answer")
    status = "completed" if outcome == "human" else "failed"
    jobs = [{**first, "status": status, "outcome": outcome, "attempts": attempts}, *others]
    counts = Counter(job["status"] for job in jobs)
    run = {**sound.run, "total_leads": 7, "completed": counts["completed"], "failed": counts["failed"]}
    called = [job["phone"] for job in jobs if job["attempts"] and job["outcome"] != "refused"]
    to = {**dict.fromkeys(called, 1), first["phone"]: attempts}
    return replace(sound, accepted=7, run=run, jobs=jobs, calls={**sound.calls, "to": to}, retries={"no-answer": 1})


@pytest.mark.parametrize(("outcome", "attempts"), [("human", 1), ("human", 2), ("no-answer", 2), ("busy", 2)])
def test_a_lead_that_is_called_again_has_several_calls(sound: Evidence, outcome: str, attempts: int) -> None:
    evidence = called_again(sound, outcome, attempts)
    assert discrepancies(evidence) == []
    assert (results(evidence).called_again, results(evidence).calls) == (attempts - 1, 4 + attempts)


@pytest.mark.parametrize(
    ("outcome", "attempts", "sentence"),
    [
        ("no-answer", 1, "not called again: lead 100 (no-answer)"),
        ("no-answer", 3, "called again more often than the run may: lead 100 (3 attempts)"),
    ],
)
def test_a_retry_that_is_missing_or_one_too_many_is_found(sound: Evidence, outcome: str, attempts: int, sentence: str) -> None:
    assert discrepancies(called_again(sound, outcome, attempts)) == [sentence]


def test_a_retry_of_a_run_without_any_is_found(sound: Evidence) -> None:
    evidence = replace(called_again(sound, "human", 2), retries={})
    assert discrepancies(evidence) == ["called again more often than the run may: lead 100 (2 attempts)"]


def test_a_call_before_the_calling_hours_open_is_found(sound: Evidence) -> None:
    opens_at = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
    calls = {**sound.calls, "first_at": opens_at.isoformat()}
    assert discrepancies(replace(sound, calls=calls, opens_at=opens_at)) == []
    [text] = discrepancies(replace(sound, calls=calls, opens_at=opens_at + timedelta(minutes=1)))
    assert text == "called at 2026-05-20T12:00:00+00:00, before its calling hours open at 2026-05-20T12:01:00+00:00"
