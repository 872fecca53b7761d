"""`python -m dialer watch`: the runs of one business, why nothing is called, and the last events, until Ctrl-C."""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from ringmaster import signals
from ringmaster.arguments import business_id
from ringmaster.commands.runs.watch_view import read_view
from ringmaster.database import address, connected
from ringmaster.errors import OptionError
from ringmaster.operations import services
from sql.errors import DatabaseUnavailableError
from web.server import errors, keys
from web.server.error_responses import said_in
from web.server.i18n import ENGLISH

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from aiohttp import web as http

    from ringmaster.commands.runs.watch_view import WatchEvent, WatchView

REFRESH_SECONDS = 1.0


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to argparse."""
    about = (
        "Show the runs of a business: their counts, why nothing is called, the lines in use and the last events. Refreshed every second"
        " until Ctrl-C. Without a terminal, or without requirements-local.txt: a line for each change."
    )
    watch = commands.add_parser("watch", help="see what the runs of a business do", description=about)
    watch.add_argument("--business", required=True, type=business_id, metavar="ID", help="the business_id")
    watch.set_defaults(run=run)


async def run(options: Namespace) -> int:
    """Run the command until a signal; 0 then.

    Raises:
        CommandError: when there is no such business, or the database cannot be used at the start.
    """
    return await signals.until_signal(_watch(options.business), interrupted=0)


async def _watch(business: int) -> int:
    async with connected(address()) as pool, services(pool) as app:
        found = await app[keys.BUSINESSES].get(business)
        if found is None:
            raise OptionError(option="--business", problem=f"there is no business {business}")
        with _display() as show:
            await _refresh(app, business, found.name, show)
    return 0


async def _refresh(app: http.Application, business: int, name: str, show: Callable[[WatchView, str], None]) -> None:
    view, problem = await read_view(app, business, name, ()), ""
    while True:
        show(view, problem)
        await asyncio.sleep(REFRESH_SECONDS)
        try:
            view, problem = await read_view(app, business, name, _active(view)), ""
        except DatabaseUnavailableError:
            problem = said_in(ENGLISH, errors.away().text)


def _active(view: WatchView) -> set[int]:
    return {row.run.run_id for row in view.rows if not row.run.status.ended}


@contextmanager
def _display() -> Iterator[Callable[[WatchView, str], None]]:
    screen: AbstractContextManager[Callable[[WatchView, str], None]] | None = None
    if sys.stdout.isatty():
        try:
            screen = import_module("ringmaster.commands.runs.watch_screen").screen()
        except ModuleNotFoundError as missing:  # rich comes with requirements-local.txt
            if missing.name != "rich":
                raise
    if screen is None:
        yield ChangeLines().show
        return
    with screen as show:
        yield show


class ChangeLines:
    """Prints a line for each change: of the business, of a run, and for each event."""

    def __init__(self) -> None:
        self._printed: dict[str, str] = {}
        self._events: list[WatchEvent] = []

    def show(self, view: WatchView, problem: str) -> None:
        """Print the lines that are new in `view`; `problem` says why it is an old one."""
        self._print("business", view.title + (f" | {view.notice}" if view.notice else ""))
        for row in view.rows:
            self._print(row.name, row.line)
        known = {event.key for event in self._events}
        for event in view.events:
            if event.key not in known:
                print(event.line, flush=True)
        self._events = view.events
        self._print("problem", problem)

    def _print(self, subject: str, line: str) -> None:
        if self._printed.get(subject, "") != line:
            self._printed[subject] = line
            if line:
                print(line, flush=True)
