"""Says why a run that should be calling is not: what its worker has written down, and what the rows show.

On the road of a call: beside 3; what a person sees of a run that stands still.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from dialer.model import RunStatus
from web.operations.provider_outage import provider_waited_for_since
from web.server import keys
from web.server.i18n import msgid

if TYPE_CHECKING:
    from datetime import datetime

    from aiohttp import web as http

    from sql.runs.runs import Run, Waits

# A run that is driven says so at least this often (contract, section 3).
DRIVEN: Final = timedelta(seconds=30)

SENTENCES: Final = {
    "account": msgid(
        "Nothing is called: the saved credentials of this business's provider account cannot be read. They have to be saved again."
    ),
    "history": msgid("The database has been restored. Before the next call, earlier calls are compared with the telephone company's list."),
    "busy": msgid("Another program holds this run in the database. Calling goes on when it lets go."),
    "parked": msgid(
        "Taking the next lead fails with an error. It is tried again every 30 seconds; the administrator finds the error in the log."
    ),
    "clock": msgid("The database's clock has jumped. Calling goes on by itself after a short safety pause."),
    "no_worker": msgid("No worker drives this run. Calling goes on when one is running."),
    "provider_away": msgid(
        "The telephone company cannot be reached or refuses calls for now. The leads wait, and calling goes on by itself."
    ),
    "unconfirmed_calls": msgid(
        "All lines are taken, some by calls that the telephone company has not confirmed yet. Most of them are settled within minutes."
    ),
    "lines_in_use": msgid("All lines of this business are in use."),
    "paused": msgid("The run is paused."),
}
# What the page says in its own places, or is no trouble.
SAID_ELSEWHERE: Final = frozenset({"provider_away", "lines_in_use", "paused"})


@dataclass(frozen=True, slots=True)
class Wait:
    """One reason, as a word of the contract, and since when it holds, where that is known."""

    reason: str
    since: datetime | None


async def waits_for(request: http.Request, run: Run) -> list[Wait]:
    """Why a run that is not over takes no lead at this moment; empty when it does, or has not begun.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is away.
    """
    if run.status is RunStatus.PAUSED:
        return [Wait("paused", None)]
    if run.status is not RunStatus.RUNNING or run.cancel_requested or not run.queued:
        return []
    found = await request.app[keys.RUNS].waits_for(run.business_id)
    waits = _of_worker(run, found)
    if away_since := await provider_waited_for_since(request, run):
        waits.append(Wait("provider_away", away_since))
    if found.is_full and found.unconfirmed_since:
        waits.append(Wait("unconfirmed_calls", found.unconfirmed_since))
    elif found.is_full:
        waits.append(Wait("lines_in_use", None))
    return waits


def _of_worker(run: Run, found: Waits) -> list[Wait]:
    """What its worker says, and that there seems to be none."""
    seen_at = run.lock_ts or run.started_at
    waits = [Wait(found.reason, found.since)] if found.reason in SENTENCES else []
    # A business whose account cannot be opened is driven by nobody, and that is why.
    if found.reason != "account" and seen_at and found.now - seen_at > DRIVEN:
        waits.append(Wait("no_worker", seen_at))
    return waits
