"""A small installation in one command, through real processes."""

from __future__ import annotations

import json
import signal
import socket
import stat
from typing import TYPE_CHECKING

import aiohttp
import pytest

from ringmaster.local.ports import free_port

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


async def test_servers_of_ones_own_are_used_instead(run: Run, tmp_path: Path, empty_database_url: str, redis_url: str) -> None:
    port = str(free_port())
    async with run("up", "--simulator", PORT=port, DATABASE_URL=empty_database_url, REDIS_URL=redis_url) as up:
        await up.until_line("Ctrl-C")
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as response:
            assert response.status == 200
        assert not (tmp_path / "postgres").exists()
        assert not (tmp_path / "valkey").exists()
        up.process.kill()
        assert await up.nothing_left()


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
