"""The calls of a run over time, as stacked columns: drawn here, or in finer columns as data for a chart that can be zoomed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from web.access.auth import require_principal
from web.operations.runs import requested_run
from web.pages import frame
from web.pages.outcome_groups import GROUP_OF, GROUPS
from web.server import i18n, keys
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from aiohttp import web as http

    from sql.call_history.call_history import CallCount
    from sql.runs.runs import Run

COLUMNS: Final = 60
# Of a chart that is zoomed: a day in minutes.
FINE_COLUMNS: Final = 1440
# Widths of a column that people can name.
STRETCHES: Final = tuple(timedelta(minutes=n) for n in (1, 5, 15, 30, 60, 180, 360, 720, 1440))
# What is drawn of a run: all of it, or its last hour, as while it goes on: then it is read again and again.
ALL, HOUR = "all", "hour"
LAST: Final = timedelta(hours=1)
HEIGHT: Final = 80
WIDTH: Final = 10
IN_PROGRESS: Final = "progress"
IN_PROGRESS_LABEL: Final = msgid("On the line")


class Piece(NamedTuple):
    """A part of a column, in units of the drawing."""

    key: str
    y: int
    height: int


@dataclass(frozen=True, slots=True)
class Column:
    """The calls of one stretch of time by the keys of their groups, stacked from the bottom."""

    at: datetime
    x: int
    counts: dict[str, int]
    pieces: list[Piece]

    @property
    def calls(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Chart:
    """`minutes` is the width of a column; `most` the calls of the highest one, or 1; `other` the range to look at next, if there is one."""

    columns: list[Column]
    minutes: int
    most: int
    other: str = ""

    @property
    def width(self) -> int:
        """In units of the drawing."""
        return len(self.columns) * WIDTH


async def chart_of(request: http.Request, run: Run) -> Chart | None:
    """The chart of the range that the query asks for; None before the first call.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    if run.started_at is None:
        return None
    now = request.app[keys.CLOCK].now()
    until = _end_of(run, now)
    shown = request.query.get("range", HOUR if until is now else ALL)
    is_longer = until - run.started_at > LAST
    since = until - LAST if shown == HOUR and is_longer else run.started_at
    stretch = _stretch(until - since, COLUMNS)
    since = since.replace(second=0, microsecond=0)
    counts = request.app[keys.RESULT_COUNTS]
    counted = await counts.calls(run, since=since, until=until + stretch, seconds=stretch.total_seconds())
    other = (ALL if shown == HOUR else HOUR) if is_longer else ""
    if not counted and other != ALL:
        return None
    return replace(_chart(since, stretch, counted, number=int((until - since) / stretch) + 1), other=other)


async def closer(request: http.Request) -> http.Response:
    """The dialog with the chart of all of the run, for scripts.

    In its data `at` is when each column of so many `minutes` begins, in seconds since 1970. Of each of the `series`, `key` names its
    colour, `label` is for people, and `calls` are those in each column.
    """
    run = await requested_run(request, require_principal(request))
    return await frame.render(request, "run_closer.html", chart=await _data(request, run))


async def _data(request: http.Request, run: Run) -> dict[str, Any]:
    if run.started_at is None:
        return {"at": [], "minutes": 1, "series": []}
    until = _end_of(run, request.app[keys.CLOCK].now())
    stretch = _stretch(until - run.started_at, FINE_COLUMNS)
    since, seconds = run.started_at.replace(second=0, microsecond=0), stretch.total_seconds()
    history = request.app[keys.CALL_HISTORY]
    counted = await history.counted(run.business_id, run.run_id, since=since, until=until + stretch, seconds=seconds)
    columns = _by_column(counted, int((until - since) / stretch) + 1)
    labels = {**{group.key: group.label for group in GROUPS}, IN_PROGRESS: IN_PROGRESS_LABEL}
    series: list[dict[str, Any]] = [
        {"key": key, "label": i18n.sentence(request, label), "calls": [column.get(key, 0) for column in columns]}
        for key, label in labels.items()
    ]
    at = [round((since + n * stretch).timestamp()) for n in range(len(columns))]
    return {"at": at, "minutes": round(seconds / 60), "series": [one for one in series if any(one["calls"])]}


def _end_of(run: Run, now: datetime) -> datetime:
    return run.ended_at if run.ended_at and not run.in_progress else now


def _stretch(length: timedelta, columns: int) -> timedelta:
    """The narrowest width of a column with which so many are enough."""
    return next((one for one in STRETCHES if length / one <= columns), STRETCHES[-1])


def _by_column(counted: list[CallCount], number: int) -> list[dict[str, int]]:
    """The calls in each of `number` columns, by the keys of their groups."""
    by_column: list[dict[str, int]] = [{} for _ in range(number)]
    for n, outcome, calls in counted:
        if 0 <= n < number:
            key = GROUP_OF[outcome].key if outcome in GROUP_OF else IN_PROGRESS
            by_column[n][key] = by_column[n].get(key, 0) + calls
    return by_column


def _chart(since: datetime, stretch: timedelta, counted: list[CallCount], *, number: int) -> Chart:
    by_column = _by_column(counted, number)
    most = max((sum(counts.values()) for counts in by_column), default=0) or 1
    columns = [Column(since + n * stretch, n * WIDTH, counts, list(_pieces(counts, most))) for n, counts in enumerate(by_column)]
    return Chart(columns, round(stretch.total_seconds() / 60), most)


def _pieces(counts: dict[str, int], most: int) -> Iterator[Piece]:
    below = 0
    for key in (*(group.key for group in GROUPS), IN_PROGRESS):
        if count := counts.get(key, 0):
            top = HEIGHT - (below + count) * HEIGHT // most
            yield Piece(key, top, HEIGHT - below * HEIGHT // most - top)
            below += count
