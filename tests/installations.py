"""A healthy installation on servers of its own, for tests that break it."""

from __future__ import annotations

import asyncio
import itertools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest_asyncio
from aiohttp.test_utils import TestServer

from dialer.clock import SystemClock
from dialer.config import Settings
from dialer.model import AttemptState
from dialer.policy.calling_hours import default_hours
from ringmaster.doctor.examination import examine
from ringmaster.local.postgres import Postgres
from ringmaster.local.valkey import Valkey
from sql.migrate import migrate
from sql.pool import open_pool
from sql.privileges.privileges import grant
from telephony import simulator
from tests.rows import SECRET_KEY, DatabaseFixture
from web.app import create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import pytest

    from ringmaster.doctor.finding import Finding

ROLE, PASSWORD = "app", "app"
HEALTHY = "healthy"


@dataclass(frozen=True)
class Servers:
    """What all tests here share: servers of their own, which keep what they commit, and a healthy database to copy."""

    postgres: Postgres
    valkey: Valkey
    provider: simulator.Simulator
    web_url: str

    def url(self, database: str) -> str:
        return urlsplit(self.postgres.url)._replace(path=f"/{database}").geturl()


class Installation:
    """A healthy installation of this test alone, to be broken."""

    def __init__(self, servers: Servers, name: str, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
        self.servers = servers
        self.monkeypatch = monkeypatch
        self.path = path
        self.owner_url = servers.url(name)
        parts = urlsplit(self.owner_url)
        self.url = parts._replace(netloc=f"{ROLE}:{PASSWORD}@{parts.hostname}:{parts.port}").geturl()
        self.clock = SystemClock()

    async def execute(self, statements: str) -> None:
        connection = await asyncpg.connect(self.owner_url)
        try:
            await connection.execute(statements)
        finally:
            await connection.close()

    def set(self, **settings: str) -> None:
        for name, value in settings.items():
            self.monkeypatch.setenv(name, value)

    async def findings(self) -> list[Finding]:
        return [finding async for finding in examine(self.clock)]


def provided(provider: simulator.Simulator) -> dict[str, str]:
    """The settings of an account of the provider."""
    return {
        "TWILIO_API_URL": provider.url,
        "TWILIO_ACCOUNT_SID": simulator.TEST_ACCOUNT,
        "TWILIO_AUTH_TOKEN": simulator.TEST_TOKEN,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def doctor_servers(servers_dir: Path, request: pytest.FixtureRequest) -> AsyncIterator[Servers]:
    folder = servers_dir / request.module.__name__
    postgres, valkey = Postgres(folder / "postgres"), Valkey(folder / "valkey")
    await asyncio.gather(postgres.start(), valkey.start())
    try:
        async with simulator.running(speed=50) as provider:
            found = Servers(postgres, valkey, provider, "")
            await _make_healthy(found)
            served = found.url("served")
            await _copy(found, "served")
            settings = {"PUBLIC_URL": "https://dialer.example.com", "SECRET_KEY": SECRET_KEY, **provided(provider)}
            web = TestServer(create_app(Settings.model_validate({"DATABASE_URL": served, "REDIS_URL": valkey.url, **settings})))
            await web.start_server()
            yield Servers(postgres, valkey, provider, str(web.make_url("")).rstrip("/"))
            await web.close()
    finally:
        await asyncio.gather(postgres.stop(), valkey.stop())


async def _make_healthy(servers: Servers) -> None:
    """A business that calls, with rules; and a role that may do what Ringmaster does, as `migrate --grant` gives it."""
    url = servers.url(HEALTHY)
    connection = await asyncpg.connect(servers.postgres.url)
    await connection.execute(f'CREATE DATABASE "{HEALTHY}"')
    await connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
    await connection.close()
    await migrate(url)
    await grant(url, ROLE)
    async with await open_pool(url, name="test", size=2) as pool:
        database = await DatabaseFixture(pool).open()
        business = await database.business()
        await database.run(business, 6)
        attempts, _ = await database.claim(business, permits=2)
        await database.record(attempts[0], AttemptState.OVER, outcome="completed", sid="CA" + "1" * 32)
        await database.record(attempts[1], AttemptState.LIVE, sid="CA" + "2" * 32)
        await pool.execute(
            "UPDATE dialer.businesses SET calling_hours = $2, max_per_day = 3,"
            ' required_registers = \'[{"name": "national", "max_age_days": 15}]\' WHERE business_id = $1',
            business,
            default_hours("US").model_dump(mode="json", exclude_unset=True),
        )
        for statement in (
            "DELETE FROM dialer.outbox",
            "UPDATE outbound_call_runs SET lock_ts = dialer.utc() + interval '1 hour'",
            "INSERT INTO dialer.registers (business_id, name, current) SELECT business_id, 'national', TRUE FROM dialer.businesses",
            (
                "INSERT INTO dialer.webhooks (business_id, url, events, sealed_key, created_by)"
                " VALUES (1, 'https://example.com', '{}', '', 'test')"
            ),
        ):
            await pool.execute(statement)


async def _copy(servers: Servers, name: str) -> None:
    connection = await asyncpg.connect(servers.postgres.url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{HEALTHY}" STRATEGY file_copy')
    finally:
        await connection.close()


_numbers: Iterator[int] = itertools.count(1)


@pytest_asyncio.fixture(loop_scope="session")
async def installation(doctor_servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Installation:
    name = f"doctor_{next(_numbers)}"
    await _copy(doctor_servers, name)
    found = Installation(doctor_servers, name, monkeypatch, tmp_path)
    for variable in [variable for variable in os.environ if variable.startswith(("DIALER_", "TWILIO_"))]:
        monkeypatch.delenv(variable)
    found.set(
        DATABASE_URL=found.url,
        REDIS_URL=doctor_servers.valkey.url,
        PUBLIC_URL=doctor_servers.web_url,
        SECRET_KEY=SECRET_KEY,
        DIALER_DATA_DIR=str(tmp_path),
        **provided(doctor_servers.provider),
    )
    return found
