"""Ctrl-C, SIGTERM and a closed terminal: each ends the work once, in order.

Beside the road of a call.
"""

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
    """Run `work` and give its exit code; a signal cancels it, which gives `interrupted`.

    A second signal changes nothing: the orderly stop is bounded, and cutting it short would leave processes to the kernel.
    """
    received: list[signal.Signals] = []
    task = asyncio.current_task()

    def stop(number: signal.Signals) -> None:
        received.append(number)
        if len(received) > 1 or task is None:
            return
        with contextlib.suppress(OSError):  # the terminal may be what has gone
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
    """Describe `--with-parent`, which `follow_parent` obeys."""
    command.add_argument("--with-parent", action="store_true", help="stop when the process that started this one ends (make does so)")


def follow_parent(*, asked: bool) -> None:
    """Have the kernel send SIGTERM when our parent ends; for a command that make runs, which people kill by killing make."""
    if asked:
        end_with(os.getppid(), signal.SIGTERM)
