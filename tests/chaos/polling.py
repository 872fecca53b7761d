"""Polls another process, which gives no event, with a bound."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

POLL_SECONDS = 0.02
# Each poll is a request, which costs the processes under test time: what has been waited for long is polled less often.
POLL_SHARE = 0.1
SLOWEST_POLL_SECONDS = 0.2
# A poll takes milliseconds. A longer one means that the whole machine was stalled, and the processes we wait for with it.
MAX_POLL_SECONDS = 2.0


async def until(condition: Callable[[], Awaitable[T]], within_seconds: float, what: Callable[[], str] | str) -> T:
    """Poll until the result is true, and return it; time in which the machine was stalled does not count.

    Raises:
        AssertionError: when it is not true within `within_seconds`; names `what` was expected.
    """
    loop = asyncio.get_running_loop()
    polled_at, left = (since := loop.time()), within_seconds
    while not (result := await condition()):
        if left < 0:
            message = f"not within {within_seconds:g} s: {what if isinstance(what, str) else what()}"
            raise AssertionError(message)
        await lasting(min(max(POLL_SECONDS, POLL_SHARE * (polled_at - since)), SLOWEST_POLL_SECONDS))
        last, polled_at = polled_at, loop.time()
        left -= min(polled_at - last, MAX_POLL_SECONDS)
    return result


async def lasting(seconds: float) -> None:
    """Let a fault last so long: there is no condition to wait for."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
