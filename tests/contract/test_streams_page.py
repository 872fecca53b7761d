"""The programs of docs/streams.md, run as they stand there, by a user with the rights that it recommends, while a worker runs."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest
import redis.asyncio as redis

from actors.bootstrap import open_services
from actors.worker import Worker
from dialer.messages import COMMANDS, EVENTS, REJECTED
from sql.pool import open_pool
from telephony import simulator
from tests.chaos.polling import until
from tests.contract.stream_worker import loaded, settings
from tests.integration.test_cli_accounts import command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAGE: Final = (Path(__file__).parents[2] / "docs" / "streams.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"^<!-- run: (\w+) -->\n```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
STARTING: Final = {language: code for run, language, code in BLOCKS if run == "pending"}
READING: Final = [code for run, _, code in BLOCKS if run == "ended"]
ACL: Final = re.search(r"^```acl\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PROGRAMS: Final = {"sh": ("bash", "-eu"), "python": (sys.executable,), "js": ("node",), "php": ("php",)}
SUFFIXES: Final = {"sh": "sh", "python": "py", "js": "cjs", "php": "php"}
NEEDED: Final = ("redis-cli", "node", "php")
# Debian's node looks there for its packages; other builds are told to.
NODE_PACKAGES: Final = "/usr/share/nodejs"
WAIT_SECONDS: Final = 60.0


@pytest.fixture
async def urls(redis_url: str) -> AsyncIterator[dict[str, str]]:
    """The address of Redis for each user of the page."""
    assert ACL
    client: Any = redis.Redis.from_url(redis_url)
    async with client:
        for line in ACL[1].splitlines():
            await client.execute_command(*line.split())
        parts = urlsplit(redis_url)
        place = parts.netloc.rpartition("@")[2]
        secrets = {"ringmaster": "first-secret", "crm": "second-secret"}
        yield {user: parts._replace(netloc=f"{user}:{secret}@{place}").geturl() for user, secret in secrets.items()}
        await client.execute_command("ACL", "DELUSER", "ringmaster", "crm")


async def ran(folder: Path, language: str, code: str, **environment: str) -> str:
    """What a program prints; it must end well."""
    file = folder / f"{environment['RUN_ID']}.{SUFFIXES[language]}"
    file.write_text(code, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *PROGRAMS[language],
        str(file),
        env={**os.environ, "NODE_PATH": NODE_PACKAGES, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WAIT_SECONDS):
        printed, errors = await process.communicate()
    assert process.returncode == 0, (language, printed, errors)
    return printed.decode()


@pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason="Debian: apt-get install redis-tools nodejs node-redis php-cli php-redis")
async def test_a_service_starts_and_watches_a_run(database_url: str, urls: dict[str, str], tmp_path: Path) -> None:
    pool = await open_pool(database_url, name="test", size=2)
    async with redis.Redis.from_url(urls["crm"], decode_responses=True) as crm, simulator.running(scenario="slow", speed=1) as sim:
        business, *runs = await loaded(pool, 2, runs=len(STARTING))
        async with open_services(settings(database_url, urls["ringmaster"], sim.url)) as services:
            worker = Worker(services, "test:1")
            await worker.start()
            where = {"REDIS_URL": urls["crm"], "BUSINESS_ID": str(business)}
            started = [
                asyncio.ensure_future(ran(tmp_path, language, code, RUN_ID=str(run), **where))
                for (language, code), run in zip(STARTING.items(), runs, strict=True)
            ]
            for run in runs:
                await until(lambda run=run: told(crm, run, "run.started"), WAIT_SECONDS, f"run {run} is started")  # type: ignore[misc]
                await ask(crm, "run.stop", business, run)
            printed = await asyncio.gather(*started)
            for code in READING:
                assert "run.finished" in await ran(tmp_path, "sh", code, RUN_ID="0", **where)
            await rejected_commands(crm, business, runs[0], database_url, urls["ringmaster"])
            await worker.stop()
        await rights_of(crm)
    await pool.close()
    assert set(STARTING) == set(PROGRAMS)
    for language, text in zip(STARTING, printed, strict=True):
        assert "has ended" in text if language == "sh" else re.search(r"^run\.started .*^run\.finished ", text, re.MULTILINE | re.DOTALL), (
            text
        )


async def ask(client: redis.Redis, kind: str, business: int, run: int, command_id: str = "") -> None:
    fields: Any = {"v": "1", "id": command_id or f"{kind}-{run}", "type": kind, "business_id": business, "run_id": run, "hang_up": "1"}
    await client.xadd(COMMANDS, fields)


async def told(client: redis.Redis, run: int, kind: str) -> bool:
    events: Any = await client.xrange(EVENTS)
    return any(fields.get("run_id") == str(run) and fields["type"] == kind for _, fields in events)


async def rejected_commands(
    crm: Any,  # noqa: ANN401 - redis-py types its results as Any
    business: int,
    run: int,
    database_url: str,
    redis_url: str,
) -> None:
    """At the terminal: shown, sent again, rejected again, discarded; one that is malformed stays."""
    entries: list[str] = []

    async def rejected(*verb: str) -> dict[str, Any]:
        ended = await command(database_url, "rejected", *verb, "--json", REDIS_URL=redis_url)
        assert ended.code == (1 if "malformed" in ended.out else 0), ended
        found: dict[str, Any] = ended.json if ended.code == 0 else {"out": ended.out}
        return found

    async def count(least: int) -> bool:
        entries[:] = [entry for entry, _ in await crm.xrange(REJECTED)]
        return len(entries) >= least

    await ask(crm, "run.resume", business, run, "late")
    await ask(crm, "run.dance", business, run, "odd")
    await until(lambda: count(2), WAIT_SECONDS, "both commands are rejected")
    items = (await rejected("list", "--business", str(business)))["items"]
    assert {item["entry"] for item in items} == set(entries)
    assert {item["id"]: item["reason"].split()[0] for item in items} == {"late": "invalid_state", "odd": "type"}
    answer = await rejected("requeue", "--all")
    assert "type must be one of" in answer["out"]
    await until(lambda: count(2), WAIT_SECONDS, "the command is rejected again")
    assert {fields["id"] for _, fields in await crm.xrange(REJECTED)} == {"late:r1", "odd"}
    assert (await rejected("discard", entries[0]))["changed"] == 1
    assert len((await rejected("list"))["items"]) == 1


async def rights_of(crm: Any) -> None:  # noqa: ANN401 - likewise
    """What the user of another service may not do."""
    for forbidden in (
        ("XADD", EVENTS, "*", "id", "x"),
        ("XADD", REJECTED, "*", "id", "x"),
        ("XRANGE", COMMANDS, "-", "+"),
        ("XTRIM", EVENTS, "MAXLEN", "0"),
        ("GET", "dialer:probe"),
        ("KEYS", "*"),
        ("FLUSHALL",),
        ("DEL", COMMANDS),
    ):
        with pytest.raises(redis.ResponseError):
            await crm.execute_command(*forbidden)
