"""Draws what `watch` shows on a terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ringmaster.commands.runs.watch_view import COUNTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ringmaster.commands.runs.watch_view import WatchView

TEXTUAL_COLUMNS = ("run", "status")


@contextmanager
def screen() -> Iterator[Callable[[WatchView, str], None]]:
    """A part of the terminal that is drawn again with each view, for the length of a block."""
    with Live(console=Console(), auto_refresh=False) as live:
        yield lambda view, problem: live.update(drawn(view, problem), refresh=True)


def drawn(view: WatchView, problem: str) -> Panel:
    """A view; `problem` says why it is an old one, empty when it is not."""
    table = Table(box=None, pad_edge=False, expand=True)
    for name in TEXTUAL_COLUMNS:
        table.add_column(name, no_wrap=True)
    for name in COUNTS:
        table.add_column(name.replace("in_progress", "on the line"), justify="right")
    reasons = []
    for row in view.rows:
        table.add_row(Text(row.name), row.status, *map(str, row.counts))
        if row.why and row.why != view.notice:
            reasons.append(Text(f"run {row.run.run_id}: {row.why}", style="yellow"))
    parts = [Text(text, style=style) for text, style in ((problem, "red"), (view.notice, "yellow")) if text]
    shown = table if view.rows else Text("no campaign has calls to make", style="dim")
    events = [Text(event.line, style="dim", no_wrap=True) for event in view.events]
    return Panel(Group(*parts, shown, *reasons, Text(), *events), title=Text(view.title), title_align="left")
