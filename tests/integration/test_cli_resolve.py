"""A person resolves an unknown call at the terminal."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING

from dialer.model import AttemptState

if TYPE_CHECKING:
    from tests.rows import DatabaseFixture

COMMAND_SECONDS = 60.0


async def resolve(database_url: str, *arguments: object) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dialer", "resolve", "--by", "Dana", "--json", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "DATABASE_URL": database_url},
    )
    async with asyncio.timeout(COMMAND_SECONDS):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_an_unknown_call_is_resolved_once_and_audited(database: DatabaseFixture, database_url: str) -> None:
    business, other = await database.business(), await database.business()
    run = await database.run(business, 2)
    first, second = (await database.claim(business))[0]
    await database.record(first, AttemptState.UNKNOWN)
    # A slow machine must not take the second for unsent: each command takes a second or more.
    await database.pool.execute("UPDATE dialer.attempts SET send_by = send_by + interval '1 hour' WHERE id = $1", second.attempt_id)
    named = ("--business", business, "--run", run, "--job", first.job_id)
    code, _, err = await resolve(database_url, "--business", other, *named[2:], "--as", "over")
    assert (code, "no such job" in err) == (2, True), err
    code, _, err = await resolve(database_url, *named[:4], "--job", second.job_id, "--as", "not_placed")
    assert (code, "has ended already" in err) == (2, True)
    code, out, _ = await resolve(database_url, *named, "--as", "not_placed")
    assert (code, json.loads(out)["status"]) == (0, "queued")
    assert (await database.checked_run(business, run)).queued == 1
    assert await database.pool.fetchval("SELECT actor FROM dialer.audit_log WHERE action = 'job.resolve'") == "cli:Dana"
    assert (await resolve(database_url, *named, "--as", "over"))[0] == 2
