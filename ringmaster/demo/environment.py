"""Starts everything a demo needs from scratch: servers, schema, simulator, web process, worker."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ringmaster import installation
from ringmaster.errors import OptionError, single
from ringmaster.local import folder
from ringmaster.local.ports import LOCALHOST, PortInUseError, check_port, free_port
from ringmaster.local.process import Processes
from ringmaster.local.servers import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ringmaster.local.servers import Servers

DEFAULT_PORT = 8080
LAG_SECONDS = 2  # the simulator shows its calls at once


@dataclass(frozen=True, slots=True)
class Environment:
    """A running dialer: the addresses of the web process and of the simulator, and what was started."""

    url: str
    simulator_url: str
    servers: Servers
    processes: Processes

    async def watch(self) -> NoReturn:
        """Wait until a server or a process ends.

        Raises:
            CommandError: when one has.
        """
        async with single(), asyncio.TaskGroup() as group:
            group.create_task(self.servers.watch())
            group.create_task(self.processes.watch())
        raise AssertionError


@asynccontextmanager
async def start(path: Path, *, port: int, seed: int, speed: float, log_step: Callable[[str], None]) -> AsyncIterator[Environment]:
    """Start everything in the directory `path`, which is emptied first, for the length of a block; `log_step` is called for each part.

    Raises:
        CommandError: when a demo runs there already, or a process does not start.
    """
    async with AsyncExitStack() as stack:
        directory = await stack.enter_async_context(folder.locked(path, "a demo"))
        await folder.clear(directory)
        servers = await stack.enter_async_context(serving(directory.path))
        log_step("PostgreSQL and Valkey")
        await installation.prepare(servers.database_url)
        log_step("the schema")
        simulator = installation.new_simulator()
        environment = {
            **installation.bare_environment(),
            **simulator.environment,
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "PORT": str(port),
            "PUBLIC_URL": f"http://{LOCALHOST}:{port}",
            "SECRET_KEY": folder.secret_key(directory),
            "DIALER_DATA_DIR": str(directory.path),
            "DIALER_CALLS_PER_SECOND": "0",
            "DIALER_PROVIDER_LAG_SECONDS": str(LAG_SECONDS),
        }
        processes = await stack.enter_async_context(Processes(directory.path / "logs", directory.mark))
        await installation.start_simulator(processes, simulator, environment, seed=seed, speed=speed)
        log_step(f"a simulated Twilio, {speed:g} times as fast as real time")
        await installation.start_dialer(processes, environment)
        log_step("the web process and the worker")
        yield Environment(environment["PUBLIC_URL"], simulator.url, servers, processes)


def choose_port(requested: int | None, log_step: Callable[[str], None]) -> int:
    """The requested port; without one 8080, or a free one when that is taken.

    Raises:
        OptionError: when the requested one is taken.
    """
    try:
        check_port(DEFAULT_PORT if requested is None else requested)
    except PortInUseError as error:
        if requested is not None:
            raise OptionError(option="--port", problem=str(error)) from error
        port = free_port()
        log_step(f"port {DEFAULT_PORT} is taken; using {port}")
        return port
    return requested or DEFAULT_PORT
