"""When people answer: the calls of the last weeks by the hour of the week, and the best time to call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from web.operations.settings.business import own_business
from web.pages.formatting import week_order
from web.server import keys

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.call_history.call_history import HourCount
    from web.access.auth import Principal

SPAN: Final = timedelta(days=28)
HOURS: Final = range(8, 22)
# Fewer calls say nothing about an hour.
LEAST_CALLS: Final = 5
SHADES: Final = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """An hour of the week: `share` of its calls that a person answered, in per cent; None with too few calls. `shade` is from 0 to 5."""

    weekday: int
    hour: int
    calls: int
    share: int | None
    shade: int


@dataclass(frozen=True, slots=True)
class AnswerHours:
    """Rows of cells, a row a day; `best` is the hour with the highest share, None while nothing can be said.

    An hour from `first` o'clock to `last` o'clock has a share once it has had `least_calls`.
    """

    rows: list[list[Cell]]
    best: Cell | None
    first: int = HOURS.start
    last: int = HOURS.stop
    least_calls: int = LEAST_CALLS


async def answer_hours(request: http.Request, principal: Principal) -> AnswerHours:
    """The hours of the week in the zone of the business.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    business = await own_business(request, principal)
    since = request.app[keys.CLOCK].now() - SPAN
    counts = await request.app[keys.CALL_HISTORY].by_hour(principal.business_id, since=since, zone=business.timezone)
    found = {(count.weekday, count.hour): count for count in counts}
    rows = [[_cell(day, hour, found.get((day, hour))) for hour in HOURS] for day in week_order(business.region)]
    told = [cell for row in rows for cell in row if cell.share is not None]
    return AnswerHours(rows, max(told, key=lambda cell: (cell.share or 0, cell.calls), default=None))


def _cell(weekday: int, hour: int, count: HourCount | None) -> Cell:
    if count is None or count.calls < LEAST_CALLS:
        return Cell(weekday, hour, count.calls if count else 0, None, 0)
    share = round(count.answered * 100 / count.calls)
    return Cell(weekday, hour, count.calls, share, min(1 + share * SHADES // 101, SHADES))
