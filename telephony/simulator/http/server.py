"""Serves the simulator on a port, in this process."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiohttp import web as http

from dialer.clock import SystemClock, SystemIds
from telephony.simulator.background_tasks import BackgroundTasks
from telephony.simulator.call_log_file import read_calls
from telephony.simulator.http.control import Control
from telephony.simulator.http.rest import Rest, twilio_errors
from telephony.simulator.scenarios import Scenario
from telephony.simulator.simulator import Simulator
from telephony.simulator.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

MAX_REQUEST_BYTES: Final = 256 * 1024
SHUTDOWN_SECONDS: Final = 0.2
BACKLOG: Final = 1024

# Made-up credentials, for tests in one process.
TEST_ACCOUNT: Final = "AC" + "0123456789abcdef" * 2
TEST_TOKEN: Final = "fedcba9876543210" * 2


@asynccontextmanager
async def running(
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    accounts: Mapping[str, str] | None = None,
    seed: int = 0,
    scenario: Scenario | str = Scenario.ANSWER,
    speed: float = 1.0,
    call_log_file: Path | None = None,
    resume: bool = False,
) -> AsyncIterator[Simulator]:
    """Serve the simulator on `port` (0: a free one) while the context lasts; `accounts` maps account sids to their tokens.

    `speed` simulated seconds pass in a real one. With `resume` the calls in `call_log_file` are loaded at the start.

    Raises:
        OSError: when the port is taken.
    """
    tokens = dict(accounts or {TEST_ACCOUNT: TEST_TOKEN})
    ids = SystemIds()
    webhooks = Webhooks(ids, tokens, speed)
    try:
        async with BackgroundTasks() as tasks:
            simulator = Simulator(
                clock=SystemClock(),
                ids=ids,
                tasks=tasks,
                webhooks=webhooks,
                seed=seed,
                scenario=Scenario(scenario),
                speed=speed,
                call_log_file=call_log_file,
            )
            if resume and call_log_file is not None:
                simulator.call_log.restore(read_calls(call_log_file, simulator.clock.now()))
            async with _served(simulator, tokens, host, port):
                yield simulator
    finally:
        await webhooks.close()


@asynccontextmanager
async def _served(simulator: Simulator, tokens: Mapping[str, str], host: str, port: int) -> AsyncIterator[None]:
    app = http.Application(middlewares=[twilio_errors], client_max_size=MAX_REQUEST_BYTES)
    app.add_routes(Rest(simulator, tokens).routes())
    app.add_routes(Control(simulator).routes())
    runner = http.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        site = http.TCPSite(runner, host, port, backlog=BACKLOG)
        await site.start()
        simulator.url = f"http://{host}:{runner.addresses[0][1]}"
        yield
    finally:
        await runner.cleanup()
