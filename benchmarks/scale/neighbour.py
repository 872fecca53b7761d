"""What businesses with few leads get beside one with very many: on an account whose pace they share, and of the queue alone."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from benchmarks.imports import as_csv
from benchmarks.latency import Spread
from benchmarks.queue import LOADED_TABLES, load_businesses
from benchmarks.rounds import BATCH, SLOTS, Round
from benchmarks.scale.fairness import SPEED, WARM_UP_SECONDS, BusyRun, dial
from benchmarks.system import System, caller_id
from ringmaster.local.postgres import Postgres
from sql.attempts.attempts import Attempts, ClaimRequest
from sql.businesses.businesses import Businesses
from sql.migrate import migrate
from sql.pool import open_pool
from sql.runs.new_lead import NewLead
from sql.runs.new_run import NewRun, Request
from sql.runs.runs import Runs
from sql.workers.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sql.pool import Pool

# So slow that a business with three lines reaches its share also on a busy machine: the pace is what they share, not the processors.
PACE: Final = 20.0
SMALL: Final = 10
SMALL_LINES: Final = 3
# More than it can use: it always wants more than its share.
LARGE_LINES: Final = 50
# No business runs out of leads: a round is 60 calls of each.
CLAIM_LEADS: Final = 500
CLAIM_ROUNDS: Final = 8
CALLS_A_ROUND: Final = 60 * BATCH
PARTITIONS: Final = 256
CALLED: Final = "SELECT business_id, count(*) AS calls FROM dialer.attempts GROUP BY business_id"


@dataclass(frozen=True, slots=True)
class Beside:
    """Of the businesses with few leads: the mean `share` and the least, as multiples of fair, and the time from a call to the next one.

    `a_second` are the calls of all, `jain` is Jain's index over all that dial.
    """

    label: str
    a_second: float
    share: float
    least_share: float
    jain: float
    gap: Spread


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims for as many businesses as one takes, three leads of each; the share of the one that gets least, as a multiple of fair."""

    label: str
    claim_p50_ms: float
    claim_p99_ms: float
    calls_a_second: float
    least_share: float
    jain: float


async def beside(leads: int, seconds: float) -> dict[str, Beside]:
    """Let ten businesses dial for so long: alone, beside one with as few leads, while its list of `leads` is loaded, and beside that.

    The one beside them has 50 lines, they have three each.
    """
    async with System(speed=SPEED, settings={"DIALER_CALLS_PER_SECOND": f"{PACE:g}"}) as system:
        small = [await system.business(n, SMALL_LINES) for n in range(SMALL)]
        large = await system.business(SMALL, LARGE_LINES)
        await system.start_workers()
        headers = {business: await system.headers(business) for business in [*small, large]}
        few = round(6 * PACE * (WARM_UP_SECONDS + seconds) / SMALL)

        async def runs(businesses: Sequence[int]) -> list[BusyRun]:
            return [
                BusyRun(
                    caller_id(n),
                    await system.run(business, n, few, lines=LARGE_LINES if business == large else SMALL_LINES, start=False),
                    headers[business],
                )
                for n, business in enumerate(businesses)
            ]

        found = {"alone": _figures("alone", *await dial(system, await runs(small), seconds), dialed=SMALL)}
        found["beside"] = _figures("beside one with as few", *await dial(system, await runs([*small, large]), seconds), dialed=SMALL + 1)
        alone = await runs(small)
        (calls, took), run_id = await asyncio.gather(dial(system, alone, seconds), _load(system, headers[large], leads))
        found["loaded"] = _figures(f"while {leads:,} are loaded", calls, took, dialed=SMALL)
        dialed = [*await runs(small), BusyRun(caller_id(SMALL), run_id, headers[large])]
        found["large"] = _figures(f"beside one with {leads:,}", *await dial(system, dialed, seconds), dialed=SMALL + 1)
    return found


async def _load(system: System, headers: Mapping[str, str], leads: int) -> int:
    """Load a list over HTTP, once the others dial; its run."""
    await asyncio.sleep(WARM_UP_SECONDS)
    url, kind = f"{system.environment['PUBLIC_URL']}/api/outbound/runs?name=list", {"Content-Type": "text/csv"}
    async with system.http.post(url, data=as_csv(leads), headers={**headers, **kind}) as response:
        answer: dict[str, Any] = await response.json()
    if answer.get("accepted") != leads:
        message = f"{leads} leads were sent: {str(answer)[:500]}"
        raise RuntimeError(message)
    return int(answer["run_id"])


def _figures(label: str, calls: Mapping[str, Sequence[datetime]], seconds: float, *, dialed: int) -> Beside:
    of_each = [len(calls.get(caller_id(n), ())) for n in range(dialed)]
    fair, small = sum(of_each) / dialed, of_each[:SMALL]
    gaps = [(later - sooner).total_seconds() for n in range(SMALL) for sooner, later in pairwise(sorted(calls[caller_id(n)]))]
    return Beside(label, sum(of_each) / seconds, sum(small) / SMALL / fair, min(small) / fair, _jain(of_each), Spread.of(gaps))


def _jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 when all have the same, 1/n when one of n has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(one**2 for one in shares))


async def claims(leads: int) -> dict[str, Claims]:
    """Claim and record in one database, in turns, for businesses with few leads and for others of which one has `leads`."""
    with TemporaryDirectory(prefix="ringmaster-bench-") as folder:
        server = Postgres(Path(folder) / "postgres")
        await server.start()
        try:
            await migrate(server.url)
            async with await open_pool(server.url, name="bench", size=4) as pool:
                ids = await load_businesses(pool, 2 * BATCH - 1, CLAIM_LEADS)
                ids.append(await _large(pool, leads))
                sides = {"small": ids[:BATCH], "large": ids[BATCH:]}
                labels = {"small": f"all {BATCH} have few", "large": f"one of {BATCH} has {leads:,}"}
                return await _claims(pool, sides, labels)
        finally:
            await server.stop()


async def _large(pool: Pool, leads: int) -> int:
    business = await Businesses(pool).create(name="Large", caller_id="+12025550100", region="US", timezone="UTC", max_calls=SLOTS)
    rows = [NewLead(k, f"+19999{k:06}", None, "US:UTC") for k in range(1, leads + 1)]
    await Runs(pool).create(NewRun(business, "large", SLOTS, rows, start=True), Request(f"http:{uuid4()}", b"", "bench", {}))
    await pool.execute(f"VACUUM ANALYZE {LOADED_TABLES}")
    return business


async def _claims(pool: Pool, sides: Mapping[str, list[int]], labels: Mapping[str, str]) -> dict[str, Claims]:
    incarnation = uuid4()
    workers = Workers(pool)
    await workers.join(incarnation, "bench", 3_600)
    epochs = await workers.take_over(incarnation, list(range(PARTITIONS)))
    partitions = {row["business_id"]: row["partition"] for row in await pool.fetch("SELECT business_id, partition FROM dialer.lanes")}
    times: dict[str, list[float]] = {side: [] for side in sides}
    seconds = dict.fromkeys(sides, 0.0)
    for n in range(2 * CLAIM_ROUNDS):
        side = [*sides][n % 2]
        requests = {b: ClaimRequest(b, epochs[partitions[b]], SLOTS) for b in sides[side]}
        round_ = Round(Attempts(pool), incarnation, requests)
        began = time.perf_counter()
        await round_.run(CALLS_A_ROUND)
        seconds[side] += time.perf_counter() - began
        times[side] += round_.claim_ms
    calls = {row["business_id"]: row["calls"] for row in await pool.fetch(CALLED)}
    return {side: _claim_figures(labels[side], times[side], [calls[b] for b in ids], seconds[side]) for side, ids in sides.items()}


def _claim_figures(label: str, times: list[float], calls: Sequence[int], seconds: float) -> Claims:
    times.sort()
    least = min(calls) * len(calls) / sum(calls)
    return Claims(label, times[len(times) // 2], times[int(len(times) * 0.99)], sum(calls) / seconds, least, _jain(calls))
