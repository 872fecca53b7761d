"""The whole installation for a benchmark: real servers, the simulator, web processes and workers, and what each of them costs."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import aiohttp
import psutil

from dialer.model import Role
from ringmaster import installation
from ringmaster.commands.businesses import token
from ringmaster.local.ports import LOCALHOST, free_port
from ringmaster.local.postgres import Postgres
from ringmaster.local.process import Processes
from ringmaster.local.valkey import Valkey
from sql.businesses.businesses import Businesses
from sql.pool import open_pool
from sql.runs.new_lead import NewLead
from sql.runs.new_run import NewRun, Request
from sql.runs.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ringmaster.local.process import Child
    from sql.pool import Pool

LINES = 3
LOADED_TABLES = "outbound_call_jobs, outbound_call_runs, dialer.run_zones, dialer.lanes, dialer.businesses, dialer.partitions"
POLL_SECONDS = 0.1
OVER = "SELECT coalesce(sum(completed_count + failed_count), 0) FROM public.outbound_call_runs"
READY_SECONDS = 30.0
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """What a kind of process has used: CPU in seconds, and memory at this moment in megabytes."""

    cpu_seconds: float
    megabytes: float


class System:
    """Use with `async with`; `speed` is that of the simulator, in simulated seconds a second."""

    def __init__(self, *, webs: int = 1, workers: int = 1, speed: float, settings: Mapping[str, str] | None = None) -> None:
        """Start so many web processes on one port, and so many workers; `settings` are added to their environment."""
        self._webs = webs
        self._workers = workers
        self._speed = speed
        self._settings = dict(settings or {})
        self._stack = AsyncExitStack()
        self._children: dict[str, list[int]] = {}
        self.simulator = installation.new_simulator()
        self.environment: dict[str, str] = {}
        self.folder: Path
        self.pool: Pool
        self.http: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        """Start everything but the workers."""
        self.folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="ringmaster-bench-")))
        postgres, valkey = Postgres(self.folder / "postgres"), Valkey(self.folder / "valkey")
        for server in (postgres, valkey):
            await server.start()
            self._stack.push_async_callback(server.stop)
        await installation.prepare(postgres.url)
        self.environment = self._environment(postgres.url, valkey.url)
        self._servers = {"postgres": self.folder / "postgres", "valkey": self.folder / "valkey"}
        self._processes = await self._stack.enter_async_context(Processes(self.folder / "logs", "bench"))
        self.pool = await self._stack.enter_async_context(await open_pool(postgres.url, name="bench", size=4))
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession())
        await self._start_simulator()
        for _ in range(self._webs):
            self._note("web", self._processes.start("web", "web", "--share-port", environment=self.environment))
        if self._webs:
            await self._until_answers(f"{self.environment['PUBLIC_URL']}/healthz")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything."""
        await self._stack.aclose()

    async def _start_simulator(self) -> None:
        arguments = ("--port", str(self.simulator.port), "--speed", f"{self._speed:g}", "--scenario", "answer")
        self._note("simulator", self._processes.start("simulator", "telephony.simulator", *arguments, environment=self.environment))
        await self._until_answers(f"{self.simulator.url}/simulator/faults")

    def _environment(self, database_url: str, redis_url: str) -> dict[str, str]:
        port = str(free_port())
        return {
            **installation.bare_environment(),
            **self.simulator.environment,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PORT": port,
            "PUBLIC_URL": f"http://{LOCALHOST}:{port}",
            "SECRET_KEY": "a secret of forty characters - for a test",
            "DIALER_CALLS_PER_SECOND": "0",
            "LOG_LEVEL": "WARNING",
            **self._settings,
        }

    async def start_workers(self, redis_urls: Sequence[str] = ()) -> None:
        """Start the workers; they take what is running. `redis_urls` is how each of them reaches Redis, if not all in the same way."""
        for n in range(self._workers):
            environment = {**self.environment, "DIALER_WORKER_NAME": worker_name(n)}
            if redis_urls:
                environment["REDIS_URL"] = redis_urls[n]
            self._note("worker", self._processes.start("worker", "actors", environment=environment))

    async def _until_answers(self, url: str) -> None:
        async with asyncio.timeout(READY_SECONDS):
            while True:
                try:
                    async with self.http.get(url) as response:
                        if response.status == 200:  # noqa: PLR2004 HTTP's OK
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(POLL_SECONDS)

    def _note(self, kind: str, child: Child) -> None:
        self._children.setdefault(kind, []).append(child.pid)

    async def businesses(self, count: int, leads: int, *, start: bool = True) -> dict[int, int]:
        """Create businesses, each with a run of so many leads; return the run of each business."""
        found: dict[int, int] = {}
        for n in range(count):
            business = await self.business(n)
            found[business] = await self.run(business, n, leads, start=start)
        await self.pool.execute(f"VACUUM ANALYZE {LOADED_TABLES}")
        return found

    async def business(self, n: int, lines: int = LINES) -> int:
        """Create one business, which calls from `caller_id(n)`; return its id."""
        return await Businesses(self.pool).create(name="Bench", caller_id=caller_id(n), region="US", timezone="UTC", max_calls=lines)

    async def run(self, business: int, n: int, leads: int, *, lines: int = LINES, start: bool = True) -> int:
        """Load a run of so many leads, with the numbers `phone(n, 1)` and so on; return its id."""
        rows = [NewLead(k, phone(n, k), None, "US:UTC") for k in range(1, leads + 1)]
        new = NewRun(business, "bench", lines, rows, start=start)
        answer, _ = await Runs(self.pool).create(new, Request(f"http:{uuid4()}", b"", "bench", {}))
        return int(answer["run_id"])

    async def token(self, business_id: int) -> str:
        """A token of an operator of this business."""
        return str((await token.create(self.pool, business_id, role=Role.OPERATOR))["token"])

    async def headers(self, business_id: int) -> dict[str, str]:
        """Those of the requests of an operator of this business."""
        return {"Authorization": f"Bearer {await self.token(business_id)}"}

    async def post(self, headers: Mapping[str, str], path: str, body: object) -> dict[str, Any]:
        """Send a request to the web process; return its answer."""
        async with self.http.post(f"{self.environment['PUBLIC_URL']}{path}", json=body, headers=headers) as response:
            response.raise_for_status()
            return dict(await response.json())

    async def ask_simulator(self, name: str) -> dict[str, Any]:
        """What the simulator tells under this name: `ledger`, `summary`."""
        async with self.http.get(f"{self.simulator.url}/simulator/{name}") as response:
            return dict(await response.json())

    async def tell_simulator(self, name: str, body: object) -> None:
        """Set something of the simulator: `faults`, `numbers`."""
        async with self.http.post(f"{self.simulator.url}/simulator/{name}", json=body) as response:
            response.raise_for_status()

    async def until_over(self, count: int) -> int:
        """Wait until at least so many leads have been called to the end; return how many have."""
        while (over := await self.pool.fetchval(OVER)) < count:  # noqa: ASYNC110 the processes give no event
            await asyncio.sleep(POLL_SECONDS)
        return int(over)

    def worker_pid(self, n: int) -> int:
        """The process id of the nth worker."""
        return self._children["worker"][n]

    def usage_of(self, kind: str) -> Usage:
        """What the processes of ours of one kind have used so far."""
        return _sum(self._children[kind])

    def usage_below(self, kind: str) -> Usage:
        """What the processes have used that those of ours of one kind have started, and that are still there."""
        found = Usage(0.0, 0.0)
        for pid in self._children[kind]:
            with suppress(psutil.Error):
                below = _sum([child.pid for child in psutil.Process(pid).children(recursive=True)])
                found = Usage(found.cpu_seconds + below.cpu_seconds, found.megabytes + below.megabytes)
        return found

    def usage(self) -> dict[str, Usage]:
        """What each kind of process has used so far, the servers with all their processes."""
        found = {kind: _sum(pids) for kind, pids in self._children.items()}
        for name in ("postgres", "valkey"):
            found[name] = _sum(_server_pids(self._servers[name]))
        return found


def worker_name(n: int) -> str:
    """The name of the nth worker."""
    return f"worker-{n}"


def caller_id(n: int) -> str:
    """The number that the nth business calls from."""
    return f"+1202{n:07}"


def phone(n: int, lead: int) -> str:
    """The number of a lead of the nth business."""
    return f"+1{n:04}{lead:06}"


def _server_pids(folder: Path) -> list[int]:
    """The server of this folder, and its children."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if any(str(folder) in word for word in command) and process.pid != os.getpid():
            return [process.pid, *(child.pid for child in process.children(recursive=True))]
    return []


def _sum(pids: list[int]) -> Usage:
    cpu, memory = 0.0, 0.0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            cpu += times.user + times.system
            memory += process.memory_info().rss / MEGABYTE
        except psutil.Error:
            continue
    return Usage(cpu, memory)
