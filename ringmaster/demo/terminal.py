"""Shows the progress of runs: panels on a terminal, plain lines without one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from dialer.clock import Clock
    from ringmaster.demo.run_view import RunView

LINE_SECONDS = 1.0  # at least between two plain lines of a run
COUNTDOWN_SECONDS = 10  # between two plain lines of a run that only waits
BAR_CHARACTERS = 28  # a panel fits a terminal of 80 columns, and three of them one of 24 lines
MAX_CALLS = 3


class Progress(Protocol):
    """Displays runs."""

    def refresh(self) -> None:
        """Display their current state."""


class LineProgress:
    """Prints a line for a run when it has changed, at most one a second, and one at its end."""

    def __init__(self, runs: Sequence[RunView], clock: Clock) -> None:
        self._runs = runs
        self._clock = clock
        self._printed: dict[int, tuple[float, str]] = {}

    def refresh(self) -> None:
        """Print the lines that are due."""
        now, wall = self._clock.boot(), self._clock.now()
        for run in self._runs:
            at, before = self._printed.get(run.run_id, (0.0, ""))
            state = status_line(run, run.waiting(wall, COUNTDOWN_SECONDS))
            if state != before and (run.over or now - at >= LINE_SECONDS):
                self._printed[run.run_id] = (now, state)
                print(status_line(run, run.waiting(wall)) + (f" | {run.last[-1]}" if run.last else ""), flush=True)


class PanelProgress:
    """Draws a panel for each run: bar, counts, what it waits for, calls in progress, last events."""

    def __init__(self, runs: Sequence[RunView], clock: Clock, live: Live) -> None:
        self._runs = runs
        self._clock = clock
        self._live = live

    def refresh(self) -> None:
        """Draw the panels again."""
        now = self._clock.now()
        self._live.update(Group(*(_panel(run, now) for run in self._runs)), refresh=True)


@contextmanager
def showing(runs: Sequence[RunView], clock: Clock, console: Console, *, terminal: bool) -> Iterator[Progress]:
    """A display of the runs for the length of a block."""
    if not terminal:
        yield LineProgress(runs, clock)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield PanelProgress(runs, clock, live)


def status_line(run: RunView, waiting: str | None = None) -> str:
    """The state of a run on one line; `waiting` is what it waits for."""
    counts = run.counts
    ended = ", ".join(f"{counts[name]} {name}" for name in ("completed", "failed", "cancelled", "skipped") if counts[name])
    return (
        f"{run.name}: {run.status}, {run.done} of {run.total} done, {counts['in_progress']} on the line"
        + (f" ({ended})" if ended else "")
        + (f" | {waiting}" if waiting else "")
    )


def _panel(run: RunView, now: datetime) -> Panel:
    bar = Table.grid(padding=(0, 2))
    bar.add_row(ProgressBar(total=max(run.total, 1), completed=run.done, width=BAR_CHARACTERS), f"{run.done}/{run.total}", _counts(run))
    below = Table.grid(expand=True, padding=(0, 2))
    below.add_column("on the line", ratio=1, no_wrap=True)
    below.add_column("last", ratio=1, no_wrap=True)
    below.add_row(_calls(run, run.waiting(now)), _last(run))
    state = f"run {run.run_id}, {run.status}" if run.run_id else run.status
    return Panel(Group(bar, Text(), below), title=f"{run.name} ({state})", title_align="left")


def _counts(run: RunView) -> Text:
    counts = run.counts
    columns = (
        (counts["completed"], "completed", "green"),
        (counts["failed"], "failed", "red"),
        (counts["in_progress"], "on the line", "cyan"),
    )
    return Text("  ").join(Text(f"{count} {name}", style=style) for count, name, style in columns)


def _calls(run: RunView, waiting: str | None) -> Text:
    lines = [Text(waiting, style="yellow")] if waiting else []
    lines += [Text(f"☎ {run.lead(call['lead_id'])}: {call.get('state') or call['status']}", style="cyan") for call in run.calls]
    lines += [Text("·", style="dim")] * (MAX_CALLS - len(lines))
    return Text("\n").join(lines)


def _last(run: RunView) -> Text:
    lines = list(run.last)[-MAX_CALLS:]
    return Text("\n").join(Text(line, style="dim") for line in lines)
