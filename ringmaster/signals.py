"""Ctrl-C, SIGTERM and a closed terminal: each starts one orderly stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from ringmaster.local.launch import end_with

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Awaitable

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_signal(work: Awaitable[int], *, interrupted: int) -> int:
    """Run `work` and return its exit code; a signal cancels it, and `interrupted` is returned.

    A second signal is ignored: the orderly stop is bounded, and cutting it short would leave processes behind for the kernel to end.
    """
    received: list[signal.Signals] = []
    task = asyncio.current_task()

    def stop(number: signal.Signals) -> None:
        received.append(number)
        if len(received) > 1 or task is None:
            return
        with contextlib.suppress(OSError):  # the terminal may have been closed
            print("stopping ...", file=sys.stderr, flush=True)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in ENDING:
        loop.add_signal_handler(number, stop, number)
    try:
        return await work
    except asyncio.CancelledError:
        if not received:
            raise
        return interrupted
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)


def add_parent_option(command: ArgumentParser) -> None:
    """Add `--with-parent`, see `follow_parent`."""
    command.add_argument("--with-parent", action="store_true", help="stop when the process that started this one ends (make does so)")


def follow_parent(*, enabled: bool) -> None:
    """Have the kernel send SIGTERM when our parent ends: people stop a command that make runs by killing make."""
    if enabled:
        end_with(os.getppid(), signal.SIGTERM)
