"""Keeps a task of the web process running: an error is logged, and the task restarts after a pause.

Otherwise a task that ends with an error would end its task group, and with it the process.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from dialer.concurrency.loop import wait_for_event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
# A task that ran this long before it failed restarts after the first pause.
RECOVERED_SECONDS: Final = 60.0

log = logging.getLogger(__name__)


async def keep_running(
    name: str, work: Callable[[], Awaitable[None]], stopping: asyncio.Event, *, failed: Callable[[], None] = lambda: None
) -> None:
    """Run `work` until it returns or `stopping` is set; when it raises, call `failed` and restart it after a pause that doubles.

    Raises:
        asyncio.CancelledError: when this task itself is cancelled, never when something within `work` was.
    """
    pause, loop = FIRST_PAUSE_SECONDS, asyncio.get_running_loop()
    while not stopping.is_set():
        begun = loop.time()
        try:
            await work()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            log.exception("%s was cancelled from within, restarting in %.1f s", name, pause)
        except Exception:
            log.exception("%s failed, restarting in %.1f s", name, pause)
        else:
            return
        failed()
        pause = FIRST_PAUSE_SECONDS if loop.time() - begun > RECOVERED_SECONDS else pause
        await wait_for_event(stopping, pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
