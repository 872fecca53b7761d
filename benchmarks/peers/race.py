"""Each contender in turn: fresh servers, all jobs enqueued, two worker processes, and a log of when each call began and ended."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.peers.contenders.contest import ENTRY, LIMIT
from benchmarks.peers.environment import ROOT, python_of
from ringmaster.local.postgres import Postgres
from ringmaster.local.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKERS = 2
LOAD_SECONDS = 300.0
LAST_SECONDS = 60.0  # that a worker may need to end beyond its time
CONTENDERS = Path(__file__).parent / "contenders"


@dataclass(frozen=True, slots=True)
class Contender:
    """A queue to run: whether it has a limit for each key, and the lock of its environment; None is ours."""

    name: str
    keyed: bool
    requirements: str | None = "requirements"
    # Each of its nodes counts a limit alone: where two of them do not exceed it together, it is held by chance.
    of_each_node: bool = False


ALL = (
    Contender("ringmaster", keyed=True, requirements=None),
    Contender("pgqueuer", keyed=True),
    Contender("oban", keyed=True, of_each_node=True),
    Contender("procrastinate", keyed=True),
    Contender("dbos", keyed=True),
    Contender("pydocket", keyed=True),
    Contender("saq", keyed=False),
    Contender("taskiq", keyed=False),
    Contender("arq", keyed=False, requirements="arq"),
)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one contender: `calls` ended over `seconds`; `over_limit` began while three of their key were in progress."""

    name: str
    keyed: bool
    keys: int
    jobs: int
    recorded: int
    calls: int
    seconds: float
    most_at_once: int
    over_limit: int
    of_each_node: bool = False

    @property
    def calls_a_second(self) -> float:
        """Throughput from the first call's begin to the last call's end."""
        return self.calls / self.seconds if self.seconds else 0.0

    @property
    def holds(self) -> bool:
        """Whether it has a limit for each key over all nodes, and no call was over it."""
        return self.keyed and not self.of_each_node and not self.over_limit


async def race(contender: Contender, keys: int, jobs: int, seconds: float) -> Result:
    """Run one contender with `jobs` jobs of each of `keys` keys, for `seconds` at most.

    Raises:
        RuntimeError: when its processes fail.
    """
    python = python_of(contender.requirements) if contender.requirements else Path(sys.executable)
    with TemporaryDirectory(prefix="ringmaster-bench-") as name:
        folder = Path(name)
        servers = Postgres(folder / "postgres"), Valkey(folder / "valkey")
        for server in servers:
            await server.start()
        try:
            given = {
                "keys": keys,
                "jobs": jobs,
                "seconds": seconds,
                "workers": WORKERS,
                "database": servers[0].url,
                "redis": servers[1].url,
            }
            command = [str(python), str(CONTENDERS / f"{contender.name}_peer.py"), *(f"--{key}={value}" for key, value in given.items())]
            await _process([*command, "--worker=0", f"--log={folder / 'load'}", "--load"], LOAD_SECONDS)
            logs = [folder / f"log{n}" for n in range(WORKERS)]
            work = ([*command, f"--worker={n}", f"--log={log}"] for n, log in enumerate(logs))
            outputs = await asyncio.gather(*(_process(one, seconds + LAST_SECONDS) for one in work))
        finally:
            for server in servers:
                await server.stop()
        calls, took, most, over = count(b"".join(log.read_bytes() for log in logs))
    recorded = max(json.loads(output.splitlines()[-1])["done"] for output in outputs)
    return Result(contender.name, contender.keyed, keys, keys * jobs, recorded, calls, took, most, over, contender.of_each_node)


def count(entries: bytes) -> tuple[int, float, int, int]:
    """Count in all logs: calls that ended, seconds from first to last, most of a key at once, calls begun over the limit."""
    busy: Counter[int] = Counter()
    calls = most = over = 0
    ordered = sorted(ENTRY.iter_unpack(entries))
    for _, entry in ordered:
        if entry < 0:
            busy[-entry] -= 1
            calls += 1
        else:
            busy[entry] += 1
            over += busy[entry] > LIMIT
            most = max(most, busy[entry])
    return calls, (ordered[-1][0] - ordered[0][0]) / 1e9 if ordered else 0.0, most, over


async def _process(command: Sequence[str], seconds: float) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode or not output:
        message = f"{Path(command[1]).name} ended with {process.returncode}: {errors.decode()[-2000:]}"
        raise RuntimeError(message)
    return output.decode()
