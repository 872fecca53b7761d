"""A town to break things in: real servers, real processes of ours, the simulator behind a door, and businesses that dial.

Everything that happens to it here happens from outside, by signals and by what an operator could do at a terminal.

On the road of a call: all of it, with somebody cutting the cables.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
from contextlib import AsyncExitStack
from signal import SIGCONT, SIGKILL, SIGTERM, Signals
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import asyncpg

from dialer.model import Role
from ringmaster import installation
from ringmaster.commands import token
from ringmaster.local.data_dir import LOCALHOST, free_port
from ringmaster.local.postgres import Postgres
from ringmaster.local.processes import Processes
from ringmaster.local.valkey import Valkey
from sql.businesses.businesses import Businesses
from sql.pool import open_pool
from tests.chaos.door import TcpProxy
from tests.chaos.tenant import Tenant
from tests.chaos.waiting import until
from tests.chaos.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ringmaster.local.processes import Child
    from sql.pool import Pool

MARK = "chaos"
SPEED = 200.0
READY_SECONDS = 30.0
STOP_SECONDS = 15.0
# PostgreSQL is killed and restarted here: what is asked of it meanwhile is asked again.
AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Cluster:
    """Use with `async with`; `settings` are added to the environment of our processes, `postgres` to that server's settings."""

    def __init__(self, path: Path, *, speed: float = SPEED, postgres: Mapping[str, str] | None = None, **settings: str) -> None:
        self.path = path
        self._speed = speed
        self._settings = settings
        self._stack = AsyncExitStack()
        self._names = itertools.count(1)
        self._phones = itertools.count(1)
        self.postgres = Postgres(path / "postgres", settings=postgres)
        self.valkey = Valkey(path / "valkey")
        self.processes = Processes(path / "logs", MARK)
        self.simulator = installation.new_simulator()
        self.door = TcpProxy(self.simulator.port)
        self.workers: dict[str, Child] = {}
        self.tenants: list[Tenant] = []
        self._web: Child
        self.http: aiohttp.ClientSession
        self.pool: Pool
        self.watch: Watch
        self.environment: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        for server in (self.postgres, self.valkey):
            await server.start()
            self._stack.push_async_callback(server.stop)
        await installation.prepare(self.postgres.url)
        self.environment = self._environment()
        await self._stack.enter_async_context(self.processes)
        await self._stack.enter_async_context(self.door)
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)))
        self.pool = await self._stack.enter_async_context(await open_pool(self.postgres.url, name="judge", size=4))
        await installation.start_simulator(self.processes, self.simulator, self.environment, seed=1, speed=self._speed)
        await self.start_web()
        self.watch = await self._stack.enter_async_context(Watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        for child in self.workers.values():
            _send(child, SIGKILL)
        await self._stack.aclose()

    def _environment(self) -> dict[str, str]:
        port = str(free_port())
        return {
            **installation.bare_environment(),
            **self.simulator.environment,
            "TWILIO_API_URL": self.door.url,
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.valkey.url,
            "PORT": port,
            "PUBLIC_URL": f"http://{LOCALHOST}:{port}",
            "SECRET_KEY": "a secret of forty characters, for a test",
            "DIALER_CALLS_PER_SECOND": "0",
            "DIALER_PROVIDER_LAG_SECONDS": "2",
            "DIALER_RING_TIMEOUT_SECONDS": "5",
            "LOG_LEVEL": "INFO",
            **self._settings,
        }

    # -- processes -----------------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where the web process is."""
        return self.environment["PUBLIC_URL"]

    async def start_web(self) -> None:
        """Start the web process, and wait until it answers."""
        child = self._web = await self.processes.start("web", "web", environment=self.environment)

        async def answers() -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                async with self.http.get(f"{self.url}/healthz") as response:
                    return response.status == 200
            return False

        await self.processes.ready(child, answers)

    async def kill_web(self) -> None:
        """End the web process by kill -9."""
        self._web.process.kill()
        await self._web.process.wait()

    async def start_worker(self) -> str:
        """Start a worker, and wait until it holds a lease; return its name."""
        name = f"worker-{next(self._names)}"
        environment = {**self.environment, "DIALER_WORKER_NAME": name}
        self.workers[name] = await self.processes.start(name, "actors", environment=environment)
        await self.processes.ready(self.workers[name], lambda: self.leased(name))
        return name

    async def leased(self, name: str) -> bool:
        """True while a worker's lease lives."""
        return bool(await self.value("SELECT count(*) FROM dialer.workers WHERE name = $1 AND lease_until > now()", name))

    async def staff(self, count: int) -> list[str]:
        """Have exactly `count` workers, everything owned by them; return their names."""
        while len(self.workers) > count:
            await self.end(next(iter(self.workers)), SIGTERM)
        while len(self.workers) < count:
            await self.start_worker()
        await until(self._all_owned, READY_SECONDS, "every partition has a living owner")
        return list(self.workers)

    async def _all_owned(self) -> bool:
        owned = await self.value(
            "SELECT count(*) FROM dialer.partitions p JOIN dialer.workers w ON w.incarnation = p.owner "
            "WHERE w.lease_until > now() AND w.name = ANY ($1::text[])",
            list(self.workers),
        )
        return bool(owned == 256)

    def signal(self, name: str, number: Signals) -> None:
        """Send a signal to a worker."""
        _send(self.workers[name], number)

    async def end(self, name: str, number: Signals) -> None:
        """End a worker by a signal, and wait until it is gone."""
        child = self.workers.pop(name)
        _send(child, number)
        async with asyncio.timeout(STOP_SECONDS):
            await child.process.wait()

    async def busiest(self) -> str:
        """The worker that owns most partitions."""
        row = await self.rows(
            "SELECT w.name FROM dialer.partitions p JOIN dialer.workers w ON w.incarnation = p.owner "
            "WHERE w.name = ANY ($1::text[]) GROUP BY w.name ORDER BY count(*) DESC LIMIT 1",
            list(self.workers),
        )
        return str(row[0]["name"])

    # -- servers -------------------------------------------------------------------------------------------------------------------

    async def value(self, query: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever the query says
        """The first value of a query; None while PostgreSQL is away."""
        with contextlib.suppress(*AWAY):
            return await self.pool.fetchval(query, *arguments)
        return None

    async def rows(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of a query."""
        return list(await self.pool.fetch(query, *arguments))

    async def empty_valkey(self) -> None:
        """Delete the files of Valkey, which must not run."""
        await asyncio.to_thread(shutil.rmtree, self.path / "valkey" / "appendonlydir", ignore_errors=True)

    async def faults(self, **faults: float) -> None:
        """Let the simulator do these things wrong from now on, and nothing else."""
        async with self.http.post(f"{self.simulator.url}/simulator/faults", json=faults) as response:
            assert response.status == 200, await response.text()

    async def numbers(self, scenarios: dict[str, str]) -> None:
        """Say how the calls to these numbers go."""
        async with self.http.post(f"{self.simulator.url}/simulator/numbers", json=scenarios) as response:
            assert response.status == 200, await response.text()

    async def mend(self) -> None:
        """Undo every fault of an earlier test, and have at least one worker."""
        for server in (self.postgres, self.valkey):
            if not server.alive:
                await server.start()
        await self.door.open()
        await self.faults()
        if self._web.process.returncode is not None:
            await self.start_web()
        for name, child in list(self.workers.items()):
            _send(child, SIGCONT)
            if child.process.returncode is not None:
                del self.workers[name]
        await self.staff(max(len(self.workers), 1))

    # -- businesses ----------------------------------------------------------------------------------------------------------------

    async def tenant(self, max_calls: int = 3) -> Tenant:
        """A business with a token."""
        caller_id = f"+97237{next(self._phones):06}"
        desk = Businesses(self.pool)
        business_id = await desk.create(name="Shop", caller_id=caller_id, region="IL", timezone="Asia/Jerusalem", max_calls=max_calls)
        secret = str((await token.create(self.pool, business_id, role=Role.OPERATOR))["token"])
        tenant = Tenant(self.http, self.url, business_id, caller_id, secret, max_calls, self.watch)
        self.tenants.append(tenant)
        return tenant

    def leads(self, count: int) -> list[dict[str, Any]]:
        """New leads, of numbers nobody has been given before."""
        numbers = [next(self._phones) for _ in range(count)]
        return [{"lead_id": n, "phone": f"+97250{n:07}", "name": f"Lead {n}"} for n in numbers]

    async def clear(self) -> None:
        """Stop whatever a test has left running."""
        for tenant in self.tenants:
            await tenant.stop_all()
        self.tenants.clear()
        self.watch.forget()

    def log(self, name: str) -> str:
        """What a process has written so far."""
        return (self.path / "logs" / f"{name}.log").read_text(errors="replace")


def _send(child: Child, number: Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        if child.process.returncode is None:
            os.kill(child.process.pid, number)
