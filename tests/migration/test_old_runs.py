"""Runs that the old application has inserted are taken over when they are started; nobody whose call is in doubt is called."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from dialer.messages import Command, CommandType
from dialer.model import AttemptState, Role, RunStatus
from sql.adoption.old_runs import OldRuns
from sql.runs.load_reports import ListReports
from telephony import simulator
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of
from tests.migration.conftest import adopt_businesses
from tests.web_site import RUNS, hash_of, serving, token_digest

if TYPE_CHECKING:
    from tests.migration.old_database import OldApplication
    from tests.rows import DatabaseFixture

ADOPT_PAGE = Path(__file__).parents[2] / "docs" / "adopt.md"
# The runs of tests/migration/old/dirty.sql and filled.sql.
STALE, NEVER, WAITING = 101, 105, 2
START, RESUME = CommandType.START, CommandType.RESUME
PERMITS = 20


async def attempts_of(database: DatabaseFixture, run_id: int) -> dict[int, tuple[str, str | None]]:
    """State and sid of the attempts of a run, by the last digits of their leads."""
    rows = await database.pool.fetch(
        """SELECT j.lead_id % 1000 AS lead, a.state, a.sid FROM dialer.attempts a JOIN outbound_call_jobs j ON j.id = a.job_id
        WHERE a.run_id = $1""",
        run_id,
    )
    return {row["lead"]: (row["state"], row["sid"]) for row in rows}


async def dial(database: DatabaseFixture) -> set[str]:
    """Claim and end what there is; return the numbers."""
    phones: set[str] = set()
    while claimed := (await database.claim(1, permits=PERMITS))[0]:
        phones |= {attempt.phone for attempt in claimed}
        for attempt in claimed:
            await database.record(attempt, AttemptState.OVER, outcome="completed")
    return phones


async def test_calls_in_doubt_are_followed_and_never_repeated(database: DatabaseFixture) -> None:
    in_doubt = {1: ("unknown", None), 2: ("unknown", None), 5: ("unknown", None), 8: ("unknown", None)}
    with_sid = {3: ("placed", "CAforever"), 4: ("placed", "CAagain")}
    ended = {6: ("over", "CAreal"), 7: ("over", None)}
    assert await attempts_of(database, STALE) == {**in_doubt, **with_sid, **ended}
    assert len(await database.inflight(1)) == 8, "and one each of the run that was being driven, and of the one that failed"
    since = "SELECT max(a.created_at) < now() - interval '3 days' FROM dialer.attempts a WHERE a.run_id = $1"
    assert await database.pool.fetchval(since, STALE), "the provider's list is read from before the call, and some rows have no time"
    run = await database.checked_run(1, STALE)
    assert (run.status, run.in_progress, run.last_error_cause) == (RunStatus.PAUSED, 6, {"kind": "adopted"})
    assert (await database.command(1, RESUME, STALE)).accepted
    # 100010 and 100015 have a number of their own, 100011 to 100014 none that may be called.
    assert await dial(database) == {"+12025550110", "+12025550115"}
    rejected = await database.pool.fetch(
        "SELECT lead_id % 1000, reason, error_message FROM outbound_call_jobs WHERE run_id = $1 AND status = 'skipped' ORDER BY 1", STALE
    )
    assert [tuple(row) for row in rejected] == [
        (11, "rejected", "rejected: missing_phone"),
        (12, "rejected", "rejected: invalid_phone"),
        (13, "rejected", "rejected: the number of lead 100010"),
        (14, "rejected", "rejected: missing_lead"),
    ]
    [load] = await ListReports(database.pool).of_run(1, STALE)
    assert (load.rejected, load.duplicates) == (3, 1)
    await database.checked_run(1, STALE)


@pytest.mark.parametrize("status", ["running", "queued", None])
async def test_a_run_that_it_inserts_afterwards_is_started(database: DatabaseFixture, old: OldApplication, status: str | None) -> None:
    run = await old.insert_run(1, ["+12025550161", "202-555-0162", "+12025550161"], status)
    seen = await database.runs.get(1, run)
    assert seen
    assert seen.status is RunStatus.PENDING
    assert await dial(database) == set(), "until it is started it is nobody's"
    command = Command(1, f"http:{uuid4()}", START, run, requested_by="test")
    first, second = await asyncio.gather(database.commands.apply(command), database.commands.apply(command))
    assert (first.accepted, second.accepted, {first.duplicate, second.duplicate}) == (True, True, {True, False})
    assert await dial(database) == {"+12025550161", "+12025550162"}
    counted = await database.checked_run(1, run)
    assert (counted.total_leads, counted.completed, counted.skipped, counted.cursor_position) == (3, 2, 1, 2)
    assert counted.status is RunStatus.COMPLETED


async def test_from_the_stream_in_order_and_with_what_is_inserted_while_it_is_paused(
    database: DatabaseFixture, old: OldApplication
) -> None:
    run = await old.insert_run(1, ["+12025550163"])
    commands = [Command(1, f"c{n}", kind, run, entry=f"1-{n}") for n, kind in enumerate((START, CommandType.PAUSE), start=1)]
    assert await database.commands.receive("0-0", "1-2", commands)
    applied, is_busy = await database.commands.apply_received(1)
    assert (applied, is_busy) == ([], True), "it was completed; the commands of the run wait for that"
    applied, is_busy = await database.commands.apply_received(1)
    assert ([one.answer.status for one in applied], is_busy) == (["running", "paused"], False)
    await old.insert_jobs(run, 1, ["+12025550164"])
    assert (await database.command(1, RESUME, run)).status == "running"
    assert await dial(database) == {"+12025550163", "+12025550164"}
    assert (await database.checked_run(1, run)).total_leads == 2


async def test_a_run_that_cannot_be_completed_stops_no_command_behind_it(database: DatabaseFixture, old: OldApplication) -> None:
    await old.connection.execute("ALTER TABLE leads DROP COLUMN phone_e164")
    kinds = ((START, WAITING), (CommandType.CANCEL, NEVER), (CommandType.CANCEL, WAITING))
    commands = [Command(1, f"c{n}", kind, run, entry=f"1-{n}") for n, (kind, run) in enumerate(kinds, start=1)]
    assert await database.commands.receive("0-0", "1-3", commands)
    first, is_busy = await database.commands.apply_received(1)
    assert ([one.answer.run_id for one in first], is_busy) == ([NEVER], True)
    second, is_busy = await database.commands.apply_received(1)
    assert ([one.answer.run_id for one in second], is_busy) == ([WAITING], False)
    answers = await database.pool.fetch("SELECT answer ->> 'code' AS code FROM dialer.inbox ORDER BY seq")
    assert [row["code"] for row in answers] == ["internal", None, None]


async def test_a_cancel_by_its_flag_alone_is_carried_out(database: DatabaseFixture, old: OldApplication) -> None:
    assert (await database.command(1, START, NEVER)).accepted
    await old.connection.execute("UPDATE outbound_call_runs SET cancel_requested = TRUE WHERE id = $1", NEVER)
    assert (1, NEVER) in await database.runs.to_end(list(range(256)), 100)
    assert await database.runs.end_if_done(1, NEVER)
    run = await database.checked_run(1, NEVER)
    assert (run.status, run.cancelled) == (RunStatus.CANCELLED, 1)


@pytest.mark.parametrize("status", ["running", "queued", None])
async def test_a_run_that_was_never_started_is_cancelled(database: DatabaseFixture, old: OldApplication, status: str | None) -> None:
    """By a command, and by its flag alone; its counters say nothing."""
    for by_command in (True, False):
        run = await old.insert_run(1, ["+12025550165", "+12025550166"], status)
        flag = "UPDATE outbound_call_runs SET queued_count = NULL, cancel_requested = $2 WHERE id = $1"
        await old.connection.execute(flag, run, not by_command)
        if by_command:
            assert (await database.command(1, CommandType.CANCEL, run)).status == "cancelled"
        else:
            assert (1, run) in await database.runs.to_end(list(range(256)), 100)
            assert await database.runs.end_if_done(1, run)
        assert (1, run) not in await database.runs.to_end(list(range(256)), 100)
        counted = await database.checked_run(1, run)
        assert (counted.status, counted.total_leads, counted.cancelled) == (RunStatus.CANCELLED, 2, 2)
        assert await old.connection.fetchval("SELECT count(*) FROM outbound_call_jobs WHERE run_id = $1 AND status = 'queued'", run) == 0


async def test_a_run_that_waits_for_a_person_is_cancelled_by_its_flag(database: DatabaseFixture, old: OldApplication) -> None:
    await old.connection.execute("UPDATE outbound_call_runs SET cancel_requested = TRUE WHERE id = $1", STALE)
    assert (1, STALE) in await database.runs.to_end(list(range(256)), 100)
    assert not await database.runs.end_if_done(1, STALE), "calls of it are in doubt"
    run = await database.checked_run(1, STALE)
    assert (run.queued, run.in_progress) == (0, 6)


async def test_a_run_is_completed_once(database: DatabaseFixture) -> None:
    """By two processes at once, and by a third later."""
    runs = OldRuns(database.pool, simulator.TEST_ACCOUNT)
    await asyncio.gather(runs.complete(1, WAITING), runs.complete(1, WAITING))
    await runs.complete(1, WAITING)
    assert len(await database.pool.fetch("SELECT FROM dialer.loads WHERE run_id = $1", WAITING)) == 1
    assert (await database.command(1, START, WAITING)).accepted
    assert len(await dial(database)) == 20
    run = await database.checked_run(1, WAITING)
    assert (run.status, run.cursor_position) == (RunStatus.COMPLETED, 20)


async def test_its_runs_are_shown_and_started_over_http(database: DatabaseFixture, adopted_url: str, redis_url: str) -> None:
    async with serving(adopted_url, redis_url, database) as site:
        await database.token(1, Role.OPERATOR, token_digest("old"))
        runs = (await site.get(RUNS, token="old")).json["items"]
        assert {run["run_id"] for run in runs} >= {1, WAITING, STALE, NEVER}
        for run in runs:
            path = f"{RUNS}/{run['run_id']}"
            shown, jobs = await site.get(path, token="old"), await site.get(f"{path}/jobs", token="old")
            assert (shown.status, jobs.status) == (200, 200)
            assert len(jobs.json["items"]) == min(shown.json["total_leads"], 50)
            for job in jobs.json["items"]:
                assert (await site.get(f"{path}/jobs/{job['job_id']}", token="old")).status == 200
        await database.user(1, EMAIL, Role.OPERATOR, await asyncio.to_thread(hash_of, PASSWORD))
        job = await database.pool.fetchval("SELECT min(id) FROM outbound_call_jobs WHERE run_id = $1", WAITING)
        browser = BrowserSession(site)
        await browser.sign_in()
        for page in ("/runs", f"/runs/{WAITING}", f"/runs/{STALE}", f"/runs/{WAITING}/jobs/{job}"):
            answer = await browser.get(page)
            assert (answer.status, "None" in text_of(answer)) == (200, False), page
        # Its ids have 31 bits.
        leads = [{"lead_id": 2**31, "phone": "+12025550191"}, {"lead_id": 7, "phone": "+12025550192"}]
        loaded = await site.post(RUNS, {"name": "Ours", "leads": leads}, token="old")
        [refused] = loaded.json["rejected"]
        assert (loaded.status, refused["lead_id"], refused["reason"]) == (201, 2**31, "invalid_lead_id")
        assert "from 1 to 2147483647" in refused["message"]
        assert (await site.get(f"{RUNS}/{WAITING}/jobs/{2**40}", token="old")).status == 404
        assert (await site.post(f"{RUNS}/{WAITING}/jobs/{2**40}/cancel", token="old")).status == 404
        started = await site.post(f"{RUNS}/{WAITING}/start", token="old")
        assert (started.status, started.json["status"]) == (200, "running")
        hebrew = {"Accept-Language": "he"}
        [rejected, *_] = (await site.get(f"{RUNS}/{STALE}/jobs?status=skipped", token="old", headers=hebrew)).json["items"]
        assert (rejected["reason"], "דוח הטעינה" in rejected["error"]) == ("rejected", True)
        report = (await site.get(f"{RUNS}/{STALE}/load-report", token="old")).json
        assert {row.get("reason") for row in report["items"]} == {"missing_phone", "invalid_phone", "missing_lead", None}


async def test_the_way_back_and_forward_again(database: DatabaseFixture, old: OldApplication, adopted_url: str) -> None:
    """As docs/adopt.md says it, by the statements that it has."""
    [way_back] = re.findall(r"```sql\n(.*?)```", ADOPT_PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert (await database.command(1, RESUME, STALE)).accepted
    assert (await database.command(1, START, WAITING)).accepted
    claimed, _ = await database.claim(1, permits=5)
    await database.pool.execute("UPDATE dialer.installation SET stopped_at = now()")
    # What is in progress ends, or is decided.
    for attempt in claimed:
        await database.record(attempt, AttemptState.OVER, outcome="completed")
    inflight = [(1, attempt_id) for attempt_id in await database.inflight(1)]
    for found in await database.attempts.states(inflight):
        await database.record(found, AttemptState.OVER, token=None, outcome="completed", by_person=True)  # type: ignore[arg-type]
    assert await database.inflight(1) == []
    await old.connection.execute(way_back)
    running = await old.connection.fetch("SELECT id FROM outbound_call_runs WHERE status = 'running'")
    assert {WAITING, STALE} <= {run["id"] for run in running}
    assert (await old.read_progress(NEVER, 1))["status"] == "queued", "nobody has started it"
    assert not await old.connection.fetchval("SELECT count(*) FROM outbound_call_jobs WHERE status = 'skipped'"), "a word it does not know"
    # The old worker calls a lead, and dies with the next.
    queued = "SELECT id, phone FROM outbound_call_jobs WHERE run_id = $1 AND status = 'queued' ORDER BY id LIMIT 2"
    first, second = await old.connection.fetch(queued, WAITING)
    ended = "UPDATE outbound_call_jobs SET status = 'completed', twilio_call_sid = 'CAold', dial_started_at = $2 WHERE id = $1"
    await old.connection.execute(ended, first["id"], datetime.now(UTC).replace(tzinfo=None))
    await old.connection.execute("UPDATE outbound_call_jobs SET status = 'dialing', dial_lock_token = 'old' WHERE id = $1", second["id"])
    # Forward again: nobody whom the old worker has called, or may have, is called by us.
    await database.pool.execute("UPDATE dialer.installation SET stopped_at = NULL")
    assert (await adopt_businesses(adopted_url))["already"] == [1, 2]
    assert (await database.command(1, START, WAITING)).accepted
    phones = await dial(database)
    assert phones
    assert not phones & {first["phone"], second["phone"]}
    assert (await database.checked_run(1, WAITING)).in_progress == 1
    # Its calls count for the gap between two runs, once.
    await database.pool.execute("UPDATE dialer.businesses SET min_gap_hours = 24 WHERE business_id = 1")
    another = await old.insert_run(1, [first["phone"], "+12025550181"])
    assert (await database.command(1, START, another)).accepted
    assert await dial(database) == {"+12025550181"}
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.attempts WHERE sid = 'CAold'") == 1
