"""The simulator as a process of its own: it starts, prints its address, and stops on a signal."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from telephony import simulator

ROOT: Final = Path(__file__).parents[2]
PATIENCE_SECONDS: Final = 20.0
CREDENTIALS: Final = {"TWILIO_ACCOUNT_SID": simulator.TEST_ACCOUNT, "TWILIO_AUTH_TOKEN": simulator.TEST_TOKEN}


async def start(*arguments: str, environment: dict[str, str]) -> asyncio.subprocess.Process:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TWILIO_", "DIALER_"))}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "telephony.simulator", *arguments),
        cwd=ROOT,
        env={**clean, **environment},
        stdout=PIPE,
        stderr=PIPE,
    )


async def test_it_serves_until_it_is_told_to_stop_and_keeps_its_call_log(tmp_path: Path) -> None:
    further = tmp_path / "accounts.json"
    declared = {"auth_token": "other", "numbers": ["+97237000000"], "private_hosts": False}
    further.write_text(json.dumps({"AC" + "9" * 32: "other", "AC" + "8" * 32: declared}), encoding="utf-8")
    log_file = tmp_path / "calls.jsonl"
    options = ("--port", "0", "--scenario", "busy", "--speed", "100", "--accounts", str(further), "--ledger", str(log_file))
    process = await start(*options, environment=CREDENTIALS)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert process.stdout is not None
            url = (await process.stdout.readline()).decode().split()[2].rstrip(",")
            for sid, token in ((simulator.TEST_ACCOUNT, simulator.TEST_TOKEN), ("AC" + "9" * 32, "other")):
                headers = {"Authorization": aiohttp.encode_basic_auth(sid, token)}
                form = {"To": "+97250000001", "From": "+97237000000", "Twiml": "<Response/>"}
                address = f"{url}/2010-04-01/Accounts/{sid}/Calls.json"
                async with aiohttp.ClientSession() as client, client.post(address, data=form, headers=headers) as response:
                    assert response.status == 201
            form = {"To": "+97250000001", "From": "+97237000000", "Url": "http://127.0.0.1:9/"}
            statuses = {}
            for sid, token in ((simulator.TEST_ACCOUNT, simulator.TEST_TOKEN), ("AC" + "8" * 32, "other")):
                headers = {"Authorization": aiohttp.encode_basic_auth(sid, token)}
                address = f"{url}/2010-04-01/Accounts/{sid}/Calls.json"
                async with aiohttp.ClientSession() as client, client.post(address, data=form, headers=headers) as response:
                    statuses[sid] = response.status
            assert list(statuses.values()) == [201, 400], "on this machine private hosts are taken, unless the account says otherwise"
            process.terminate()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    events = [json.loads(line)["event"] for line in log_file.read_text(encoding="utf-8").splitlines()]
    assert (events.count("request"), events.count("created")) == (4, 3)


@pytest.mark.parametrize(
    ("arguments", "environment", "printed"),
    [
        (("--port", "0"), {}, "TWILIO_ACCOUNT_SID"),
        (("--port", "0"), {"TWILIO_ACCOUNT_SID": "me", "TWILIO_AUTH_TOKEN": "x"}, "TWILIO_ACCOUNT_SID"),
        (("--port", "0", "--accounts", "/nowhere.json"), CREDENTIALS, "--accounts"),
        (("--port", "0", "--private-hosts", "perhaps"), CREDENTIALS, "--private-hosts"),
        (("--port", "0", "--speed", "0"), CREDENTIALS, "--speed"),
        (("--port", "0", "--scenario", "opera"), CREDENTIALS, "--scenario"),
        ((), CREDENTIALS, "--port"),
    ],
)
async def test_a_wrong_start_says_why_in_a_line_or_two(arguments: tuple[str, ...], environment: dict[str, str], printed: str) -> None:
    process = await start(*arguments, environment=environment)
    async with asyncio.timeout(PATIENCE_SECONDS):
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert printed in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_a_port_in_use_says_so() -> None:
    async with simulator.running() as taken:
        process = await start("--port", taken.url.rpartition(":")[2], environment=CREDENTIALS)
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, errors = await process.communicate()
    assert process.returncode == 2
    assert "in use" in errors.decode()
    assert "Traceback" not in errors.decode()
