"""Is every lead accounted for? Recounted from three sides: the run's counters, its jobs, and the calls the simulator saw.

Pure: no I/O. After the road of a call: the auditor at its end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
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
FINAL = {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.SKIPPED}
SHOWN = 5  # of many of one kind
VOICEMAIL = {"machine", "fax"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the three say of one run. `calls` is what the simulator's summary has for the business's number: `to`, `most_at_once`."""

    accepted: int
    max_calls: int
    run: Mapping[str, Any]
    jobs: Sequence[Mapping[str, Any]]
    calls: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Results:
    """How the leads of a run ended. `answered` leaves out what a machine answered, `failed` what was busy or not answered."""

    total: int
    answered: int
    voicemail: int
    busy: int
    no_answer: int
    failed: int
    cancelled: int
    skipped: int
    most_at_once: int


def results(found: Evidence) -> Results:
    """Count the jobs by how they ended."""
    status = Counter(job["status"] for job in found.jobs)
    outcome = Counter((job["status"], job["outcome"]) for job in found.jobs)
    voicemail = sum(outcome[JobStatus.COMPLETED, word] for word in VOICEMAIL)
    busy, no_answer = outcome[JobStatus.FAILED, Outcome.BUSY], outcome[JobStatus.FAILED, Outcome.NO_ANSWER]
    return Results(
        total=len(found.jobs),
        answered=status[JobStatus.COMPLETED] - voicemail,
        voicemail=voicemail,
        busy=busy,
        no_answer=no_answer,
        failed=status[JobStatus.FAILED] - busy - no_answer,
        cancelled=status[JobStatus.CANCELLED],
        skipped=status[JobStatus.SKIPPED],
        most_at_once=found.calls.get("most_at_once", 0),
    )


def faults(found: Evidence) -> list[str]:
    """Everything that is wrong, a sentence each; none when every lead is accounted for."""
    return [*_run_faults(found), *_job_faults(found), *_call_faults(found)]


def _run_faults(found: Evidence) -> list[str]:
    run, said = found.run, []
    if run["status"] != "completed":
        said.append(f"the run is {run['status']}, not completed" + (f": {run['last_error']}" if run["last_error"] else ""))
    if run["total_leads"] != found.accepted:
        said.append(f"{found.accepted} leads were accepted, the run has {run['total_leads']}")
    if (counted := sum(run[name] for name in COUNTED)) != run["total_leads"]:
        said.append(f"the run's counts add up to {counted} of {run['total_leads']}")
    return said


def _job_faults(found: Evidence) -> list[str]:
    said = []
    status = Counter(job["status"] for job in found.jobs)
    for name, statuses in COUNTED.items():
        if (counted := sum(status[word] for word in statuses)) != found.run[name]:
            said.append(f"the run says {found.run[name]} {name}, its jobs say {counted}")
    if len(found.jobs) != found.run["total_leads"]:
        said.append(f"the run has {found.run['total_leads']} leads and {len(found.jobs)} jobs")
    for word in ("job_id", "lead_id"):
        said += _each(f"{word} twice", [key for key, times in Counter(job[word] for job in found.jobs).items() if times > 1])
    said += _each("not ended: lead", [f"{job['lead_id']} ({job['status']})" for job in found.jobs if job["status"] not in FINAL])
    return said


def _call_faults(found: Evidence) -> list[str]:
    called: Mapping[str, int] = found.calls.get("to", {})
    # What the provider refused at once was dialled, and never became a call.
    dialled = {job["phone"] for job in found.jobs if job["attempts"] and job["outcome"] != Outcome.REFUSED}
    said = _each("called more than once: number", [f"{phone} ({times} times)" for phone, times in called.items() if times > 1])
    said += _each("said to be dialled, but no call was seen: number", sorted(dialled - called.keys()))
    said += _each("called, but no job says so: number", sorted(called.keys() - dialled))
    if now := found.calls.get("now", 0):
        said.append(f"the run is over, and {now} of its calls are not")
    if (most := found.calls.get("most_at_once", 0)) > found.max_calls:
        said.append(f"{most} calls at once, {found.max_calls} are allowed")
    return said


def _each(what: str, which: Sequence[object]) -> list[str]:
    if not which:
        return []
    more = f" and {len(which) - SHOWN} more" if len(which) > SHOWN else ""
    return [f"{what} {', '.join(map(str, which[:SHOWN]))}{more}"]
