"""Shared by `up` and `demo`: the environment of our processes, and starting the simulator, the web process and the worker."""

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
from ringmaster.errors import CommandError
from ringmaster.local.ports import LOCALHOST, free_port
from sql.errors import FAILED
from sql.migrate import ChangedMigrationError, migrate
from sql.patience import MigrationError
from sql.unusable import why_unusable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from ringmaster.local.data_dir import DataDir
    from ringmaster.local.process import Child, Processes

PROBE_SECONDS = 2.0
SID_BYTES = 16
KEPT_VARIABLES = {"LOG_LEVEL"}
# Worker n has its metrics at DIALER_METRICS_PORT + n, web process n at this much more.
METRICS_OF_WEB = 100


@dataclass(frozen=True, slots=True)
class Simulator:
    """The port of a simulator and the account it serves; with a `call_log_file` it resumes the calls of its earlier processes."""

    port: int
    account_sid: str
    auth_token: str
    call_log_file: Path | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{LOCALHOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Makes our processes dial through it, and makes it accept their account."""
        return {"TWILIO_API_URL": self.url, "TWILIO_ACCOUNT_SID": self.account_sid, "TWILIO_AUTH_TOKEN": self.auth_token}


def new_simulator() -> Simulator:
    """A simulator at a free port, with a random account."""
    return Simulator(free_port(), f"AC{secrets.token_hex(SID_BYTES)}", secrets.token_hex(SID_BYTES))


def persistent_simulator(simulator: Simulator, directory: DataDir) -> Simulator:
    """The simulator with the account and the calls stored in this directory; the first time, its account is stored there."""
    folder = directory.path / "simulator"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "account.json"
    if not file.exists():
        draft = folder / "account.json.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
            json.dump({"account_sid": simulator.account_sid, "auth_token": simulator.auth_token}, output)
        draft.replace(file)
    return replace(simulator, **json.loads(file.read_text()), call_log_file=folder / "ledger.jsonl")


def bare_environment() -> dict[str, str]:
    """The environment without our settings except LOG_LEVEL, so that a demo is the same on every machine."""
    settings = {str(field.alias) for field in Settings.model_fields.values()} - KEPT_VARIABLES
    return {name: value for name, value in os.environ.items() if name not in settings}


async def prepare(database_url: str) -> None:
    """Apply pending migrations.

    Raises:
        CommandError: when that fails.
    """
    try:
        await migrate(database_url)
    except ChangedMigrationError as error:
        message = (
            f"the database is of an earlier version, whose migrations have changed since ({error}): start with an empty DIALER_DATA_DIR, "
            "or go on with that version"
        )
        raise CommandError(message) from error
    except MigrationError as error:
        message = f"the schema of the database cannot be brought up to date: {error}"
        raise CommandError(message) from error
    except FAILED as error:
        raise CommandError(why_unusable(error, database_url)) from error


async def start_simulator(processes: Processes, simulator: Simulator, environment: Mapping[str, str], *, seed: int, speed: float) -> Child:
    """Start the simulator and wait until it answers.

    Raises:
        CommandError: when it does not start.
    """
    arguments = ["--port", str(simulator.port), "--seed", str(seed), "--speed", f"{speed:g}"]
    if simulator.call_log_file is not None:
        arguments += ["--ledger", str(simulator.call_log_file), "--resume"]
    child = processes.start("simulator", "telephony.simulator", *arguments, environment={**environment, **simulator.environment})
    async with _probing(f"{simulator.url}/simulator/faults") as probe:
        await child.ready(probe.answers)
    return child


async def start_web(processes: Processes, environment: Mapping[str, str], count: int = 1, *, restarts: bool = False) -> None:
    """Start `count` web processes on one port and wait until each listens and answers.

    Raises:
        CommandError: when one does not start.
    """
    arguments = ["--share-port"] if count > 1 else []
    for number, name in enumerate(_names("web", count), start=METRICS_OF_WEB + 1):
        web = processes.start(name, "web", *arguments, environment=_with_metrics(environment, number), restarts=restarts)
        await _ready_web(web, int(environment["PORT"]))


async def _ready_web(web: Child, port: int) -> None:
    async with _probing(f"http://{LOCALHOST}:{port}/healthz") as probe:

        async def answers() -> bool:
            # Another program at this port would answer too.
            return _listens(web, port) and await probe.answers()

        await web.ready(answers)


async def start_dialer(
    processes: Processes, environment: Mapping[str, str], *, webs: int = 1, workers: int = 1, restarts: bool = False
) -> None:
    """Start the web processes, then the workers: processes stop in reverse, so callbacks are received until the last worker has ended.

    With `restarts` each of them is started again when it ends.

    Raises:
        CommandError: when a web process does not start.
    """
    await start_web(processes, environment, webs, restarts=restarts)
    for number, name in enumerate(_names("worker", workers), start=1):
        called = environment.get("DIALER_WORKER_NAME")
        named = {"DIALER_WORKER_NAME": f"{called} {name}"} if called and workers > 1 else {}
        processes.start(name, "actors", environment=_with_metrics({**environment, **named}, number), restarts=restarts)


def _with_metrics(environment: Mapping[str, str], number: int) -> dict[str, str]:
    """The environment of one process on this machine: each serves its metrics on a port of its own, if they are served at all."""
    base = int(environment.get("DIALER_METRICS_PORT") or 0)
    return {**environment, "DIALER_METRICS_PORT": str(base + number if base else 0)}


def _names(kind: str, count: int) -> list[str]:
    return [kind] if count == 1 else [f"{kind}-{n}" for n in range(1, count + 1)]


def _listens(child: Child, port: int) -> bool:
    try:
        connections = psutil.Process(child.pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(connection.status == psutil.CONN_LISTEN and connection.laddr[1] == port for connection in connections)


class _HttpProbe:
    """Checks whether an address answers 200."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def answers(self) -> bool:
        """True when it answers 200 within 2 s."""
        try:
            async with self._session.get(self._url) as response:
                return response.status == 200  # noqa: PLR2004 HTTP's OK
        except (aiohttp.ClientError, TimeoutError):
            return False


@asynccontextmanager
async def _probing(url: str) -> AsyncIterator[_HttpProbe]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_SECONDS)) as session:
        yield _HttpProbe(session, url)
