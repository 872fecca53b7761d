"""Everything a demo needs, put up from nothing: servers, schema, simulator, web process, worker.

Beside the road of a call: it puts up every station of it, for one show.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ringmaster import installation
from ringmaster.local import folder
from ringmaster.local.data_dir import LOCALHOST, PortInUseError, check_port, free_port
from ringmaster.local.processes import Processes
from ringmaster.local.servers import serving
from ringmaster.refusal import OptionError, single

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ringmaster.local.servers import Servers

DEFAULT_PORT = 8080
LAG_SECONDS = 2  # the simulator shows its calls at once


@dataclass(frozen=True, slots=True)
class Environment:
    """A dialer that runs: where it is, and where the simulator's books are."""

    url: str
    simulator_url: str
    servers: Servers
    processes: Processes

    async def watch(self) -> NoReturn:
        """Wait until a server or a process ends.

        Raises:
            RefusalError: when one has.
        """
        async with single(), asyncio.TaskGroup() as group:
            group.create_task(self.servers.watch())
            group.create_task(self.processes.watch())
        raise AssertionError


@asynccontextmanager
async def stage(path: Path, *, port: int, seed: int, speed: float, step: Callable[[str], None]) -> AsyncIterator[Environment]:
    """Put everything up in the directory `path`, which is emptied first, for the length of a block; `step` hears what is ready.

    Raises:
        RefusalError: when a demo runs there already, or something does not start.
    """
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(folder.held(path, "a demo"))
        await folder.empty(place)
        servers = await stack.enter_async_context(serving(place.path))
        step("PostgreSQL and Valkey")
        await installation.prepare(servers.database_url)
        step("the schema")
        simulator = installation.new_simulator()
        environment = {
            **installation.bare_environment(),
            **simulator.environment,
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "PORT": str(port),
            "PUBLIC_URL": f"http://{LOCALHOST}:{port}",
            "SECRET_KEY": folder.secret_key(place),
            "DIALER_DATA_DIR": str(place.path),
            "DIALER_CALLS_PER_SECOND": "0",
            "DIALER_PROVIDER_LAG_SECONDS": str(LAG_SECONDS),
        }
        processes = await stack.enter_async_context(Processes(place.path / "logs", place.mark))
        await installation.start_simulator(processes, simulator, environment, seed=seed, speed=speed)
        step(f"a simulated Twilio, {speed:g} times as fast as life")
        await installation.start_dialer(processes, environment)
        step("the web process and the worker")
        yield Environment(environment["PUBLIC_URL"], simulator.url, servers, processes)


def port_to_use(asked: int | None, say: Callable[[str], None]) -> int:
    """The port that was asked for; else 8080, or a free one when that is taken.

    Raises:
        OptionError: when the one that was asked for is taken.
    """
    try:
        check_port(DEFAULT_PORT if asked is None else asked)
    except PortInUseError as error:
        if asked is not None:
            raise OptionError(option="--port", problem=str(error)) from error
        port = free_port()
        say(f"port {DEFAULT_PORT} is taken; using {port}")
        return port
    return asked or DEFAULT_PORT
