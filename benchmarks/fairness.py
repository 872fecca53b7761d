"""How fairly two workers share the pace of one account while one of them is further from Redis: requests for calls, by the simulator.

Three numbers in four are refused and the others are busy: no call has a script, and the cores carry a higher pace. Where they do not carry
it, the workers share the cores and not the pace, and `carried` says so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from benchmarks.system import LOADED_TABLES, System, caller_id, phone, worker_name
from tests.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PACES: Final = (40.0, 400.0)
# How many businesses the near worker has, and how many the far one.
PLACES: Final = ((10, 1), (1, 10))
SCENARIO: Final = "busy"
# Calls of some milliseconds, and more lines than a business can use: each always wants more than its share.
SPEED: Final = 10_000.0
LINES: Final = 50
# A run of refused numbers alone would be paused.
NOT_VALID: Final = 21211
CALLED_EVERY: Final = 4
NUMBERS_AT_ONCE: Final = 5_000
CARRIED: Final = 0.9
WARM_UP_SECONDS: Final = 3.0
JOIN_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.1
# Everything belongs to a former worker until both have joined. Then each takes its own at once, and nothing changes hands later.
FORMER: Final = "INSERT INTO dialer.workers (incarnation, name, lease_until) VALUES ($1, 'former', now() + interval '1 hour')"
TAKE: Final = "UPDATE dialer.partitions SET owner = $1, epoch = epoch + 1, taken_at = now()"
JOINED: Final = "SELECT count(*) FROM dialer.workers WHERE incarnation <> $1"
LEAVE: Final = "DELETE FROM dialer.workers WHERE incarnation = $1"
OWNERS: Final = "SELECT p.partition, w.name FROM dialer.partitions p JOIN dialer.workers w ON w.incarnation = p.owner"
PARTITIONS: Final = 256


@dataclass(frozen=True, slots=True)
class Fairness:
    """At this pace, with so many businesses at the near and at the far worker: requests for calls, as multiples of a business's fair share.

    Of a business at the near worker, of one at the far worker, and of the one that is furthest from its fair share. `jain` is Jain's index
    over the businesses: 1 when all have the same, 1/n when one of n has everything.
    """

    pace: float
    near: int
    far: int
    calls_a_second: float
    near_share: float
    far_share: float
    furthest_share: float
    jain: float

    @property
    def carried(self) -> bool:
        """True when the machine carried the pace, so that it was the pace that was shared."""
        return self.calls_a_second >= self.pace * CARRIED

    @classmethod
    def of(cls, pace: float, near: Sequence[int], far: Sequence[int], seconds: float) -> Fairness:
        """The requests of each business in so many seconds."""
        every = [*near, *far]
        fair = sum(every) / len(every)
        return cls(
            pace,
            len(near),
            len(far),
            sum(every) / seconds,
            sum(near) / len(near) / fair,
            sum(far) / len(far) / fair,
            max((one / fair for one in every), key=lambda share: abs(share - 1)),
            sum(every) ** 2 / (len(every) * sum(one**2 for one in every)),
        )


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of a business, and what authorizes requests about it."""

    caller_id: str
    run_id: int
    headers: dict[str, str]


async def measure(pace: float, distance_ms: float, seconds: float) -> list[Fairness]:
    """Share this pace at each of `PLACES` in turn, for so long; each answer of Redis reaches the far worker so much later.

    Raises:
        RuntimeError: when a business has changed hands meanwhile.
    """
    settings = {"DIALER_CALLS_PER_SECOND": f"{pace:g}"}
    async with (
        System(workers=2, speed=SPEED, scenario=SCENARIO, settings=settings) as system,
        TcpProxy(system.environment["REDIS_URL"], delay_seconds=distance_ms / 2 / 1000) as proxy,
    ):
        owners = await _start_workers(system, proxy.url)
        numbers, found = count(), []
        for near, far in PLACES:
            leads = round(2 * pace * (WARM_UP_SECONDS + seconds) / (near + far))
            runs = await _load(system, owners, numbers, (near, far), leads)
            calls, took = await _dial(system, [*runs[0], *runs[1]], seconds)
            shares = [[calls[run.caller_id] for run in side] for side in runs]
            found.append(Fairness.of(pace, shares[0], shares[1], took))
        if await _owners(system) != owners:
            message = "a partition has changed hands meanwhile"
            raise RuntimeError(message)
    return found


async def _start_workers(system: System, far_url: str) -> dict[int, int]:
    """Start both; the worker of each partition."""
    former = uuid4()
    await system.pool.execute(FORMER, former)
    await system.pool.execute(TAKE, former)
    await system.start_workers([system.environment["REDIS_URL"], far_url])
    async with asyncio.timeout(JOIN_SECONDS):
        while await system.pool.fetchval(JOINED, former) < 2:  # noqa: ASYNC110, PLR2004 the processes give no event; both of them
            await asyncio.sleep(POLL_SECONDS)
        await system.pool.execute(LEAVE, former)
        while len(owners := await _owners(system)) < PARTITIONS:  # noqa: ASYNC110 likewise
            await asyncio.sleep(POLL_SECONDS)
    return owners


async def _owners(system: System) -> dict[int, int]:
    workers = {worker_name(n): n for n in range(2)}
    return {row["partition"]: workers[row["name"]] for row in await system.pool.fetch(OWNERS) if row["name"] in workers}


async def _load(
    system: System, owners: dict[int, int], numbers: Iterator[int], wanted: tuple[int, int], leads: int
) -> tuple[list[_Run], list[_Run]]:
    """Load a run for so many businesses of each worker; a business of a worker that has enough stays without."""
    runs: tuple[list[_Run], list[_Run]] = [], []
    while any(len(side) < most for side, most in zip(runs, wanted, strict=True)):
        n = next(numbers)
        business = await system.business(n, LINES)
        worker = owners[await system.pool.fetchval("SELECT dialer.partition_of($1)", business)]
        if len(runs[worker]) < wanted[worker]:
            run_id = await system.run(business, n, leads, lines=LINES, start=False)
            await _refuse(system, n, leads)
            runs[worker].append(_Run(caller_id(n), run_id, await system.headers(business)))
    await system.pool.execute(f"VACUUM ANALYZE {LOADED_TABLES}")
    return runs


async def _refuse(system: System, n: int, leads: int) -> None:
    """Let the provider refuse most numbers of a run."""
    refused = [phone(n, lead) for lead in range(1, leads + 1) if lead % CALLED_EVERY]
    for start in range(0, len(refused), NUMBERS_AT_ONCE):
        await system.tell_simulator("numbers", dict.fromkeys(refused[start : start + NUMBERS_AT_ONCE], NOT_VALID))


async def _dial(system: System, runs: Sequence[_Run], seconds: float) -> tuple[Counter[str], float]:
    """Dial these for so long; the requests for calls of each caller id, and the seconds they were counted for."""
    await asyncio.gather(*(system.post(run.headers, f"/api/outbound/runs/{run.run_id}/start", {}) for run in runs))
    await asyncio.sleep(WARM_UP_SECONDS)
    began = datetime.now(UTC)
    await asyncio.sleep(seconds)
    ended = datetime.now(UTC)
    await asyncio.gather(*(system.post(run.headers, f"/api/outbound_calls/jobs/{run.run_id}/cancel", {}) for run in runs))
    requests = (await system.ask_simulator("ledger"))["requests"]
    calls = Counter(request["from"] for request in requests if began <= datetime.fromisoformat(request["at"]) <= ended)
    return calls, (ended - began).total_seconds()
