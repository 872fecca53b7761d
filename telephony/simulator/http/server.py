"""Serves the simulator on a port, in this process."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiohttp import web as http
from pydantic import SecretStr

from dialer.clock import SystemClock, SystemIds
from telephony.simulator.accounts.account_directory import AccountDirectory
from telephony.simulator.accounts.account_record import SimulatorAccount
from telephony.simulator.background_tasks import BackgroundTasks
from telephony.simulator.call_log_file import read_calls
from telephony.simulator.http.control import Control
from telephony.simulator.http.fields import is_private
from telephony.simulator.http.page import Page
from telephony.simulator.http.resources.account_resources import AccountResources
from telephony.simulator.http.resources.dialing_permissions import DialingPermissions
from telephony.simulator.http.resources.recording_resources import RecordingResources
from telephony.simulator.http.rest import Rest, twilio_errors
from telephony.simulator.scenarios import Scenario
from telephony.simulator.simulator import ServerSettings, Simulator
from telephony.simulator.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
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
    accounts: Mapping[str, str] | Iterable[SimulatorAccount] | None = None,
    seed: int = 0,
    scenario: Scenario | str = Scenario.ANSWER,
    speed: float = 1.0,
    call_log_file: Path | None = None,
    resume: bool = False,
) -> AsyncIterator[Simulator]:
    """Serve the simulator on `port` (0: a free one) while the context lasts.

    `accounts` maps account sids to their tokens, or declares each. `speed` simulated seconds pass in a real one. With `resume` the calls in
    `call_log_file` are loaded at the start, and the accounts that were declared by HTTP.

    Raises:
        OSError: when the port is taken.
        ConfigError: when the file of accounts is not one.
    """
    ids = SystemIds()
    directory = AccountDirectory(_declared(accounts or {TEST_ACCOUNT: TEST_TOKEN}), _accounts_file(call_log_file))
    webhooks = Webhooks(ids, directory, speed)
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
            simulator.settings = ServerSettings(private_hosts=is_private(host))
            if resume and call_log_file is not None:
                simulator.call_log.restore(read_calls(call_log_file, simulator.clock.now()))
                directory.restore()
            async with _served(simulator, host, port):
                yield simulator
    finally:
        await webhooks.close()


def _declared(accounts: Mapping[str, str] | Iterable[SimulatorAccount]) -> Iterable[SimulatorAccount]:
    if isinstance(accounts, Mapping):
        return [SimulatorAccount(sid=sid, auth_token=SecretStr(token)) for sid, token in accounts.items()]
    return accounts


def _accounts_file(call_log_file: Path | None) -> Path | None:
    return None if call_log_file is None else call_log_file.with_name(f"{call_log_file.name}.accounts")


@asynccontextmanager
async def _served(simulator: Simulator, host: str, port: int) -> AsyncIterator[None]:
    app = http.Application(middlewares=[twilio_errors], client_max_size=MAX_REQUEST_BYTES)
    rest = Rest(simulator)
    app.add_routes(rest.routes())
    app.add_routes(AccountResources(simulator, rest.account_of).routes())
    app.add_routes(DialingPermissions(simulator, rest.owner_of).routes())
    app.add_routes(RecordingResources(simulator, rest.account_of).routes())
    app.add_routes(Control(simulator).routes())
    app.add_routes(Page(simulator).routes())
    runner = http.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        site = http.TCPSite(runner, host, port, backlog=BACKLOG)
        await site.start()
        simulator.url = f"http://{host}:{runner.addresses[0][1]}"
        yield
    finally:
        await runner.cleanup()
