"""The day of the change-over as the old application lives it, with nothing but psql and redis-cli: before, during and after the adoption.

ADOPTION_JOBS is how many jobs its database has; `make adoption` runs this with 100,000, and prints the figures.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest

from sql.pool import open_pool
from telephony import simulator
from tests.chaos import polling
from tests.integration.test_cli_accounts import command
from tests.integration.test_worker import Floor
from tests.migration.conftest import adopt_businesses
from tests.migration.old_database import make
from tests.migration.test_old_runs import ADOPT_PAGE, STALE, WAITING
from tests.rows import DatabaseFixture

if TYPE_CHECKING:
    from collections.abc import Sequence

JOBS: Final = int(os.environ.get("ADOPTION_JOBS", "40"))
NEEDED: Final = ("psql", "redis-cli")
# The leads of tests/migration/old/dirty.sql that may have been called, by their last digits, and all the numbers that were.
IN_DOUBT: Final = (1, 2, 5, 8)
NEVER_AGAIN: Final = {f"+12025550{100 + n}" for n in (*IN_DOUBT, 3, 4, 6, 7)}
OURS, THEIRS = "+12025550100", "+12025550199"
LEADS: Final = 60
# Without callbacks the end of a call is found in lists, some seconds apart.
SETTLED_SECONDS: Final = 60.0

INSERT_RUN: Final = r"""
INSERT INTO outbound_call_runs (business_id, concurrency, total_leads, queued_count, in_progress_count, completed_count, failed_count,
    status, created_at, updated_at, cancel_requested)
    VALUES (1, 2, :leads, :leads, 0, 0, 0, 'running', now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC', FALSE) RETURNING id \gset run_
INSERT INTO leads (tenant_id, name, phone_e164)
    SELECT 1, 'A lead', '+1202' || (5561000 + n) FROM generate_series(1, :leads) n;
INSERT INTO outbound_call_jobs (run_id, lead_id, status, created_at, lead_name)
    SELECT :run_id, l.id, 'queued', now() AT TIME ZONE 'UTC', 'A lead' FROM leads l WHERE l.phone_e164 LIKE '+12025561%';
\echo :run_id
"""
# Each of the old application's statements once, with the time that it took.
TURN: Final = r"""\timing on
INSERT INTO outbound_call_runs (business_id, status, total_leads, queued_count, cancel_requested)
    VALUES (1, 'running', 1, 1, FALSE) RETURNING id AS run \gset
INSERT INTO leads (tenant_id, phone_e164) VALUES (1, '+12025550198') RETURNING id AS lead \gset
INSERT INTO outbound_call_jobs (run_id, lead_id, status, created_at) VALUES (:run, :lead, 'queued', now() AT TIME ZONE 'UTC');
SELECT status, total_leads, queued_count, completed_count FROM outbound_call_runs WHERE id = :run AND business_id = 1;
UPDATE outbound_call_jobs SET status = 'failed', completed_at = now() AT TIME ZONE 'UTC' WHERE run_id = :run AND lead_id = :lead;
INSERT INTO leads (tenant_id, phone_e164) VALUES (1, '+12025550197') RETURNING id AS lead \gset
DELETE FROM leads WHERE id = :lead;
"""


@dataclass(frozen=True)
class OldProgram:
    """The old application: two addresses and two commands."""

    database_url: str
    redis_url: str

    async def psql(self, script: str, **variables: object) -> str:
        """What a script prints, without headings; the first error ends it."""
        given = [f"--set={name}={value}" for name, value in {"ON_ERROR_STOP": 1, **variables}.items()]
        return await self._run("psql", "-X", "-q", "-A", "-t", *given, "-f", "-", self.database_url, script=script)

    async def redis(self, *words: str) -> str:
        """What a command prints."""
        return await self._run("redis-cli", "--no-auth-warning", "-u", self.redis_url, "--raw", *words)

    async def ask(self, kind: str, run: int) -> None:
        """Add a command to the stream."""
        fields = "v", "1", "id", f"{kind}-{run}", "type", kind, "business_id", "1", "run_id", str(run)
        await self.redis("XADD", "dialer:commands", "*", *fields)

    async def progress(self, run: int) -> tuple[str, int]:
        """The status of a run, and how many of its leads were called."""
        told = await self.psql("SELECT status, completed_count + failed_count FROM outbound_call_runs WHERE id = :run", run=run)
        status, called = told.strip().split("|")
        return status, int(called)

    async def _run(self, *words: str, script: str = "") -> str:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=pipe)
        printed, errors = await process.communicate(script.encode())
        assert (process.returncode, errors) == (0, b""), (words, errors)
        return printed.decode()


async def placed(twilio_url: str, numbers: Sequence[str]) -> list[str]:
    """Call these as the old application did, from a number that is none of ours; return the sids."""
    path = f"{twilio_url}/2010-04-01/Accounts/{simulator.TEST_ACCOUNT}/Calls.json"
    sids = []
    async with aiohttp.ClientSession(auth=aiohttp.BasicAuth(simulator.TEST_ACCOUNT, simulator.TEST_TOKEN)) as client:
        for number in numbers:
            form = {"To": number, "From": THEIRS, "Twiml": "<Response><Hangup/></Response>"}
            async with client.post(path, data=form) as answer:
                sids.append((await answer.json())["sid"])
    return sids


async def migrated(old: OldProgram) -> dict[str, Any]:
    """Migrate while the old application's statements run; return the figures."""
    began = asyncio.get_running_loop().time()
    migration = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sql", "migrate"), env={"DATABASE_URL": old.database_url}, stdout=asyncio.subprocess.PIPE
    )
    ended = asyncio.ensure_future(migration.communicate())
    times: list[float] = []
    while not ended.done():
        times += [float(found) for found in re.findall(r"^Time: ([\d.]+) ms", await old.psql(TURN), re.MULTILINE)]
    printed, _ = await ended
    assert migration.returncode == 0
    [lock] = re.findall(r"^longest lock: (.*)$", printed.decode(), re.MULTILINE)
    seconds = asyncio.get_running_loop().time() - began
    return {"jobs": JOBS, "seconds": round(seconds, 1), "statements_beside": len(times), "longest_ms": max(times), "longest_lock": lock}


@pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason="Debian: apt-get install postgresql-client redis-tools")
async def test_the_day_of_the_change_over(empty_database_url: str, redis_url: str) -> None:
    await make(empty_database_url, "with_defaults", "filled", "dirty", jobs=JOBS)
    # redis-cli wants the name of the user.
    old = OldProgram(empty_database_url, redis_url.replace("//:", "//default:"))
    async with simulator.running(port=0, scenario="answer", speed=50) as twilio, AsyncExitStack() as stack:
        # One call is on the line; of some it does not know whether it placed them: it did.
        [live, *_] = await placed(twilio.url, [f"+12025550{100 + n}" for n in (1, *IN_DOUBT)])
        await old.psql("UPDATE outbound_call_jobs SET call_sid = :'sid', twilio_call_sid = :'sid' WHERE call_sid = 'CAlive'", sid=live)
        figures = await migrated(old)
        assert [one["business_id"] for one in (await adopt_businesses(empty_database_url))["adopted"]] == [1, 2]
        # The account was not known when they were adopted: the worker knows it.
        await old.psql("""UPDATE dialer.businesses SET calling_hours = NULL, min_gap_hours = 0, max_per_day = NULL;
            UPDATE dialer.attempts SET account_sid = '' WHERE state <> 'over';
            SELECT dialer.reset_windows_v1(business_id, NULL) FROM dialer.lanes""")
        run = int(await old.psql(INSERT_RUN, leads=LEADS))
        async with await open_pool(empty_database_url, name="test", size=2) as pool:
            floor = Floor(DatabaseFixture(pool), empty_database_url, redis_url, stack)
            async with floor.worker(twilio.url):
                await old.ask("run.resume", STALE)
                await old.ask("run.start", run)
                await polling.until(lambda: called(old, run), SETTLED_SECONDS, "a lead of the run was called")
                await old.ask("run.cancel", run)
                await polling.until(lambda: are_over(old, run), SETTLED_SECONDS, "both runs are over")
                stopped = await command(empty_database_url, "stop-all", "--reason", "way back", "--json")
                assert stopped.json["stopped"]
                await polling.until(lambda: is_quiet(old), SETTLED_SECONDS, "no call is in progress")
        await nobody_twice(old, twilio, run)
    await way_back(old)
    print(f"\nthe change-over: {json.dumps(figures)}")  # noqa: T201 - read with `make adoption`


async def called(old: OldProgram, run: int) -> bool:
    return (await old.progress(run))[1] > 0


async def are_over(old: OldProgram, run: int) -> bool:
    return [(await old.progress(run))[0], (await old.progress(STALE))[0]] == ["cancelled", "completed"]


async def is_quiet(old: OldProgram) -> bool:
    """As docs/adopt.md asks it."""
    [query] = re.findall(r"`(SELECT count\(\*\) FROM dialer\.lanes [^`]+)`", ADOPT_PAGE.read_text(encoding="utf-8"))
    return int(await old.psql(query)) == 0


async def nobody_twice(old: OldProgram, twilio: simulator.Simulator, run: int) -> None:
    by_us = [call.to for call in twilio.call_log.calls.values() if call.from_ == OURS]
    assert len(by_us) == len(set(by_us))
    assert {"+12025550110", "+12025550115"} <= set(by_us), "who was queued was called"
    assert not NEVER_AGAIN & set(by_us), "and nobody in doubt"
    doubts = "SELECT string_agg(DISTINCT status, ' ') FROM outbound_call_jobs WHERE run_id = :run AND lead_id % 1000 IN (1, 2, 5, 8)"
    assert (await old.psql(doubts, run=STALE)).strip() == "completed"
    assert set(await counts(old, STALE)) == {"completed", "failed", "cancelled", "skipped"}
    counted = await counts(old, run)
    assert set(counted) == {"completed", "cancelled"}
    assert sum(counted.values()) == LEADS
    finished = [event for event in events(await old.redis("XRANGE", "dialer:events", "-", "+")) if event.get("type") == "run.finished"]
    assert {int(event["run_id"]) for event in finished} >= {run, STALE}


async def counts(old: OldProgram, run: int) -> dict[str, int]:
    """How many jobs of a run have each status."""
    told = await old.psql("SELECT status, count(*) FROM outbound_call_jobs WHERE run_id = :run GROUP BY status", run=run)
    return {status: int(count) for status, count in (line.split("|") for line in told.split())}


def events(printed: str) -> list[dict[str, str]]:
    """What `redis-cli --raw XRANGE` prints: an id, then names and values by turns."""
    found = re.split(r"^\d{13}-\d+\n", printed, flags=re.MULTILINE)[1:]
    return [dict(zip(lines[::2], lines[1::2], strict=True)) for lines in (entry.splitlines() for entry in found)]


async def way_back(old: OldProgram) -> None:
    [statements] = re.findall(r"```sql\n(.*?)```", ADOPT_PAGE.read_text(encoding="utf-8"), re.DOTALL)
    await old.psql(statements)
    assert (await old.progress(WAITING))[0] == "queued", "nobody has started it"
    unknown = "SELECT count(*) FROM outbound_call_jobs WHERE status NOT IN ('queued', 'completed', 'failed', 'cancelled')"
    assert int(await old.psql(unknown)) == 0
    await old.psql(TURN)
