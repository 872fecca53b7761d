"""Finds and ends processes that a killed command left behind, by the mark in their title or command line."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

import psutil

from ringmaster.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_SECONDS = 0.01
END_SECONDS = 10.0


async def end_marked(mark: str, first: signal.Signals, within_seconds: float = END_SECONDS) -> None:
    """End every process that carries `mark`, by `first` and then by SIGKILL: orphans, and workers that outlive their master.

    Raises:
        CommandError: when one cannot be ended.
    """
    for number in (first, signal.SIGKILL):
        processes = marked(mark)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.send_signal(number)
                process.resume()  # a stopped process does not handle signals
        if not processes or await until(lambda: not marked(mark), within_seconds):
            return
    message = f"processes {[process.pid for process in marked(mark)]} of an earlier run do not end; end them by hand"
    raise CommandError(message)


def marked(mark: str) -> list[psutil.Process]:
    """The living processes that carry `mark` in their title or command line."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(mark in part for part in process.info["cmdline"] or ())
    ]


async def until(condition: Callable[[], bool], within_seconds: float) -> bool:
    """Poll `condition` every 10 ms until it is true; returns its last value."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_seconds):
            while not condition():  # noqa: ASYNC110 another process gives no event
                await asyncio.sleep(POLL_SECONDS)
    return condition()
