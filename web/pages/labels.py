"""The words a person reads for each status, state, outcome and reason, and the picture beside them.

A status is never shown by its colour alone: it has a word and a picture of its own shape.

On the road of a call: beside it; what the database calls `no-answer` a person reads as "No answer".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.model import AttemptState, JobStatus, RunStatus
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sql.runs.runs import Run

# Counts of a run in the order of the bar: what is done first, what is still to do last.
COUNTS: Final = ("completed", "failed", "cancelled", "skipped", "in_progress", "queued")

COUNT_LABELS: Final[Mapping[str, str]] = {
    "completed": msgid("Completed"),
    "failed": msgid("Failed"),
    "cancelled": msgid("Cancelled"),
    "skipped": msgid("Skipped"),
    "in_progress": msgid("In progress"),
    "queued": msgid("Queued"),
}

RUN_LABELS: Final[Mapping[str, str]] = {
    "pending": msgid("Not started"),
    "running": msgid("Running"),
    "paused": msgid("Paused"),
    "completed": msgid("Completed"),
    "cancelled": msgid("Cancelled"),
    "stopped": msgid("Stopped"),
    "failed": msgid("Failed"),
    "cancelling": msgid("Cancelling"),
}

JOB_LABELS: Final[Mapping[str, str]] = {
    "queued": msgid("Queued"),
    "dialing": msgid("Dialing"),
    "calling": msgid("On the line"),
    "completed": msgid("Completed"),
    "failed": msgid("Failed"),
    "cancelled": msgid("Cancelled"),
    "skipped": msgid("Skipped"),
}

OUTCOME_LABELS: Final[Mapping[str, str]] = {
    "human": msgid("A person answered"),
    "answered": msgid("Answered"),
    "machine": msgid("Answering machine"),
    "fax": msgid("Fax machine"),
    "completed": msgid("Answered"),
    "busy": msgid("Busy"),
    "no-answer": msgid("No answer"),
    "failed": msgid("Could not be connected"),
    "canceled": msgid("Ended before it was answered"),
    "refused": msgid("Refused by the provider"),
    "lost": msgid("The provider lost the call"),
}

# What a filter of the leads may ask for; `completed` of an attempt is told apart by who answered.
OUTCOMES: Final = ("human", "answered", "machine", "fax", "busy", "no-answer", "failed", "refused", "lost", "canceled")

STATE_LABELS: Final[Mapping[str, str]] = {
    AttemptState.PLACING: msgid("Placing the call"),
    AttemptState.UNKNOWN: msgid("Waiting for proof from the provider"),
    AttemptState.PLACED: msgid("Placed"),
    AttemptState.RINGING: msgid("Ringing"),
    AttemptState.LIVE: msgid("In conversation"),
    AttemptState.NOT_PLACED: msgid("Never reached the provider"),
    AttemptState.NOT_SENT: msgid("Not sent"),
    AttemptState.OVER: msgid("Over"),
}

ACTION_WORDS: Final[Mapping[str, str]] = {
    "run.create": msgid("Loaded"),
    "run.start": msgid("Started"),
    "run.pause": msgid("Paused"),
    "run.resume": msgid("Resumed"),
    "run.cancel": msgid("Cancelled"),
    "run.stop": msgid("Stopped"),
    "job.cancel": msgid("One lead cancelled"),
}

BUTTON_LABELS: Final[Mapping[str, str]] = {
    "start": msgid("Start"),
    "pause": msgid("Pause"),
    "resume": msgid("Resume"),
    "cancel": msgid("Cancel"),
    "stop": msgid("Stop"),
}

# Twilio's words in a callback, https://www.twilio.com/docs/voice/api/call-resource#call-status-values
TWILIO_WORDS: Final[Mapping[str, str]] = {
    "queued": msgid("Queued at the provider"),
    "initiated": msgid("Dialled by the provider"),
    "ringing": msgid("Ringing"),
    "in-progress": msgid("Answered"),
    "completed": msgid("Call ended"),
    "busy": msgid("Busy"),
    "no-answer": msgid("No answer"),
    "failed": msgid("Could not be connected"),
    "canceled": msgid("Ended before it was answered"),
}

VERDICT_LABELS: Final[Mapping[str, str]] = {
    "applied": msgid("Changed the call"),
    "known": msgid("Nothing new: it was known already"),
    "second": msgid("A second call for the same attempt: to be hung up"),
}

ROLE_WORDS: Final[Mapping[str, str]] = {"viewer": msgid("Viewer"), "operator": msgid("Operator"), "admin": msgid("Administrator")}

# The statuses a list of runs can be filtered by, and a list of leads.
RUN_FILTERS: Final = tuple(RunStatus)
JOB_FILTERS: Final[Mapping[str, tuple[str, ...]]] = {
    "in_progress": (JobStatus.DIALING, JobStatus.CALLING),
    **{str(status): (status,) for status in JobStatus if not status.in_progress},
}


def run_label(run: Run) -> str:
    """The status a run is shown with: a cancel that waits for the calls on the line is a status of its own."""
    return "cancelling" if run.cancel_requested and not run.status.ended else str(run.status)


def label_of(labels: Mapping[str, str], key: str | None) -> str:
    """The msgid for `key`; what is not known is shown as it is, nothing as a dash."""
    if not key:
        return "\N{EN DASH}"
    return labels.get(key, key)
