"""A small installation in one command, through real processes."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import stat
from typing import TYPE_CHECKING

import aiohttp
import asyncpg
import psutil
import pytest

from ringmaster.local.ports import free_port
from tests.chaos.polling import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.demo.conftest import Run

pytestmark = pytest.mark.timeout(240)


async def test_it_keeps_its_data_and_its_key(run: Run, tmp_path: Path) -> None:
    port = str(free_port())
    business = ("business", "create", "--name", "Harbor Light", "--caller-id", "+12125550100", "--json")
    keys = []
    accounts = []
    for expected in (1, 2):
        async with run("up", "--simulator", PORT=port) as up:
            await up.until_line(f"Ringmaster is up: http://127.0.0.1:{port}")
            await up.until_line("Ctrl-C")
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as response:
                assert response.status == 200
            async with run(*business) as created:
                assert await created.end() == 0, created.out
                assert json.loads(created.out)["business_id"] == expected
            assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
            keys.append((tmp_path / "secret_key").read_text())
            accounts.append((tmp_path / "simulator" / "account.json").read_text())
            assert stat.S_IMODE((tmp_path / "simulator" / "account.json").stat().st_mode) == 0o600
            up.process.send_signal(signal.SIGTERM)
            assert await up.end() == 0, up.out
            assert up.left() == []
    assert keys[0] == keys[1]
    assert accounts[0] == accounts[1], "a call that was placed before is asked for at the account that placed it"


async def test_servers_of_ones_own_several_web_processes_on_one_port_and_several_workers(
    run: Run, tmp_path: Path, empty_database_url: str, redis_url: str
) -> None:
    port = free_port()
    metrics = free_port() // 2
    servers = {"PORT": str(port), "DATABASE_URL": empty_database_url, "REDIS_URL": redis_url, "DIALER_METRICS_PORT": str(metrics)}
    async with run("up", "--simulator", "--webs", "2", "--workers", "2", **servers) as up:
        await up.until_line("Ctrl-C")
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as response:
            assert response.status == 200
        assert not (tmp_path / "postgres").exists()
        assert not (tmp_path / "valkey").exists()
        listening = [process for process in psutil.Process(up.process.pid).children(recursive=True) if listens(process, port)]
        assert len(listening) == 2
        database = await asyncpg.connect(empty_database_url)
        try:
            await until(lambda: workers_live(database), 30, "two workers hold a lease")
        finally:
            await database.close()
        for number, counter in ((1, "worker_claims"), (2, "worker_claims"), (101, "web_requests"), (102, "web_requests")):
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{metrics + number}/metrics") as response:
                assert f"# TYPE {counter}_total counter" in await response.text(), number
        # The kernel spreads connections by their addresses: each process gets some of many.
        answering = [await connected(port, listening) for _ in range(40)]
        assert set(answering) == {process.pid for process in listening}
        # One that ends is started again; the others go on.
        victim = listening[0]
        victim.kill()
        await up.until_line(rf"It is started again in 1 s: web-\d \(process {victim.pid}\) was ended by SIGKILL")
        await until(lambda: started_again(up.process.pid, port, listening), 30, "two processes listen again")
        up.process.kill()
        assert await up.nothing_left()


def listens(process: psutil.Process, port: int) -> bool:
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in process.net_connections("tcp"))


async def started_again(up: int, port: int, before: list[psutil.Process]) -> bool:
    now = [process for process in psutil.Process(up).children(recursive=True) if listens(process, port)]
    return len(now) == len(before) and len(set(now) - set(before)) == 1


async def workers_live(database: asyncpg.Connection[asyncpg.Record]) -> bool:
    return bool(await database.fetchval("SELECT count(*) = 2 FROM dialer.workers WHERE lease_until > now()"))


async def connected(port: int, processes: list[psutil.Process]) -> int:
    """The process that answers a new connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in await reader.readline()
        ours = writer.get_extra_info("sockname")[1]
        return next(p.pid for p in processes for c in p.net_connections("tcp") if getattr(c.raddr, "port", None) == ours)
    finally:
        writer.close()


async def test_without_an_account_or_a_port_it_says_so_and_starts_nothing(run: Run, tmp_path: Path) -> None:
    async with run("up") as up:
        assert await up.end() == 2
        assert "TWILIO_ACCOUNT_SID is not set" in up.out
        assert "TWILIO_AUTH_TOKEN is not set" in up.out
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with run("up", "--simulator", PORT=str(taken.getsockname()[1])) as up:
            assert await up.end() == 2
            assert up.out.startswith("PORT: ")
    assert not (tmp_path / "postgres").exists()
