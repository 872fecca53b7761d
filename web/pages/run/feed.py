"""What happened in a run, the newest first: a line for each call that has ended, and what people did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from web.pages.run.activity import run_activity
from web.server import keys

if TYPE_CHECKING:
    from datetime import datetime

    from aiohttp import web as http

    from sql.call_history.call_history import EndedCall
    from sql.runs.runs import Run
    from web.access.auth import Principal
    from web.pages.run.activity import ActivityEntry

MAX_LINES: Final = 40
# A call of a run may be placed a little after its end is recorded, never much.
AFTER_END: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class FeedLine:
    """A call that has ended, or what somebody did."""

    at: datetime
    call: EndedCall | None = None
    activity: ActivityEntry | None = None


async def feed_of(request: http.Request, principal: Principal, run: Run) -> list[FeedLine]:
    """The newest lines.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    lines = [FeedLine(entry.at, activity=entry) for entry in await run_activity(request, principal, run.run_id)]
    if run.started_at is not None:
        until = (run.ended_at or request.app[keys.CLOCK].now()) + AFTER_END
        history = request.app[keys.CALL_HISTORY]
        calls = await history.newest(run.business_id, run.run_id, since=run.started_at, until=until, limit=MAX_LINES)
        lines += [FeedLine(call.ended_at, call=call) for call in calls]
    return sorted(lines, key=lambda line: line.at, reverse=True)[:MAX_LINES]
