"""`python -m dialer up`: starts a small installation in one command."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dialer.addresses import is_this_machine
from dialer.config import load, unknown
from ringmaster import installation, notice, signals
from ringmaster.errors import MISUSED, CommandError, single
from ringmaster.installation import METRICS_OF_WEB
from ringmaster.local import folder
from ringmaster.local.ports import PortInUseError, check_port
from ringmaster.local.process import Processes
from ringmaster.local.servers import serving

if TYPE_CHECKING:
    from argparse import Namespace

    from dialer.config import Settings
    from ringmaster.installation import Simulator
    from ringmaster.local.data_dir import DataDir
    from ringmaster.local.servers import Servers

MOST_PROCESSES = 64
HIGHEST_PORT = 65_535
FIRST_STEPS = """\
Accounts, from another terminal here:
  {python} -m dialer business create --name NAME --caller-id +12125550100
  {python} -m dialer user create --business 1 --email you@example.com --role admin
  {python} -m dialer token create --business 1 --role operator
The addresses of PostgreSQL and Redis are in {addresses}."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to argparse."""
    up = commands.add_parser(
        "up",
        help="a small installation in one command",
        description="Start everything: PostgreSQL and Valkey unless DATABASE_URL and REDIS_URL are set, web processes, workers. "
        "Data is kept in DIALER_DATA_DIR.",
    )
    up.add_argument("--simulator", action="store_true", help="dial through the simulator instead of Twilio")
    up.add_argument("--seed", type=int, default=0, help="of the simulator (default: 0)")
    up.add_argument("--speed", type=float, default=1.0, help="of the simulator, simulated seconds in a real one (default: 1)")
    up.add_argument("--webs", type=_count, default=1, metavar="N", help="web processes on the same port (default: 1)")
    up.add_argument("--workers", type=_count, default=1, metavar="N", help="workers; each process uses one core (default: 1)")
    signals.add_parent_option(up)
    up.set_defaults(run=run)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= MOST_PROCESSES):
        message = f"a number from 1 to {MOST_PROCESSES}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


async def run(options: Namespace) -> int:
    """Run the command until a signal; 0 then.

    Raises:
        ConfigError: when the environment is wrong.
        CommandError: when something does not start, or when the simulator or an embedded server ends by itself.
    """
    signals.follow_parent(enabled=options.with_parent)
    simulator = installation.new_simulator() if options.simulator else None
    if simulator:
        os.environ.update(simulator.environment)  # checked below, and passed to our processes, as if the person had set them
    # Twilio rejects calls without a public address. Only a simulator on this machine reaches 127.0.0.1.
    public = [] if is_this_machine(os.environ.get("TWILIO_API_URL", "")) else ["PUBLIC_URL"]
    settings = load("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", *public)
    if settings.metrics_port > HIGHEST_PORT - METRICS_OF_WEB - MOST_PROCESSES:
        message = f"DIALER_METRICS_PORT: at most {HIGHEST_PORT - METRICS_OF_WEB - MOST_PROCESSES}, since each process adds its number"
        raise CommandError(message, MISUSED)
    for line in unknown():
        print(line, file=sys.stderr)
    try:
        check_port(settings.port)
    except PortInUseError as error:
        message = f"PORT: {error}"
        raise CommandError(message, MISUSED) from error
    return await signals.until_signal(_up(settings, simulator, options), interrupted=0)


async def _up(settings: Settings, simulator: Simulator | None, options: Namespace) -> int:
    data_dir = settings.data_dir.absolute()
    async with (
        folder.locked(data_dir, "another `python -m dialer up`") as directory,
        serving(data_dir, database_url=settings.database_url, redis_url=settings.redis_url) as servers,
        Processes(data_dir / "logs", directory.mark) as processes,
    ):
        await installation.prepare(servers.database_url)
        environment = _environment(settings, servers, directory)
        if simulator:
            # Calls placed before a restart are reconciled with the account that placed them.
            simulator = installation.persistent_simulator(simulator, directory)
            environment |= simulator.environment
            await installation.start_simulator(processes, simulator, environment, seed=options.seed, speed=options.speed)
        await installation.start_dialer(processes, environment, webs=options.webs, workers=options.workers, restarts=True)
        _greet(environment, simulator, data_dir)
        with notice.posted(data_dir, servers.database_url, servers.redis_url):
            await _watch(servers, processes)
    return 0


async def _watch(servers: Servers, processes: Processes) -> None:
    async with single(), asyncio.TaskGroup() as group:
        group.create_task(processes.watch())
        if servers.embedded:
            group.create_task(servers.watch())


def _environment(settings: Settings, servers: Servers, directory: DataDir) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "PORT": str(settings.port),
        "PUBLIC_URL": settings.public_url or f"http://127.0.0.1:{settings.port}",
        "SECRET_KEY": settings.secret_key.get_secret_value() or folder.secret_key(directory),
        "DIALER_DATA_DIR": str(directory.path),
    }


def _python() -> str:
    """How to call this Python from the present directory: in a checkout, `.venv/bin/python`."""
    program, here = Path(sys.executable), Path.cwd()
    return str(program.relative_to(here)) if program.is_relative_to(here) else str(program)


def _greet(environment: dict[str, str], simulator: Simulator | None, data_dir: Path) -> None:
    print(f"Ringmaster is up: {environment['PUBLIC_URL']}")
    if simulator:
        print(f"Calls go to the simulator at {simulator.url}: no telephone rings.")
    print(FIRST_STEPS.format(python=_python(), addresses=data_dir / notice.NAME))
    print(f"Logs are in {data_dir / 'logs'}. A web process or a worker that ends is started again. Ctrl-C stops everything.", flush=True)
