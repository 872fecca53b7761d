"""Says why a run that should be calling is not, from the reason its worker recorded and from the database's rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dialer.model import AttemptState, RunStatus
from dialer.policy.checks import longest_seconds
from web.operations.reports.provider_outage import provider_waited_for_since
from web.server import keys
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from aiohttp import web as http

    from sql.runs.runs import Run, Waits

# A worker updates `lock_ts` of the runs it drives at least this often (contract, section 3).
DRIVEN: Final = timedelta(seconds=30)


class WaitReason(StrEnum):
    """Why a run takes no leads: the reasons listed in the contract. The first five are recorded by the worker."""

    ACCOUNT = "account"
    HISTORY = "history"
    BUSY = "busy"
    PARKED = "parked"
    CLOCK = "clock"
    NO_WORKER = "no_worker"
    PROVIDER_AWAY = "provider_away"
    UNCONFIRMED_CALLS = "unconfirmed_calls"
    LINES_IN_USE = "lines_in_use"
    PAUSED = "paused"


SENTENCES: Final = {
    WaitReason.ACCOUNT: msgid("Not calling: the saved credentials of this business's provider account cannot be read. Save them again."),
    WaitReason.HISTORY: msgid("The database was restored. Before the next call, earlier calls are checked against the provider's list."),
    WaitReason.BUSY: msgid("Another program holds a lock in the database. Calling resumes when the lock is released."),
    WaitReason.PARKED: msgid("The next lead cannot be called because of an error. We retry every 30 seconds; the error is in the log."),
    WaitReason.CLOCK: msgid("The database's clock has jumped. Calling resumes by itself after a short safety pause."),
    WaitReason.NO_WORKER: msgid("No worker is running. Calling resumes when one starts."),
    WaitReason.PROVIDER_AWAY: msgid("The provider cannot be reached or is rejecting calls. The leads wait, and calling resumes by itself."),
    WaitReason.UNCONFIRMED_CALLS: msgid(
        "All lines are in use, some by calls the provider has not confirmed yet. Most of these are settled within minutes."
    ),
    WaitReason.LINES_IN_USE: msgid("All lines of this business are in use."),
    WaitReason.PAUSED: msgid("Calling is paused."),
}
# The page shows these elsewhere, or they are not a problem.
SHOWN_ELSEWHERE: Final = frozenset({WaitReason.PROVIDER_AWAY, WaitReason.LINES_IN_USE, WaitReason.PAUSED})


@dataclass(frozen=True, slots=True)
class Wait:
    """One reason, and when it began to apply, if known."""

    reason: WaitReason
    since: datetime | None


async def waits_for(request: http.Request, run: Run) -> list[Wait]:
    """The reasons why a run that is not over takes no leads now; empty when it takes leads or has not started.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    if run.status is RunStatus.PAUSED:
        return [Wait(WaitReason.PAUSED, None)]
    if run.status is not RunStatus.RUNNING or run.cancel_requested or not run.queued:
        return []
    settings = request.app[keys.SETTINGS]
    limits = settings.ring_timeout_seconds, settings.call_time_limit_seconds
    lines = await request.app[keys.RUNS].waits_for(
        run.business_id,
        ringing_seconds=longest_seconds(AttemptState.RINGING, *limits),
        live_seconds=longest_seconds(AttemptState.LIVE, *limits),
    )
    waits = _of_worker(run, lines)
    if away_since := await provider_waited_for_since(request, run):
        waits.append(Wait(WaitReason.PROVIDER_AWAY, away_since))
    if lines.is_full and lines.unconfirmed_since:
        waits.append(Wait(WaitReason.UNCONFIRMED_CALLS, lines.unconfirmed_since))
    elif lines.is_full:
        waits.append(Wait(WaitReason.LINES_IN_USE, None))
    return waits


def outage_since(waits: Sequence[Wait]) -> datetime | None:
    """When the wait for the provider began; None when these waits do not include one."""
    return next((wait.since for wait in waits if wait.reason is WaitReason.PROVIDER_AWAY), None)


def _of_worker(run: Run, recorded: Waits) -> list[Wait]:
    """The reason the worker recorded, and `NO_WORKER` when no worker seems to be running."""
    driven_at = run.lock_ts or run.started_at
    waits = [Wait(WaitReason(recorded.reason), recorded.since)] if recorded.reason in SENTENCES else []
    # No worker drives a business whose saved credentials cannot be read; the account is then the reason to show.
    if recorded.reason != WaitReason.ACCOUNT and driven_at and recorded.now - driven_at > DRIVEN:
        waits.append(Wait(WaitReason.NO_WORKER, driven_at))
    return waits
