"""The labels of statuses, states, outcomes and actions: what the database calls `no-answer` a page shows as "No answer".

A status is never shown by its colour alone: it has a label, and an icon with a shape of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.model import AttemptState, RunStatus
from web.operations.reports.waits_for import WaitReason
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sql.runs.runs import Run
    from web.operations.reports.waits_for import Wait

# Counts of a run in the order of the bar: finished leads first, those still to be called last.
COUNTS: Final = ("completed", "failed", "cancelled", "skipped", "in_progress", "queued")

COUNT_LABELS: Final[Mapping[str, str]] = {
    "completed": msgid("Answered"),
    "failed": msgid("Not reached"),
    "cancelled": msgid("Cancelled"),
    "skipped": msgid("Left out"),
    "in_progress": msgid("On the line"),
    "queued": msgid("Still to call"),
}

# The colours of the counts in the bar of a list; what has not been called is the bar itself.
BAR_FILLS: Final = {
    "completed": "fill-person",
    "failed": "fill-no-answer",
    "cancelled": "fill-cancelled",
    "skipped": "fill-cancelled",
    "in_progress": "fill-progress",
    "queued": "fill-rest",
}

RUN_LABELS: Final[Mapping[str, str]] = {
    "pending": msgid("Not started"),
    "running": msgid("Calling"),
    "paused": msgid("Paused"),
    "completed": msgid("Completed"),
    "cancelled": msgid("Cancelled"),
    "stopped": msgid("Stopped"),
    "failed": msgid("Failed"),
    "cancelling": msgid("Ending"),
    "waiting": msgid("Waiting to call"),
}

JOB_LABELS: Final[Mapping[str, str]] = {
    "queued": msgid("Not called yet"),
    "dialing": msgid("Dialling"),
    "calling": msgid("On the line"),
    "completed": msgid("Answered"),
    "failed": msgid("Not reached"),
    "cancelled": msgid("Cancelled"),
    "skipped": msgid("Left out"),
}

STATE_LABELS: Final[Mapping[str, str]] = {
    AttemptState.PLACING: msgid("Placing the call"),
    AttemptState.UNKNOWN: msgid("Not confirmed by the provider"),
    AttemptState.PLACED: msgid("Placed"),
    AttemptState.RINGING: msgid("Ringing"),
    AttemptState.LIVE: msgid("Talking"),
    AttemptState.NOT_PLACED: msgid("Never reached the provider"),
    AttemptState.NOT_SENT: msgid("Not sent"),
    AttemptState.OVER: msgid("Call ended"),
}

ACTION_LABELS: Final[Mapping[str, str]] = {
    "run.create": msgid("Leads uploaded"),
    "run.start": msgid("Started"),
    "run.pause": msgid("Paused"),
    "run.resume": msgid("Resumed"),
    "run.cancel": msgid("Cancelled"),
    "run.stop": msgid("Stopped"),
    "run.again": msgid("Created to call people again"),
    "job.cancel": msgid("One lead cancelled"),
    "jobs.cancel": msgid("Leads cancelled"),
    "jobs.again": msgid("People called again in a new campaign"),
    "jobs.do_not_call": msgid("Leads added to the do-not-call list"),
}

BUTTON_LABELS: Final[Mapping[str, str]] = {
    "start": msgid("Start"),
    "pause": msgid("Pause"),
    "resume": msgid("Resume"),
}

# The CallStatus of a callback, https://www.twilio.com/docs/voice/api/call-resource#call-status-values
CALL_STATUS_LABELS: Final[Mapping[str, str]] = {
    "queued": msgid("Queued at the provider"),
    "initiated": msgid("Dialled by the provider"),
    "ringing": msgid("Ringing"),
    "in-progress": msgid("Answered"),
    "completed": msgid("Call ended"),
    "busy": msgid("Busy"),
    "no-answer": msgid("No answer"),
    "failed": msgid("Could not connect"),
    "canceled": msgid("Hung up before answer"),
}

VERDICT_LABELS: Final[Mapping[str, str]] = {
    "applied": msgid("Updated the call"),
    "known": msgid("Already known"),
    "second": msgid("A second call to the same lead: will be hung up"),
}

ROLE_LABELS: Final[Mapping[str, str]] = {"viewer": msgid("Viewer"), "operator": msgid("Operator"), "admin": msgid("Administrator")}

# Reasons of a run that is calling all the same: others have the lines or the pace of the account now.
TAKES_ITS_TURN: Final = frozenset({WaitReason.LINES_IN_USE, WaitReason.PACED})
# The statuses a list of runs can be filtered by.
RUN_FILTERS: Final = tuple(RunStatus)


def is_calling(run: Run, waits: Iterable[Wait]) -> bool:
    """True while a running run has calls on the line, or takes its turn; False while it waits for something else, as `waits` says."""
    return run.status is RunStatus.RUNNING and (run.in_progress > 0 or all(wait.reason in TAKES_ITS_TURN for wait in waits))


def run_label(run: Run, waits: Iterable[Wait] = ()) -> str:
    """The status to show for a run; a cancel that waits for calls on the line has one of its own, and so has a run that `waits`."""
    if run.cancel_requested and not run.status.ended:
        return "cancelling"
    return "waiting" if run.status is RunStatus.RUNNING and not is_calling(run, waits) else str(run.status)


def label_of(labels: Mapping[str, str], key: str | None) -> str:
    """The msgid for `key`; an unknown key is its own label, None is a dash."""
    if not key:
        return "\N{EN DASH}"
    return labels.get(key, key)
