"""The lines of a business as lanes: the calls of this run, what became of those that have just ended, and why a line is free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dialer.model import RunStatus
from web.operations.reports.waits_for import WaitReason
from web.server import keys
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from aiohttp import web as http

    from sql.call_history.call_history import EndedCall
    from sql.jobs.jobs import Job
    from sql.runs.runs import Run
    from web.operations.reports.waits_for import Wait

# How long the end of a call stays on its line.
SHOWN_SECONDS: Final = 3.0
# Beyond this, free lines are counted instead of drawn.
MOST_LANES: Final = 12
FREE: Final = msgid("Free")
NEXT: Final = msgid("Next call is coming")
STATES: Final = {
    RunStatus.PENDING: msgid("The campaign has not started"),
    RunStatus.PAUSED: msgid("Paused"),
}
REASONS: Final = {
    WaitReason.STOPPED: msgid("All dialling is stopped"),
    WaitReason.ACCOUNT: msgid("The provider account cannot be used"),
    WaitReason.REGISTER_TOO_OLD: msgid("A register is too old"),
    WaitReason.BUDGET: msgid("The budget is used up"),
    WaitReason.PAUSED: msgid("Paused"),
    WaitReason.NO_WORKER: msgid("The calling service is not running"),
    WaitReason.HISTORY: msgid("Earlier calls are being checked"),
    WaitReason.BUSY: msgid("The database is busy"),
    WaitReason.PARKED: msgid("An error keeps the next call back"),
    WaitReason.CLOCK: msgid("A short safety pause"),
    WaitReason.PROVIDER_AWAY: msgid("The provider cannot be reached"),
    WaitReason.UNCONFIRMED_CALLS: msgid("Calls are not confirmed"),
    WaitReason.SCHEDULED: msgid("The campaign has not started"),
    WaitReason.CLOSED: msgid("Outside calling hours"),
    WaitReason.RECENTLY_CALLED: msgid("Called recently"),
    WaitReason.RETRY: msgid("Waiting to call again"),
    WaitReason.OTHER_RUN: msgid("In use by another campaign"),
    WaitReason.LINES_IN_USE: FREE,
    WaitReason.PACED: msgid("Waiting for its turn"),
}


@dataclass(frozen=True, slots=True)
class Lane:
    """A line: with a call of this run (`job`), one that has just `ended`, one of another run, or free; `reason` is a msgid."""

    job: Job | None = None
    ended: EndedCall | None = None
    other_run: int | None = None
    reason: str = ""
    until: datetime | None = None

    @property
    def key(self) -> str:
        """What the browser knows the call by, so that it keeps its place; empty for a free line."""
        if self.job is not None:
            return f"call-{self.job.job_id}"
        return f"ended-{self.ended.attempt_id}" if self.ended is not None else ""


@dataclass(frozen=True, slots=True)
class Lines:
    """The lanes of a business; `more` are free lines beyond those drawn.

    Of the `total` that the run may use it has `in_use`; `of_others` have calls of other runs.
    """

    lanes: list[Lane]
    total: int
    in_use: int
    of_others: int
    more: int

    @property
    def shows_an_end(self) -> bool:
        """True while an ended call is shown, which must go after a moment."""
        return any(lane.ended for lane in self.lanes)


async def lines_of(request: http.Request, run: Run, waits: Sequence[Wait], *, total: int) -> Lines:
    """The lanes of the business of a run, which has `total` of them; of a run that takes no more leads only those with its own calls.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    calls = await request.app[keys.JOBS].on_every_line(run.business_id)
    used = [Lane(job=job) if run_id == run.run_id else Lane(other_run=run_id) for run_id, job in calls]
    in_use = sum(lane.job is not None for lane in used)
    of_others = len(used) - in_use
    if run.started_at and len(used) < total:
        used += [Lane(ended=call) for call in await _just_ended(request, run)][: total - len(used)]
    takes_leads = not run.status.ended and not run.cancel_requested
    if not takes_leads:
        used = [lane for lane in used if lane.other_run is None]
    free = max(total - len(used), 0) if takes_leads else 0
    drawn = min(free, max(MOST_LANES - len(used), 0))
    reason, until = _why_free(run, waits)
    return Lines([*used, *[Lane(reason=reason, until=until)] * drawn], min(total, run.concurrency), in_use, of_others, free - drawn)


async def _just_ended(request: http.Request, run: Run) -> list[EndedCall]:
    settings = request.app[keys.SETTINGS]
    longest = settings.ring_timeout_seconds + settings.call_time_limit_seconds + SHOWN_SECONDS
    return await request.app[keys.CALL_HISTORY].just_ended(run.business_id, run.run_id, placed_seconds=longest, ended_seconds=SHOWN_SECONDS)


def _why_free(run: Run, waits: Sequence[Wait]) -> tuple[str, datetime | None]:
    """Why a line is free, and until when, if that is known."""
    if waits:
        return REASONS[waits[0].reason], waits[0].until
    if run.status in STATES:
        return STATES[run.status], None
    return (NEXT if run.queued else FREE), None
