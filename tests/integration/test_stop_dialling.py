"""All dialling is stopped, of a business and of the installation: no lead is taken after the answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg

from sql.migrate import steps
from tests.chaos import polling
from tests.integration.test_cli_accounts import command
from tests.web_site import RUNS

if TYPE_CHECKING:
    from tests.rows import DatabaseFixture
    from tests.web_site import Site

STOP, RESUME = "/api/stop-dialling", "/api/resume-dialling"
WAIT_SECONDS = 10.0
AUDITED = "SELECT action, actor, detail ->> 'reason' AS reason FROM dialer.audit_log WHERE action ~ 'stop|resume' ORDER BY id"


async def reasons(site: Site, run: int) -> list[tuple[str, str]]:
    return [(wait["reason"], wait["detail"]) for wait in (await site.get(f"{RUNS}/{run}")).json["waits_for"]]


async def test_a_stopped_business_keeps_its_runs_and_takes_no_lead(site: Site) -> None:
    run, rivals = await site.load(5), await site.rivals_run(5)
    await site.database.claim(site.business, permits=1)
    stopped = (await site.post(STOP, {"reason": "A wrong script"})).json
    assert (stopped["stopped"], bool(stopped["since"]), stopped["reason"], stopped["in_progress"]) == (True, True, "A wrong script", 1)
    attempts, _ = await site.database.claim(site.business, site.rival)
    assert {attempt.business_id for attempt in attempts} == {site.rival}, "nobody else is stopped"
    seen = (await site.get(f"{RUNS}/{run}")).json
    assert (seen["status"], seen["queued"]) == ("running", 4)
    told = "All dialling of this business is stopped (A wrong script). Nobody is called until it is resumed."
    assert [reason for reason, detail in await reasons(site, run) if detail == told] == ["stopped"]
    rival = (await site.get(f"{RUNS}/{rivals}", token="rival")).json
    assert "stopped" not in [wait["reason"] for wait in rival["waits_for"]]
    assert (await site.post(STOP, {})).json["since"] == stopped["since"], "it has been stopped since then"
    resumed = (await site.post(RESUME, {"reason": "Corrected"})).json
    assert (resumed["stopped"], resumed["since"], resumed["reason"]) == (False, None, None)
    attempts, _ = await site.database.claim(site.business)
    assert len(attempts) == 2
    log = await site.database.pool.fetch(
        "SELECT action, actor, detail ->> 'reason' AS reason FROM dialer.audit_log WHERE action ~ 'stop|resume' ORDER BY id"
    )
    assert [(row["action"], row["reason"]) for row in log] == [
        ("business.stop", "A wrong script"),
        ("business.stop", None),
        ("business.resume", "Corrected"),
    ]
    assert {row["actor"].split(":")[0] for row in log} == {"token"}


async def test_who_may_stop_and_what_is_refused(site: Site) -> None:
    for path in (STOP, RESUME):
        assert (await site.post(path, {}, token="viewer")).status == 403
        assert (await site.post(path, {}, token=None)).status == 401
        assert (await site.post(path, {"reason": "x" * 501})).status == 422
        assert (await site.post(path, {"reason": "\x00"})).status == 422
        assert (await site.post(path, {"why": "x"})).status == 422
    key = {"Idempotency-Key": "k"}
    first = await site.post(STOP, {"reason": "a"}, headers=key)
    await site.post(RESUME, {})
    assert (await site.post(STOP, {"reason": "a"}, headers=key)).body == first.body, "the repeat stops nothing again"
    assert not await site.database.pool.fetchval("SELECT count(*) FROM dialer.businesses WHERE stopped_at IS NOT NULL")
    assert (await site.post(STOP, {"reason": "b"}, headers=key)).status == 409


async def test_the_answer_waits_for_a_claim_in_progress(site: Site) -> None:
    await site.load(3)
    async with site.database.pool.acquire() as claiming, claiming.transaction():
        await claiming.execute("SELECT FROM dialer.lanes WHERE business_id = $1 FOR NO KEY UPDATE", site.business)
        stopping = asyncio.ensure_future(site.post(STOP, {}))

        async def waits() -> bool:
            return bool(await site.database.pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

        await polling.until(waits, WAIT_SECONDS, "the stop waits for the lane")
    assert (await stopping).json["stopped"]


async def test_the_installation_is_stopped_at_the_terminal(database: DatabaseFixture, database_url: str) -> None:
    first, second = await database.business(), await database.business()
    for business in (first, second):
        await database.run(business, 3)
    await database.claim(first, permits=1)
    stopped = (await command(database_url, "stop-all", "--reason", "Carrier asks", "--by", "Dana", "--json")).json
    assert (stopped["stopped"], stopped["reason"], stopped["in_progress"]) == (True, "Carrier asks", 1)
    assert await database.claim(first, second, permits=6) is not None
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.attempts") == 1
    resumed = await command(database_url, "resume-all")
    assert (resumed.code, "resumed" in resumed.out) == (0, True)
    attempts, _ = await database.claim(first, second, permits=6)
    assert len(attempts) == 5
    log = await database.pool.fetch("SELECT business_id, actor, action FROM dialer.audit_log WHERE action LIKE 'installation%' ORDER BY id")
    assert [tuple(row) for row in log] == [(0, "cli:Dana", "installation.stop"), (0, "cli", "installation.resume")]


async def test_the_installation_is_stopped_in_the_middle_of_a_deploy(empty_database_url: str) -> None:
    """Wherever the tables are, whatever is missing besides; to resume, the schema must be up to date."""
    nothing = await command(empty_database_url, "stop-all")
    assert (nothing.code, "no tables of Ringmaster" in nothing.err) == (1, True)
    connection = await asyncpg.connect(empty_database_url)
    try:
        await connection.execute("CREATE SCHEMA dialer")
        await connection.execute(next(step.text for step in steps() if step.name == "0001_baseline"))
        assert (await command(empty_database_url, "stop-all", "--reason", "wrong script", "--json")).json["stopped"]
        assert await connection.fetchval("SELECT stop_reason FROM dialer.installation WHERE stopped_at IS NOT NULL") == "wrong script"
    finally:
        await connection.close()
    resumed = await command(empty_database_url, "resume-all")
    assert (resumed.code, "not up to date" in resumed.err) == (1, True)
