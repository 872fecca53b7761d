"""Calls a second through the whole path: HTTP to the simulator, a request for TwiML and four signed callbacks for each call.

Measured against a bare loop that does the same without a database (benchmarks/bare.py), on the same cores in the same run.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field

from benchmarks.system import LINES, System, Usage
from ringmaster import installation
from ringmaster.local.ports import LOCALHOST, free_port
from ringmaster.local.process import CHECKOUT

# Calls of some milliseconds: the lines are never what bounds it.
SPEED = 10_000.0
BUSINESSES = 300
LEADS = 20
LONGEST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """So many calls in `seconds`, and what each kind of process used for one call: CPU in milliseconds; memory in megabytes."""

    calls: int
    seconds: float
    cpu_ms: dict[str, float] = field(default_factory=dict)
    megabytes: dict[str, float] = field(default_factory=dict)

    @property
    def calls_a_second(self) -> float:
        """Over the whole run."""
        return self.calls / self.seconds


async def product(*, webs: int = 1, workers: int = 1, businesses: int = BUSINESSES, leads: int = LEADS) -> Throughput:
    """Dial all leads of all businesses."""
    async with System(webs=webs, workers=workers, speed=SPEED) as system:
        await system.businesses(businesses, leads)
        await system.start_workers()
        # The workers have started: from here on it is measured.
        begun = await system.until_over(1)
        before = system.usage()
        started_at = time.perf_counter()
        async with asyncio.timeout(LONGEST_SECONDS):
            over = await system.until_over(businesses * leads)
        seconds = time.perf_counter() - started_at
        return _figures(over - begun, seconds, before, system.usage())


def _figures(calls: int, seconds: float, before: dict[str, Usage], after: dict[str, Usage]) -> Throughput:
    cpu = {kind: (after[kind].cpu_seconds - before[kind].cpu_seconds) * 1000 / calls for kind in after if kind in before}
    return Throughput(calls, seconds, cpu, {kind: usage.megabytes for kind, usage in after.items()})


async def bare(leads: int = LEADS, *, businesses: int = BUSINESSES) -> Throughput:
    """The same number of calls by the bare loop."""
    calls, lines = businesses * leads, businesses * LINES
    async with System(webs=0, workers=0, speed=SPEED) as system:
        port = str(free_port())
        environment = {
            **installation.bare_environment(), **system.simulator.environment, "PORT": port, "PUBLIC_URL": f"http://{LOCALHOST}:{port}",
        }  # fmt: skip
        before = system.usage()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.bare", "--calls", str(calls), "--lines", str(lines)),
            cwd=CHECKOUT, env=environment, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        found = json.loads(out)
        figures = _figures(calls, found["seconds"], before, system.usage())
        figures.cpu_ms["loop"] = found["cpu_seconds"] * 1000 / calls
        return figures
