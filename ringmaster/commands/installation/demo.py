"""`python -m dialer demo`: dials the leads of three businesses through real processes and a simulated Twilio, and shows it live."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from rich.console import Console

from dialer.clock import SystemClock
from dialer.config import load
from ringmaster import signals
from ringmaster.database import connected
from ringmaster.demo import campaign, fixtures
from ringmaster.demo.environment import choose_port, start
from ringmaster.errors import FAILED, INTERRUPTED, OptionError, single

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace
    from collections.abc import AsyncIterator, Sequence

    from ringmaster.demo.environment import Environment
    from ringmaster.demo.fixtures import Tenant

SEED = 7
SPEED = 40.0  # a call takes 40 s on average, 50 leads three at a time 11 minutes
MAX_SPEED = 1_000.0
MAX_PORT = 65_535
FOLDER = "demo"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to argparse."""
    demo = commands.add_parser(
        "demo",
        help="see it work, with nothing set up",
        description="Start everything from scratch, dial the leads of two businesses and a small third through a simulated Twilio, "
        "show it live, run until Ctrl-C.",
    )
    demo.add_argument("--exit", action="store_true", help="end when all runs are over: 0 if every lead is accounted for")
    demo.add_argument(
        "--leads", type=Path, metavar="FILE.csv", help="dial this file, for both large businesses (header lead_id,phone,name,timezone)"
    )
    demo.add_argument("--port", type=int, metavar="N", help="the web's port (default: 8080, or a free one)")
    demo.add_argument("--seed", type=int, default=SEED, metavar="N", help="decides who answers, is busy, ... (default: 7)")
    demo.add_argument("--speed", type=float, default=SPEED, metavar="X", help="simulated seconds in a real one (default: 40)")
    signals.add_parent_option(demo)
    demo.set_defaults(run=run)


async def run(options: Namespace) -> int:
    """Run the command. With `--exit`: 0 when every lead is accounted for, 1 when not; else 0 after a signal.

    Raises:
        ConfigError: when the environment is wrong.
        CommandError: when an option is wrong, a process does not start or ends by itself, or a run stalls.
    """
    signals.follow_parent(enabled=options.with_parent)
    _check(options)
    return await signals.until_signal(_demo(options), interrupted=INTERRUPTED if options.exit else 0)


def _check(options: Namespace) -> None:
    if options.port is not None and not 0 < options.port <= MAX_PORT:
        raise OptionError(option="--port", problem=f"a number from 1 to {MAX_PORT}")
    if not 0 < options.speed <= MAX_SPEED:
        raise OptionError(option="--speed", problem=f"more than 0, at most {MAX_SPEED:g}")
    if options.leads is not None and not options.leads.is_file():
        raise OptionError(option="--leads", problem=f"there is no file {options.leads}")


async def _demo(options: Namespace) -> int:
    clock = SystemClock()
    began = clock.boot()

    def log_step(text: str) -> None:
        print(f"[{clock.boot() - began:5.1f} s] {text}", flush=True)

    port = choose_port(options.port, log_step)
    path = load().data_dir / FOLDER
    async with start(path, port=port, seed=options.seed, speed=options.speed, log_step=log_step) as environment, _watch(environment):
        async with connected(environment.servers.database_url) as pool:
            tenants = await fixtures.create(pool, options.leads)
        _greet(environment.url, tenants)
        discrepancies = await _run_campaigns(environment, tenants, options.speed)
        if options.exit:
            return FAILED if discrepancies else 0
        print(f"The web stays up at {environment.url} until Ctrl-C.", flush=True)
        await asyncio.Event().wait()
    return 0


@asynccontextmanager
async def _watch(environment: Environment) -> AsyncIterator[None]:
    """End the block when a server or a process ends."""
    async with single(), asyncio.TaskGroup() as group:
        watching = group.create_task(environment.watch())
        yield
        watching.cancel()


async def _run_campaigns(environment: Environment, tenants: Sequence[Tenant], speed: float) -> list[str]:
    terminal = sys.stdout.isatty()
    async with aiohttp.ClientSession() as session:
        return await campaign.run_all(session, environment, tenants, Console(), terminal=terminal, speed=speed)


def _greet(url: str, tenants: Sequence[Tenant]) -> None:
    print(f"\n{url}")
    for tenant in tenants:
        print(f"  {tenant.name}: sign in as {tenant.email} with {tenant.password}")
        print(f"    or call the API, {url}/api/docs, with Authorization: Bearer {tenant.token}")
    print("Calls go to the simulator: no telephone rings.\n", flush=True)
