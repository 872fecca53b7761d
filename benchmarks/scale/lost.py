"""How soon a slot is free when no callback tells that its call has ended, and how many requests to the provider that costs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from random import Random
from typing import TYPE_CHECKING, Any, Final

from benchmarks.latency import Spread
from benchmarks.system import LINES, LOADED_TABLES, System, phone

if TYPE_CHECKING:
    from collections.abc import Mapping

CALLS: Final = (1, 100, 3_000)
SPEED: Final = 1.0
# How long people talk: drawn between the shortest and the longest, which grows with the calls. So few calls end often, and many rarely.
SHORTEST_SECONDS: Final = 5.0
LONGEST_SECONDS: Final = 590.0
LONGEST_SECONDS_A_CALL: Final = 0.5
# Two for each line, and more when they are short: a line is never without a lead.
LEADS_A_LINE: Final = 2
# Callbacks are lost once so many lines ring or are answered, and some seconds later: the cost of a busy start is not part of it.
STARTED_SHARE: Final = 0.8
START_SECONDS: Final = 90.0
WARM_UP_SECONDS: Final = 10.0
FREE_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.5
STARTED: Final = "SELECT count(*) FROM dialer.attempts WHERE state IN ('ringing', 'live')"
FREED: Final = "SELECT sid, ended_at FROM dialer.attempts WHERE sid = ANY ($1) AND ended_at IS NOT NULL"


@dataclass(frozen=True, slots=True)
class LostCallbacks:
    """With so many lines in use, and `in_progress` calls on them: from the end of a call to its slot free again, and requests a minute."""

    calls: int
    in_progress: int
    freed: Spread
    lists_a_minute: float
    fetches_a_minute: float


async def measure(calls: int, seconds: float) -> LostCallbacks:
    """Use so many lines, lose every callback for so long, and wait until the slot of each call that has ended is free."""
    async with System(speed=SPEED) as system:
        await _load(system, calls, seconds)
        await system.start_workers()
        async with asyncio.timeout(START_SECONDS):
            while await system.pool.fetchval(STARTED) < calls * STARTED_SHARE:  # noqa: ASYNC110 the processes give no event
                await asyncio.sleep(POLL_SECONDS)
        await asyncio.sleep(WARM_UP_SECONDS)
        await system.tell_simulator("faults", {"callback_drop": 1})
        before, began = await system.ask_simulator("summary"), datetime.now(UTC)
        await asyncio.sleep(seconds)
        after, ended = await system.ask_simulator("summary"), datetime.now(UTC)
        freed = await _freed(system, began, ended)
    minutes = (ended - began).total_seconds() / 60
    return LostCallbacks(
        calls,
        round((_in_progress(before) + _in_progress(after)) / 2),
        Spread.of(freed),
        (after["listings"] - before["listings"]) / minutes,
        (after["fetches"] - before["fetches"]) / minutes,
    )


async def _load(system: System, calls: int, seconds: float) -> None:
    """Businesses with so many lines together, each with a run, and how long the people talk whom they call."""
    longest = min(max(calls * LONGEST_SECONDS_A_CALL, SHORTEST_SECONDS), LONGEST_SECONDS)
    drawn = Random(calls)  # noqa: S311 the same calls each time
    for n in range(ceil(calls / LINES)):
        lines = min(LINES, calls - n * LINES)
        leads = ceil(lines * (LEADS_A_LINE + seconds / ((SHORTEST_SECONDS + longest) / 2)))
        await system.run(await system.business(n, lines), n, leads, lines=lines)
        talks = {phone(n, lead): {"talk_seconds": drawn.uniform(SHORTEST_SECONDS, longest)} for lead in range(1, leads + 1)}
        await system.tell_simulator("numbers", talks)
    await system.pool.execute(f"VACUUM ANALYZE {LOADED_TABLES}")


def _in_progress(summary: Mapping[str, Any]) -> int:
    return sum(caller["now"] for caller in summary["callers"].values())


async def _freed(system: System, began: datetime, ended: datetime) -> list[float]:
    """From the end of each call that ended meanwhile to the record of its end, in seconds."""
    ends = {
        call["sid"]: at
        for call in (await system.ask_simulator("ledger"))["calls"]
        if call["ended_at"] and began <= (at := datetime.fromisoformat(call["ended_at"])) <= ended
    }
    async with asyncio.timeout(FREE_SECONDS):
        while len(rows := await system.pool.fetch(FREED, list(ends))) < len(ends):  # noqa: ASYNC110 the processes give no event
            await asyncio.sleep(POLL_SECONDS)
    return [(row["ended_at"] - ends[row["sid"]]).total_seconds() for row in rows]
