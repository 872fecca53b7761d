"""Every process and command stops at wrong settings, and at a database that refuses, with lines for a person and no traceback."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest

import dialer
from dialer.config import Settings
from ringmaster.local.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKOUT = Path(dialer.__file__).parents[1]
END_SECONDS = 60.0
SID = "AC" + "0" * 32
PUBLIC = "https://dialer.example.com"
SERVICE = {"PUBLIC_URL": PUBLIC, "SECRET_KEY": "k" * 40, "TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": "0" * 32}
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("web",),
    ("actors",),
    ("sql", "migrate"),
    ("sql", "status"),
    ("sql", "check"),
    ("dialer", "up"),
    ("dialer", "up", "--simulator"),
    ("dialer", "demo", "--exit"),
    ("dialer", "business", "create", "--name", "N", "--caller-id", "+12125550100"),
    ("dialer", "user", "create", "--business", "1", "--email", "a@b.example", "--role", "admin", "--password-stdin"),
    ("dialer", "token", "create", "--business", "1", "--role", "viewer"),
    ("dialer", "resolve", "--business", "1", "--run", "1", "--job", "1", "--as", "over", "--by", "me"),
    ("telephony.simulator", "--port", "0"),
)
WRONG = {
    "DATABASE_URL": "postgresql://u:hush@h:99999/d?sslmode=no-verify",
    "REDIS_URL": "redis://:hush@host/notanumber",
    "PUBLIC_URL": "https://dialer.example.com:abc/?x=1",
    "SECRET_KEY": "hush ",
    "TWILIO_AUTH_TOKEN": '"hush"',
    "DIALER_RING_TIMEOUT_SECONDS": "soon",
}
# What is asked of a database, and so meets its refusal.
ASKING = tuple(command for command in COMMANDS if command[:1] != ("telephony.simulator",) and command[1:2] not in {("demo",), ("up",)})


async def run(tmp_path: Path, *command: str, **environment: str) -> tuple[int, list[str]]:
    """Run a command to its end; give its exit code and what it wrote to standard error."""
    ours = {str(setting.alias) for setting in Settings.model_fields.values()}
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=CHECKOUT,
        env={**clean, "DIALER_DATA_DIR": str(tmp_path / "data"), "LOG_FORMAT": "console", **environment},
    )
    try:
        async with asyncio.timeout(END_SECONDS):
            _, errors = await process.communicate(b"a long pass phrase\n")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, errors.decode().splitlines()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_every_wrong_setting_is_said_at_once(tmp_path: Path, command: tuple[str, ...]) -> None:
    code, lines = await run(tmp_path, *command, **WRONG)
    assert code == 2, lines
    named = [line.split(": ")[0] for line in lines if "is not set" not in line]
    # The simulator of `up` brings an account of its own.
    assert set(named) == WRONG.keys() - ({"TWILIO_AUTH_TOKEN"} if "--simulator" in command else set())
    assert len(named) == len(set(named))
    assert "hush" not in "".join(lines)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, {"PUBLIC_URL is not set"}),
        ({"TWILIO_API_URL": "https://calls.example.com"}, {"PUBLIC_URL is not set"}),
        ({"PUBLIC_URL": "http://192.168.1.5:8080"}, {"PUBLIC_URL"}),
        ({"PUBLIC_URL": PUBLIC, "DIALER_PROVIDER_LAG_SECONDS": "0"}, {"DIALER_PROVIDER_LAG_SECONDS"}),
    ],
)
async def test_up_needs_an_address_that_the_provider_reaches(tmp_path: Path, environment: dict[str, str], named: set[str]) -> None:
    account = {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": "0" * 32}
    code, lines = await run(tmp_path, "dialer", "up", **account, **environment)
    assert (code, {line.split(":")[0] for line in lines}) == (2, named), lines
    assert not (tmp_path / "data").exists()


def elsewhere(database_url: str, **changes: str) -> str:
    parts = urlsplit(database_url)
    return parts._replace(**changes).geturl()


REFUSING: dict[str, tuple[Callable[[str], str], str]] = {
    "user": (lambda url: elsewhere(url, netloc="nobody@" + urlsplit(url).netloc.rpartition("@")[2]), "user or the password"),
    "database": (lambda url: elsewhere(url, path="/nowhere"), "no such database"),
    "host": (lambda _: "postgresql://postgres:hush@no-such-host.invalid/d", "host no-such-host.invalid is not found"),
    "port": (lambda _: f"postgresql://postgres:hush@127.0.0.1:{free_port()}/d", "cannot be reached"),
    "read only": (lambda url: url, "takes no writes"),
}


@pytest.mark.parametrize("fault", REFUSING)
async def test_a_database_that_refuses_is_one_line(tmp_path: Path, database_url: str, redis_url: str, fault: str) -> None:
    if fault == "read only":
        connection = await asyncpg.connect(database_url)
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        await connection.close()
    change, sentence = REFUSING[fault]
    addresses = {"DATABASE_URL": change(database_url), "REDIS_URL": redis_url, "PORT": str(free_port())}
    # Every command meets one of them, the processes meet all.
    commands = ASKING if fault == "user" else [command for command in ASKING if command[0] in {"web", "actors"}]
    ended = await asyncio.gather(*(run(tmp_path, *command, **SERVICE, **addresses) for command in commands))
    for command, (code, lines) in zip(commands, ended, strict=True):
        assert (code, len(lines)) == (1, 1), (command, lines)
        assert "hush" not in lines[0]
        assert sentence in lines[0], command


async def test_a_port_that_is_taken_is_one_line(tmp_path: Path, database_url: str, redis_url: str) -> None:
    server = await asyncio.start_server(lambda _, __: None, "0.0.0.0", 0)  # noqa: S104 it is what the web process takes
    async with server:
        port = server.sockets[0].getsockname()[1]
        code, lines = await run(tmp_path, "web", **SERVICE, DATABASE_URL=database_url, REDIS_URL=redis_url, PORT=str(port))
    assert (code, len(lines)) == (1, 1), lines
    assert "PORT" in lines[0]
    assert "in use" in lines[0]


async def test_a_process_says_which_variable_is_no_setting(tmp_path: Path) -> None:
    addresses = {"DATABASE_URL": f"postgresql://127.0.0.1:{free_port()}/d", "REDIS_URL": "redis://127.0.0.1:1"}
    for command in ("web", "actors"):
        _, lines = await run(tmp_path, command, **SERVICE, **addresses, DIALER_CALLS_PER_SECONDS="2")
        assert "did you mean DIALER_CALLS_PER_SECOND?" in lines[0], lines
