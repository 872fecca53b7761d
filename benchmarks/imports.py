"""A list of 100,000 leads, loaded over HTTP: how long it takes, what it costs the web process, and whom it keeps waiting meanwhile."""

from __future__ import annotations

import asyncio
import csv
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING

import asyncpg

from benchmarks.latency import Spread
from benchmarks.system import System

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

LEADS = 100_000
FIRST_NUMBER = 2_000_000
POLL_SECONDS = 0.02
MEGABYTE = 1_000_000
# As an office sends.
MEGABITS = 8.0
PIECE_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Import:
    """So many leads in `megabytes` of CSV.

    `seconds` from the first byte sent to the answer; `memory_mb` is the most that the web process used beyond what it used before,
    `reader_mb` the most that the process used which reads the list; `others` is how long other requests waited for their answers
    meanwhile. `slow_seconds` from the last byte to the answer when the list is sent at 8 Mbit/s. `bare_seconds` is what
    csv.reader and a COPY into a table without indexes take for it: the least that any import must do.
    """

    leads: int
    megabytes: float
    seconds: float
    memory_mb: float
    reader_mb: float
    others: Spread
    slow_seconds: float
    bare_seconds: float


@dataclass(slots=True)
class _Peaks:
    memory_mb: list[float] = field(default_factory=list)
    reader_mb: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)


async def measure(leads: int = LEADS) -> Import:
    """Load one list."""
    content = as_csv(leads)
    async with System(workers=0, speed=1.0) as system:
        [business] = await system.businesses(1, 1, start=False)
        headers = {"Authorization": f"Bearer {await system.token(business)}", "Content-Type": "text/csv"}
        url = f"{system.environment['PUBLIC_URL']}/api/outbound/runs?name=list"
        before = system.usage_of("web").megabytes
        async with _watching(system) as peaks:
            began = time.perf_counter()
            await _load(system, url, headers, content, leads)
            seconds = time.perf_counter() - began
        sent: list[float] = []
        await _load(system, url, headers, _slowly(content, sent), leads)
        slow_seconds = time.perf_counter() - sent[-1]
        bare_seconds = await _bare(system.environment["DATABASE_URL"], content)
    used = max(peaks.memory_mb) - before, max(peaks.reader_mb)
    return Import(leads, len(content) / MEGABYTE, seconds, *used, Spread.of(peaks.answers), slow_seconds, bare_seconds)


async def _load(system: System, url: str, headers: Mapping[str, str], content: bytes | AsyncIterator[bytes], leads: int) -> None:
    async with system.http.post(url, data=content, headers=headers) as response:
        answer = await response.json()
    if answer.get("accepted") != leads:
        message = f"{leads} leads were sent: {str(answer)[:500]}"
        raise RuntimeError(message)


async def _bare(url: str, content: bytes) -> float:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE bench_list (lead_id text, phone text, name text, city text)")
        began = time.perf_counter()
        _, *rows = csv.reader(StringIO(content.decode()))
        await connection.copy_records_to_table("bench_list", records=rows)
        return time.perf_counter() - began
    finally:
        await connection.close()


async def _slowly(content: bytes, sent: list[float]) -> AsyncIterator[bytes]:
    """The content at `MEGABITS`; notes when each piece was sent."""
    began = time.perf_counter()
    for start in range(0, len(content), PIECE_BYTES):
        await asyncio.sleep(began + start * 8 / (MEGABITS * MEGABYTE) - time.perf_counter())
        yield content[start : start + PIECE_BYTES]
        sent.append(time.perf_counter())


def as_csv(leads: int) -> bytes:
    """A list of so many people."""
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
