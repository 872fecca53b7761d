"""Waiting for what another process does: it gives no event, so it is asked again and again, always with a bound.

On the road of a call: nowhere; beside it, with a watch.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

ASK_AGAIN_SECONDS = 0.02
# A question takes milliseconds. One that takes longer than this has met a machine that stood still, us and those we wait for alike.
LONGEST_TURN_SECONDS = 2.0


async def until(answer: Callable[[], Awaitable[T]], within_seconds: float, what: Callable[[], str] | str) -> T:
    """Ask until the answer is true, and return it; the time in which the machine stood still does not count.

    Raises:
        AssertionError: when it is not within `within_seconds`; says `what` was waited for.
    """
    loop = asyncio.get_running_loop()
    asked_at, left = loop.time(), within_seconds
    while not (found := await answer()):
        if left < 0:
            message = f"not within {within_seconds:g} s: {what if isinstance(what, str) else what()}"
            raise AssertionError(message)
        await lasting(ASK_AGAIN_SECONDS)
        last, asked_at = asked_at, loop.time()
        left -= min(asked_at - last, LONGEST_TURN_SECONDS)
    return found


async def lasting(seconds: float) -> None:
    """Let a fault last so long: a frozen process does not say when it has been frozen long enough."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
