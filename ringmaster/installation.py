"""What `up` and `demo` have in common: the environment of our processes, and starting the simulator, the web process and the worker.

Beside the road of a call: it puts up every station of it.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import aiohttp
import psutil

from dialer.config import Settings
from ringmaster.local.data_dir import LOCALHOST, free_port
from ringmaster.refusal import RefusalError
from sql.errors import FAILED
from sql.migrate import ChangedMigrationError, migrate
from sql.unusable import why_unusable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from ringmaster.local.data_dir import DataDir
    from ringmaster.local.processes import Child, Processes

LOOK_SECONDS = 2.0
SID_BYTES = 16
KEPT_BY_DEMO = {"LOG_LEVEL"}


@dataclass(frozen=True, slots=True)
class Simulator:
    """Where the simulator is to be, and the account whose calls it takes; with a `ledger` it knows the calls of its earlier lives."""

    port: int
    account_sid: str
    auth_token: str
    ledger: Path | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{LOCALHOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What makes our processes dial through it, and it take their calls."""
        return {"TWILIO_API_URL": self.url, "TWILIO_ACCOUNT_SID": self.account_sid, "TWILIO_AUTH_TOKEN": self.auth_token}


def new_simulator() -> Simulator:
    """A simulator at a free port, with an account nobody else knows."""
    return Simulator(free_port(), f"AC{secrets.token_hex(SID_BYTES)}", secrets.token_hex(SID_BYTES))


def kept_simulator(simulator: Simulator, place: DataDir) -> Simulator:
    """The same simulator with the account and the calls it had before in this directory; a new account is kept for the next time."""
    folder = place.path / "simulator"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "account.json"
    if not file.exists():
        draft = folder / "account.json.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as kept:
            json.dump({"account_sid": simulator.account_sid, "auth_token": simulator.auth_token}, kept)
        draft.replace(file)
    return replace(simulator, **json.loads(file.read_text()), ledger=folder / "ledger.jsonl")


def bare_environment() -> dict[str, str]:
    """The environment without any setting of ours but the log's level, so that a demo is the same on every machine."""
    ours = {str(field.alias) for field in Settings.model_fields.values()} - KEPT_BY_DEMO
    return {name: value for name, value in os.environ.items() if name not in ours}


async def prepare(database_url: str) -> None:
    """Bring the schema up to date.

    Raises:
        RefusalError: when that fails.
    """
    try:
        await migrate(database_url)
    except ChangedMigrationError as error:
        message = f"these migrations were applied to this database and have changed since: {error}"
        raise RefusalError(message) from error
    except FAILED as error:
        raise RefusalError(why_unusable(error, database_url)) from error


async def start_simulator(processes: Processes, simulator: Simulator, environment: Mapping[str, str], *, seed: int, speed: float) -> Child:
    """Start the simulator and wait until it answers.

    Raises:
        RefusalError: when it does not start.
    """
    arguments = ["--port", str(simulator.port), "--seed", str(seed), "--speed", f"{speed:g}"]
    if simulator.ledger is not None:
        arguments += ["--ledger", str(simulator.ledger), "--resume"]
    child = await processes.start("simulator", "telephony.simulator", *arguments, environment={**environment, **simulator.environment})
    async with _asking(f"{simulator.url}/simulator/faults") as asking:
        await processes.ready(child, asking.answered)
    return child


async def start_web(processes: Processes, environment: Mapping[str, str]) -> None:
    """Start the web process and wait until it answers.

    Raises:
        RefusalError: when it does not start.
    """
    web = await processes.start("web", "web", environment=environment)
    port = int(environment["PORT"])
    async with _asking(f"http://{LOCALHOST}:{port}/healthz") as asking:

        async def answers() -> bool:
            # Another program at this port would answer too.
            return _listens(web, port) and await asking.answered()

        await processes.ready(web, answers)


async def start_dialer(processes: Processes, environment: Mapping[str, str]) -> None:
    """Start the web process, then the worker: it is stopped before the web process that takes its callbacks.

    Raises:
        RefusalError: when the web process does not start.
    """
    await start_web(processes, environment)
    await processes.start("worker", "actors", environment=environment)


def _listens(child: Child, port: int) -> bool:
    try:
        connections = psutil.Process(child.process.pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(found.status == psutil.CONN_LISTEN and found.laddr[1] == port for found in connections)


class _Asking:
    """A question that is put again until it is answered."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def answered(self) -> bool:
        """True when the answer is 200."""
        try:
            async with self._session.get(self._url) as response:
                return response.status == 200  # noqa: PLR2004 HTTP's OK
        except (aiohttp.ClientError, TimeoutError):
            return False


@asynccontextmanager
async def _asking(url: str) -> AsyncIterator[_Asking]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LOOK_SECONDS)) as session:
        yield _Asking(session, url)
