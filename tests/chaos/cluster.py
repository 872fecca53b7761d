"""A cluster to break: real servers, our own processes, the simulator behind a TCP proxy, and businesses that dial.

Every fault comes from outside: signals, files, and what an operator could do at a terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
from contextlib import AsyncExitStack
from signal import SIGCONT, SIGKILL, SIGTERM, Signals
from typing import TYPE_CHECKING, Any, Self, cast

import aiohttp
import asyncpg

from dialer.model import Role
from ringmaster import installation
from ringmaster.commands.businesses import token
from ringmaster.local.ports import LOCALHOST, free_port
from ringmaster.local.postgres import Postgres
from ringmaster.local.process import Processes
from ringmaster.local.valkey import Valkey
from sql.businesses.businesses import Businesses
from sql.pool import open_pool
from tests.chaos.polling import until
from tests.chaos.tenant import Tenant
from tests.chaos.watch import Watch
from tests.least_privilege import as_role
from tests.pgbouncer import pooled
from tests.proxies import fronted
from tests.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ringmaster.local.process import Child
    from sql.pool import Pool
    from tests.pgbouncer import Mode
    from tests.proxies import Proxy
    from tests.redis_cluster import RedisCluster

MARK = "chaos"
SPEED = 200.0
READY_SECONDS = 30.0
STOP_SECONDS = 15.0
# PostgreSQL is killed and restarted here: a query in the meantime is repeated.
UNAVAILABLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Cluster:
    """Use with `async with`; `settings` are added to the environment of our processes, `postgres` to that server's settings.

    With `pooler` our processes use PostgreSQL through PgBouncer, with `proxy` the web process is reached through that. `database` and
    `redis_server` are the servers to start. With `least_privilege` our processes have a role that may do nothing else.
    """

    def __init__(
        self,
        path: Path,
        *,
        speed: float = SPEED,
        postgres: Mapping[str, str] | None = None,
        pooler: Mode | None = None,
        proxy: Proxy | None = None,
        database: type[Postgres] = Postgres,
        redis_server: Callable[[Path], Valkey | RedisCluster] = Valkey,
        least_privilege: bool = False,
        **settings: str,
    ) -> None:
        self.path = path
        self._speed = speed
        self._settings = settings
        self._pooler = pooler
        self._proxy = proxy
        self._least_privilege = least_privilege
        self._stack = AsyncExitStack()
        self._names = itertools.count(1)
        self._phones = itertools.count(1)
        self.postgres = database(path / "postgres", settings=postgres)
        # A cluster has what the tests that run on both use of Valkey.
        self.valkey = cast("Valkey", redis_server(path / "valkey"))
        self.processes = Processes(path / "logs", MARK)
        self.simulator = installation.new_simulator()
        self.provider_proxy = TcpProxy(self.simulator.url)
        self.workers: dict[str, Child] = {}
        self.tenants: list[Tenant] = []
        self._web: Child
        self.http: aiohttp.ClientSession
        self.pool: Pool
        self.watch: Watch
        self.environment: dict[str, str] = {}
        self.database_url: str
        self.owner_url: str

    async def __aenter__(self) -> Self:
        for server in (self.postgres, self.valkey):
            await server.start()
            self._stack.push_async_callback(server.stop)
        self.database_url = self.postgres.url
        if self._pooler:
            self.database_url = await self._stack.enter_async_context(pooled(self.postgres.url, self._pooler, self.path / "pgbouncer"))
        self.owner_url = self.database_url
        await self.release()
        if self._least_privilege:
            self.database_url = await as_role(self.database_url)
        await self._stack.enter_async_context(self.provider_proxy)
        self.environment = self._environment()
        connector = await self._front()
        await self._stack.enter_async_context(self.processes)
        timeout = aiohttp.ClientTimeout(total=30)
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
        await self.connect()
        await installation.start_simulator(self.processes, self.simulator, self.environment, seed=1, speed=self._speed)
        await self.start_web()
        self.watch = await self._stack.enter_async_context(Watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        for child in self.workers.values():
            child.send(SIGKILL)
        await self._stack.aclose()

    async def _front(self) -> aiohttp.BaseConnector | None:
        """Start the proxy, if there is to be one: from then on PUBLIC_URL is its address, for the simulator and for us."""
        if self._proxy is None:
            return None
        port = int(self.environment["PORT"])
        front = await self._stack.enter_async_context(fronted(self._proxy, port, self.path / "proxy", web_answers=False))
        # The simulator sends its callbacks there, and believes this certificate.
        self.environment |= {"PUBLIC_URL": front.url, "SSL_CERT_FILE": str(front.certificate), "DIALER_TRUSTED_PROXIES": LOCALHOST}
        return front.connector()

    def _environment(self) -> dict[str, str]:
        port = str(free_port())
        return {
            **installation.bare_environment(),
            **self.simulator.environment,
            "TWILIO_API_URL": self.provider_proxy.url,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.valkey.url,
            "PORT": port,
            "PUBLIC_URL": f"http://{LOCALHOST}:{port}",
            "SECRET_KEY": "a secret of forty characters - for a test",
            "DIALER_CALLS_PER_SECOND": "0",
            "DIALER_PROVIDER_LAG_SECONDS": "2",
            "DIALER_RING_TIMEOUT_SECONDS": "5",
            "LOG_LEVEL": "INFO",
            **self._settings,
        }

    # -- processes -----------------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The address of the web process."""
        return self.environment["PUBLIC_URL"]

    async def release(self) -> None:
        """Bring the schema up to date, as the owner of the tables."""
        await installation.prepare(self.owner_url)

    async def start_web(self) -> None:
        """Start the web process, and wait until it answers."""
        child = self._web = self.processes.start("web", "web", environment=self.environment)
        await child.ready(lambda: self._answers("healthz"))

    async def _answers(self, path: str) -> bool:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self.http.get(f"{self.url}/{path}") as response:
                return response.status == 200
        return False

    async def kill_web(self) -> None:
        """End the web process by kill -9."""
        self._web.send(SIGKILL)
        await self._web.wait(STOP_SECONDS)

    async def start_worker(self) -> str:
        """Start a worker, and wait until it holds a lease; return its name."""
        name = f"worker-{next(self._names)}"
        environment = {**self.environment, "DIALER_WORKER_NAME": name}
        self.workers[name] = self.processes.start(name, "actors", environment=environment)
        await self.workers[name].ready(lambda: self.leased(name))
        return name

    async def leased(self, name: str) -> bool:
        """True while a worker's lease lives."""
        return bool(await self.value("SELECT count(*) FROM dialer.workers WHERE name = $1 AND lease_until > now()", name))

    async def scale(self, count: int) -> list[str]:
        """Run exactly `count` workers that own all partitions; return their names."""
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
        self.workers[name].send(number)

    async def end(self, name: str, number: Signals) -> None:
        """End a worker by a signal, and wait until it is gone."""
        child = self.workers.pop(name)
        child.send(number)
        assert await child.wait(STOP_SECONDS), f"{name} does not end"

    async def busiest(self) -> str:
        """The worker that owns most partitions."""
        row = await self.rows(
            "SELECT w.name FROM dialer.partitions p JOIN dialer.workers w ON w.incarnation = p.owner "
            "WHERE w.name = ANY ($1::text[]) GROUP BY w.name ORDER BY count(*) DESC LIMIT 1",
            list(self.workers),
        )
        return str(row[0]["name"])

    # -- servers -------------------------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open the connections of the judge, again after they were closed."""
        self.pool = await self._stack.enter_async_context(await open_pool(self.postgres.url, name="judge", size=4))

    async def value(self, query: str, *arguments: object) -> Any:  # noqa: ANN401 - the type depends on the query
        """The first value of a query; None while PostgreSQL is not available."""
        with contextlib.suppress(*UNAVAILABLE):
            return await self.pool.fetchval(query, *arguments)
        return None

    async def rows(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of a query."""
        return list(await self.pool.fetch(query, *arguments))

    async def empty_valkey(self) -> None:
        """Delete the data of Valkey, which must be stopped; the nodes of a cluster still know each other."""
        for folder in await asyncio.to_thread(list, (self.path / "valkey").rglob("appendonlydir")):
            await asyncio.to_thread(shutil.rmtree, folder)

    async def faults(self, **faults: float) -> None:
        """Set the simulator's faults, replacing all earlier ones."""
        async with self.http.post(f"{self.simulator.url}/simulator/faults", json=faults) as response:
            assert response.status == 200, await response.text()

    async def numbers(self, scenarios: dict[str, str]) -> None:
        """Set the scenarios of calls to these numbers."""
        async with self.http.post(f"{self.simulator.url}/simulator/numbers", json=scenarios) as response:
            assert response.status == 200, await response.text()

    async def repair(self) -> None:
        """Undo every fault of an earlier test, with at least one worker running."""
        for server in (self.postgres, self.valkey):
            if not server.alive:
                await server.start()
        await self.provider_proxy.accept()
        await self.faults()
        if self._web.ended:
            await self.start_web()
        # A pooler that has lost its server tries again after 15 s only.
        await until(lambda: self._answers("readyz"), READY_SECONDS, "the web process reaches PostgreSQL")
        for name, child in list(self.workers.items()):
            child.send(SIGCONT)
            if child.ended:
                del self.workers[name]
        await self.scale(max(len(self.workers), 1))

    # -- businesses ----------------------------------------------------------------------------------------------------------------

    async def tenant(self, max_calls: int = 3) -> Tenant:
        """A business with a token."""
        caller_id = f"+97237{next(self._phones):06}"
        businesses = Businesses(self.pool)
        business_id = await businesses.create(name="Shop", caller_id=caller_id, region="IL", timezone="Asia/Jerusalem", max_calls=max_calls)
        secret = str((await token.create(self.pool, business_id, role=Role.OPERATOR))["token"])
        tenant = Tenant(self.http, self.url, business_id, caller_id, secret, max_calls, self.watch)
        self.tenants.append(tenant)
        return tenant

    def leads(self, count: int) -> list[dict[str, Any]]:
        """New leads with unused numbers."""
        numbers = [next(self._phones) for _ in range(count)]
        return [{"lead_id": n, "phone": f"+97250{n:07}", "name": f"Lead {n}"} for n in numbers]

    async def clear(self) -> None:
        """Stop the runs that a test has left running."""
        for tenant in self.tenants:
            await tenant.stop_all()
        self.tenants.clear()
        self.watch.clear()

    def log(self, name: str) -> str:
        """The log of a process so far."""
        return (self.path / "logs" / f"{name}.log").read_text(errors="replace")
