"""A list of 100,000 leads, loaded over HTTP: how long it takes, what it costs the web process, and whom it keeps waiting meanwhile."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.latency import Spread
from benchmarks.system import System

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LEADS = 100_000
FIRST_NUMBER = 2_000_000
POLL_SECONDS = 0.02
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Import:
    """So many leads in `megabytes` of CSV.

    `seconds` from the first byte sent to the answer; `memory_mb` is the most that the web process used beyond what it used before,
    `reader_mb` the most that the process used which reads the list; `others` is how long other requests waited for their answers meanwhile.
    """

    leads: int
    megabytes: float
    seconds: float
    memory_mb: float
    reader_mb: float
    others: Spread


@dataclass(slots=True)
class _Peaks:
    memory_mb: list[float] = field(default_factory=list)
    reader_mb: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)


async def measure(leads: int = LEADS) -> Import:
    """Load one list."""
    content = _list(leads)
    async with System(workers=0, speed=1.0) as system:
        [business] = await system.businesses(1, 1, start=False)
        headers = {"Authorization": f"Bearer {await system.token(business)}", "Content-Type": "text/csv"}
        url = f"{system.environment['PUBLIC_URL']}/api/outbound/runs?name=list"
        before = system.usage_of("web").megabytes
        async with _watching(system) as peaks:
            began = time.perf_counter()
            async with system.http.post(url, data=content, headers=headers) as response:
                answer = await response.json()
            seconds = time.perf_counter() - began
    if answer.get("accepted") != leads:
        message = f"{leads} leads were sent: {str(answer)[:500]}"
        raise RuntimeError(message)
    return Import(leads, len(content) / MEGABYTE, seconds, max(peaks.memory_mb) - before, max(peaks.reader_mb), Spread.of(peaks.answers))


def _list(leads: int) -> bytes:
    numbers = (str(FIRST_NUMBER + n) for n in range(leads))
    rows = (f"{n},(305) {number[:3]}-{number[3:]},Lead {n},Miami\n" for n, number in enumerate(numbers, start=1))
    return ("lead_id,phone,name,city\n" + "".join(rows)).encode()


@asynccontextmanager
async def _watching(system: System) -> AsyncIterator[_Peaks]:
    peaks = _Peaks()
    watch = asyncio.create_task(_watch(system, peaks))
    try:
        yield peaks
    finally:
        watch.cancel()


async def _watch(system: System, peaks: _Peaks) -> None:
    while True:
        began = time.perf_counter()
        async with system.http.get(f"{system.environment['PUBLIC_URL']}/healthz") as response:
            await response.read()
        peaks.answers.append(time.perf_counter() - began)
        peaks.memory_mb.append(system.usage_of("web").megabytes)
        peaks.reader_mb.append(system.usage_below("web").megabytes)
        await asyncio.sleep(POLL_SECONDS)
