"""How long things take while calls go on: from a freed slot to the next request, callbacks, TwiML, cancel; from a start to the first call.

By the simulator's log: when it ended a call or got a request, and how long it waited for each answer.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmarks.system import LINES, System

if TYPE_CHECKING:
    from collections.abc import Sequence

# Simulated seconds a second: a call that is answered takes some 33 simulated seconds, so 9 real ones.
SPEED = 3.7
CALL_SECONDS = 9.0
WARM_UP_SECONDS = 15.0
CANCEL_EVERY_SECONDS = 0.1
STARTS = 100
FIRST_NUMBER = 2_000_000
FIRST_CALL_SECONDS = 30.0
POLL_SECONDS = 0.02
ROWS = "CREATE TABLE bench_rows (at timestamptz)"
INSERT = "INSERT INTO bench_rows VALUES (now())"


@dataclass(frozen=True, slots=True)
class Spread:
    """`n` measurements: the middle, the 99th percentile and the longest, in milliseconds."""

    n: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """Those of so many seconds each.

        Raises:
            RuntimeError: when there are none.
        """
        if not seconds:
            message = "nothing was measured"
            raise RuntimeError(message)
        ordered = sorted(one * 1000 for one in seconds)
        return cls(len(ordered), ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1])

    def __str__(self) -> str:
        """For a table."""
        return f"{self.p50_ms:,.1f} / {self.p99_ms:,.1f} ms"


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of so many busy businesses, each with all its lines in use, at `calls_a_second`; CPU in shares of one core, by kind of process.

    `insert` is a bare insert of one row meanwhile, with its flush: what the machine and PostgreSQL give at that load.
    """

    businesses: int
    calls_a_second: float
    turnaround: Spread
    callback: Spread
    twiml: Spread
    cancel: Spread
    insert: Spread
    cpu: dict[str, float]


async def turnaround(businesses: int, seconds: float = 40.0) -> Latencies:
    """Keep all lines of so many businesses busy with calls of 9 s, cancel small runs meanwhile, and measure for so long."""
    leads = int(LINES * (WARM_UP_SECONDS + seconds) / CALL_SECONDS * 2)
    async with System(speed=SPEED) as system:
        await system.businesses(businesses, leads)
        canceller = await _canceller(system)
        await system.start_workers()
        await system.until_over(1)
        await asyncio.sleep(WARM_UP_SECONDS)
        before, began = system.usage(), datetime.now(UTC)
        cancels, inserts = await _cancels(system, canceller, seconds)
        after, ended = system.usage(), datetime.now(UTC)
        log = await system.ask_simulator("ledger")
    mine = [call for call in log["calls"] if began <= datetime.fromisoformat(call["created_at"]) <= ended]
    return Latencies(
        businesses,
        len(mine) / seconds,
        Spread.of(_turnarounds(log, began, ended)),
        Spread.of([took for call in mine for took in call["callback_seconds"]]),
        Spread.of([took for call in mine for took in call["script_seconds"]]),
        Spread.of(cancels),
        Spread.of(inserts),
        {kind: (after[kind].cpu_seconds - before[kind].cpu_seconds) / seconds for kind in after if kind in before},
    )


async def first_call(starts: int = STARTS) -> tuple[Spread, Spread, Spread]:
    """Start a run of one lead, so many times on an idle system: the answer to the start, the request for its first call, a bare insert."""
    async with System(speed=1000.0) as system:
        [business] = await system.businesses(1, 1)
        headers = await system.headers(business)
        await system.start_workers()
        await system.until_over(1)
        await system.pool.execute(ROWS)
        answers, calls, inserts = [], [], []
        for n in range(starts):
            run_id = await _load(system, headers, f"+1305{FIRST_NUMBER + n}")
            inserts.append(await _insert(system))
            began, at = time.perf_counter(), datetime.now(UTC)
            await system.post(headers, f"/api/outbound/runs/{run_id}/start", {})
            answers.append(time.perf_counter() - began)
            calls.append((await _request_for(system, f"+1305{FIRST_NUMBER + n}") - at).total_seconds())
    return Spread.of(answers), Spread.of(calls), Spread.of(inserts)


def _turnarounds(log: dict[str, Any], began: datetime, ended: datetime) -> list[float]:
    """From each end of a call to the request that took its slot: of one business, the first end frees the slot of the fourth request."""
    ends, requests = defaultdict(list), defaultdict(list)
    for call in log["calls"]:
        if call["ended_at"]:
            ends[call["from"]].append(datetime.fromisoformat(call["ended_at"]))
    for request in log["requests"]:
        requests[request["from"]].append(datetime.fromisoformat(request["at"]))
    pairs = [pair for caller in ends for pair in zip(sorted(ends[caller]), sorted(requests[caller])[LINES:], strict=False)]
    return [(taken - freed).total_seconds() for freed, taken in pairs if began <= freed <= ended]


async def _canceller(system: System) -> dict[str, str]:
    """A business without calls, as the headers of its requests."""
    [business] = await system.businesses(1, 1, start=False)
    return await system.headers(business)


async def _cancels(system: System, headers: dict[str, str], seconds: float) -> tuple[list[float], list[float]]:
    """For so long, how long cancels and bare inserts take, in turns."""
    await system.pool.execute(ROWS)
    until, took, inserts = time.monotonic() + seconds, [], []
    while time.monotonic() < until:
        run_id = await _load(system, headers, "+13055550100")
        began = time.perf_counter()
        await system.post(headers, f"/api/outbound_calls/jobs/{run_id}/cancel", {})
        took.append(time.perf_counter() - began)
        inserts.append(await _insert(system))
        await asyncio.sleep(CANCEL_EVERY_SECONDS)
    return took, inserts


async def _insert(system: System) -> float:
    began = time.perf_counter()
    await system.pool.execute(INSERT)
    return time.perf_counter() - began


async def _load(system: System, headers: dict[str, str], phone: str) -> int:
    return int((await system.post(headers, "/api/outbound/runs", {"leads": [{"lead_id": 1, "phone": phone}]}))["run_id"])


async def _request_for(system: System, phone: str) -> datetime:
    """When the simulator got the request for a call to this number."""
    async with asyncio.timeout(FIRST_CALL_SECONDS):
        while True:
            for request in (await system.ask_simulator("ledger"))["requests"]:
                if request["to"] == phone:
                    return datetime.fromisoformat(request["at"])
            await asyncio.sleep(POLL_SECONDS)
