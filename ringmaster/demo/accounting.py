"""Checks that every lead is accounted for, from three sources: the run's counters, its jobs, and the calls in the simulator.

Pure: no I/O.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dialer.model import JobStatus, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COUNTED = {
    "queued": (JobStatus.QUEUED,),
    "in_progress": (JobStatus.DIALING, JobStatus.CALLING),
    "completed": (JobStatus.COMPLETED,),
    "failed": (JobStatus.FAILED,),
    "cancelled": (JobStatus.CANCELLED,),
    "skipped": (JobStatus.SKIPPED,),
}
FINAL_STATUSES = {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.SKIPPED}
MAX_LISTED = 5
VOICEMAIL = {"machine", "fax"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One run in the three sources. `calls` is the simulator's summary of the business's number: `to`, `now`, `most_at_once`, `first_at`.

    `retries` are the further attempts that the run was given for an outcome; `opens_at` is when its calling hours open, if it has any.
    """

    accepted: int
    max_calls: int
    run: Mapping[str, Any]
    jobs: Sequence[Mapping[str, Any]]
    calls: Mapping[str, Any]
    retries: Mapping[str, int] = field(default_factory=dict)
    opens_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """How the leads of a run ended. `answered` excludes machines, `failed` excludes busy and not answered.

    `called_again` counts leads, `calls` the calls to all of them.
    """

    total: int
    answered: int
    voicemail: int
    busy: int
    no_answer: int
    failed: int
    cancelled: int
    skipped: int
    called_again: int
    calls: int
    most_at_once: int


def results(evidence: Evidence) -> Results:
    """Count the jobs by outcome."""
    status = Counter(job["status"] for job in evidence.jobs)
    outcome = Counter((job["status"], job["outcome"]) for job in evidence.jobs)
    voicemail = sum(outcome[JobStatus.COMPLETED, name] for name in VOICEMAIL)
    busy, no_answer = outcome[JobStatus.FAILED, Outcome.BUSY], outcome[JobStatus.FAILED, Outcome.NO_ANSWER]
    return Results(
        total=len(evidence.jobs),
        answered=status[JobStatus.COMPLETED] - voicemail,
        voicemail=voicemail,
        busy=busy,
        no_answer=no_answer,
        failed=status[JobStatus.FAILED] - busy - no_answer,
        cancelled=status[JobStatus.CANCELLED],
        skipped=status[JobStatus.SKIPPED],
        called_again=sum(_placed(job) > 1 for job in evidence.jobs),
        calls=sum(evidence.calls.get("to", {}).values()),
        most_at_once=evidence.calls.get("most_at_once", 0),
    )


def discrepancies(evidence: Evidence) -> list[str]:
    """Everything that is wrong, a sentence each; empty when every lead is accounted for."""
    return [*_in_run(evidence), *_in_jobs(evidence), *_in_attempts(evidence), *_in_calls(evidence)]


def _in_run(evidence: Evidence) -> list[str]:
    run, wrong = evidence.run, []
    if run["status"] != "completed":
        wrong.append(f"the run is {run['status']}, not completed" + (f": {run['last_error']}" if run["last_error"] else ""))
    if run["total_leads"] != evidence.accepted:
        wrong.append(f"{evidence.accepted} leads were accepted, the run has {run['total_leads']}")
    if (counted := sum(run[name] for name in COUNTED)) != run["total_leads"]:
        wrong.append(f"the run's counts add up to {counted} of {run['total_leads']}")
    return wrong


def _in_jobs(evidence: Evidence) -> list[str]:
    wrong = []
    status = Counter(job["status"] for job in evidence.jobs)
    for name, statuses in COUNTED.items():
        if (counted := sum(status[each] for each in statuses)) != evidence.run[name]:
            wrong.append(f"the run counts {evidence.run[name]} {name}, its jobs {counted}")
    if len(evidence.jobs) != evidence.run["total_leads"]:
        wrong.append(f"the run has {evidence.run['total_leads']} leads and {len(evidence.jobs)} jobs")
    for name in ("job_id", "lead_id"):
        wrong += _each(f"{name} twice", [key for key, times in Counter(job[name] for job in evidence.jobs).items() if times > 1])
    unfinished = [f"{job['lead_id']} ({job['status']})" for job in evidence.jobs if job["status"] not in FINAL_STATUSES]
    wrong += _each("no final status: lead", unfinished)
    return wrong


def _in_attempts(evidence: Evidence) -> list[str]:
    most = 1 + sum(evidence.retries.values())
    more = [f"{job['lead_id']} ({job['attempts']} attempts)" for job in evidence.jobs if job["attempts"] > most]
    # Its last call ended like this, so it has had every further attempt that this outcome gets.
    retried = [job for job in evidence.jobs if job["outcome"] in evidence.retries]
    fewer = [f"{job['lead_id']} ({job['outcome']})" for job in retried if job["attempts"] <= evidence.retries[job["outcome"]]]
    return _each("called again more often than the run may: lead", more) + _each("not called again: lead", fewer)


def _in_calls(evidence: Evidence) -> list[str]:
    called: Mapping[str, int] = evidence.calls.get("to", {})
    placed = Counter({job["phone"]: _placed(job) for job in evidence.jobs})
    numbers = sorted(phone for phone in {*called, *placed} if called.get(phone, 0) != placed[phone])
    differing = [f"{phone} ({called.get(phone, 0)} calls, {placed[phone]} attempts)" for phone in numbers]
    wrong = _each("calls in the simulator and attempts of the job differ: number", differing)
    if now := evidence.calls.get("now", 0):
        wrong.append(f"the run has ended, but {now} of its calls have not")
    if (most := evidence.calls.get("most_at_once", 0)) > evidence.max_calls:
        wrong.append(f"{most} calls at once, {evidence.max_calls} are allowed")
    if evidence.opens_at and (first := evidence.calls.get("first_at")) and datetime.fromisoformat(first) < evidence.opens_at:
        wrong.append(f"called at {first}, before its calling hours open at {evidence.opens_at.isoformat()}")
    return wrong


def _placed(job: Mapping[str, Any]) -> int:
    """The attempts that became a call: a request that the provider rejected never did, and it is the last of its job."""
    attempts: int = job["attempts"]
    return attempts - 1 if job["outcome"] == Outcome.REFUSED else attempts


def _each(text: str, items: Sequence[object]) -> list[str]:
    if not items:
        return []
    more = f" and {len(items) - MAX_LISTED} more" if len(items) > MAX_LISTED else ""
    return [f"{text} {', '.join(map(str, items[:MAX_LISTED]))}{more}"]
