"""Operations on many leads: asked for over HTTP, carried out by a worker in chunks, each lead once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg

import actors.duties.operation_runner
from dialer.model import AttemptState
from tests.integration.test_worker import Floor, floor, twilio, until  # noqa: F401 fixtures
from tests.web_site import RUNS, leads, serving
from web.server import keys

if TYPE_CHECKING:
    import pytest

    from telephony.simulator import Simulator
    from tests.web_site import Response, Site

CHUNK = 200
AUDITED = "SELECT action, run_id, detail ->> 'leads' FROM dialer.audit_log WHERE action LIKE 'jobs.%'"


async def asked(site: Site, run: int, verb: str, body: object = None, **more: Any) -> Response:  # noqa: ANN401 as the client takes
    return await site.post(f"{RUNS}/{run}/jobs/{verb}", body or {}, **more)


async def begun(site: Site, run: int, verb: str, **body: object) -> int:
    response = await asked(site, run, verb, body)
    assert response.status == 202, response.body
    return int(response.json["operation_id"])


async def shown(site: Site, operation: int) -> dict[str, Any]:
    return dict((await site.get(f"/api/operations/{operation}")).json)


async def carried_out(site: Site, operation: int, chunk: int = CHUNK) -> tuple[str, int, int, int]:
    """Carry it out without a worker; its state, total, done and skipped."""
    operations = site.client.server.app[keys.BULK_OPERATIONS]  # type: ignore[attr-defined]
    while await operations.carry_out(site.business, operation, chunk):
        await site.database.checked_run(site.business, (await shown(site, operation))["run_id"])
    seen = await shown(site, operation)
    return seen["status"], seen["total"], seen["done"], seen["skipped"]


async def test_queued_leads_are_cancelled_in_chunks(site: Site) -> None:
    run = await site.load(7)
    await site.database.claim(site.business, permits=2)
    operation = await begun(site, run, "cancel")
    assert await shown(site, operation) == {
        "operation_id": operation, "type": "jobs.cancel", "status": "running", "run_id": run, "new_run_id": None,
        "total": 7, "done": 0, "skipped": 0,
    }  # fmt: skip
    assert await carried_out(site, operation, chunk=2) == ("done", 7, 5, 2)
    seen = await site.database.checked_run(site.business, run)
    assert (seen.cancelled, seen.in_progress, seen.status) == (5, 2, "running")
    told = "SELECT count(*) FROM dialer.outbox WHERE type = 'job.changed' AND data ->> 'status' = 'cancelled'"
    assert await site.database.pool.fetchval(told) == 5
    assert await carried_out(site, await begun(site, run, "cancel", status="queued")) == ("done", 0, 0, 0)


async def test_the_last_queued_lead_ends_the_run(site: Site) -> None:
    run = await site.load(3, start=True)
    assert await carried_out(site, await begun(site, run, "cancel")) == ("done", 3, 3, 0)
    assert (await site.database.checked_run(site.business, run)).status == "completed"
    cancelled = await site.load(3, start=False)
    await site.post(f"/api/outbound_calls/jobs/{cancelled}/cancel", {})
    assert await carried_out(site, await begun(site, cancelled, "cancel")) == ("done", 3, 0, 3)


async def test_which_leads(site: Site) -> None:
    run, other = await site.load(6), await site.load(2, start=False)
    attempts, _ = await site.database.claim(site.business)
    for attempt, outcome in zip(attempts, ("busy", "no-answer", "failed"), strict=True):
        await site.database.record(attempt, AttemptState.OVER, outcome=outcome)
    ids = [job["job_id"] for job in (await site.get(f"{RUNS}/{run}/jobs")).json["items"]]
    [foreign, _] = [job["job_id"] for job in (await site.get(f"{RUNS}/{other}/jobs")).json["items"]]

    async def total(**body: object) -> int:
        return int((await shown(site, await begun(site, run, "do-not-call", **body)))["total"])

    assert await total(outcome="busy,failed") == 2
    assert await total(status="queued,failed") == 6
    assert await total(search="Lead 5") == 1
    assert await total(job_ids=ids[:4], outcome="busy") == 1
    assert await total(job_ids=[ids[5], ids[5], foreign, 424242]) == 1
    assert await total(job_ids=[]) == 0


async def test_numbers_are_never_called_again(site: Site) -> None:
    run = await site.load(4)
    attempts, _ = await site.database.claim(site.business, permits=1)
    await site.database.record(attempts[0], AttemptState.OVER, outcome="busy")
    operation = await begun(site, run, "do-not-call", search="Lead 2")
    assert await carried_out(site, operation) == ("done", 1, 1, 0)
    assert await carried_out(site, await begun(site, run, "do-not-call"), chunk=3) == ("done", 4, 3, 1)
    assert (await site.database.claim(site.business))[0] == []
    listed = await site.database.pool.fetch("SELECT business_id, added_by FROM dialer.do_not_call")
    assert ({row["business_id"] for row in listed}, len(listed)) == ({site.business}, 4)
    assert all(row["added_by"].startswith("token:") for row in listed)


async def test_leads_that_have_ended_are_called_again(site: Site) -> None:
    run = await site.load(5, name="March", priority=7)
    attempts, _ = await site.database.claim(site.business)
    for attempt in attempts[:2]:
        await site.database.record(attempt, AttemptState.OVER, outcome="no-answer")
    operation = await begun(site, run, "again", status="failed,queued,dialing")
    assert await carried_out(site, operation) == ("done", 5, 2, 3)
    new = (await shown(site, operation))["new_run_id"]
    seen = await site.database.checked_run(site.business, new)
    assert (seen.name, seen.status, seen.queued, seen.concurrency) == ("March", "pending", 2, 3)
    jobs = (await site.get(f"{RUNS}/{new}/jobs")).json["items"]
    assert [(job["lead_id"], job["name"]) for job in jobs] == [(1, "Lead 1"), (2, "Lead 2")]
    row = await site.database.pool.fetchrow("SELECT ancestors, priority FROM outbound_call_runs WHERE id = $1", new)
    assert tuple(row or ()) == ([run], 7)
    await site.post(f"{RUNS}/{run}/pause", {})
    await site.post(f"{RUNS}/{new}/start", {})
    taken, _ = await site.database.claim(site.business)
    assert {attempt.run_id for attempt in taken} == {new}
    nobody = await begun(site, run, "again", status="dialing")
    assert await carried_out(site, nobody) == ("done", 1, 0, 1)
    assert (await shown(site, nobody))["new_run_id"] is None


async def scattered(site: Site) -> int:
    """A stopped run with 7 leads in Israel and 2 in New York, whose zones take turns."""
    american = [{"lead_id": f"us{n}", "phone": f"+1202555010{n}", "timezone": "America/New_York"} for n in (1, 2)]
    run = await site.load(4, start=False)
    for more in ([american[0]], leads(3, 5), [american[1]]):
        assert (await site.post(f"{RUNS}/{run}/leads", {"leads": more})).status == 201
    assert (await site.post("/api/outbound/stop-queue", {"run_id": run})).status == 200
    return run


async def test_leads_are_called_again_in_chunks_and_the_new_run_waits_for_the_last(site: Site) -> None:
    operation = await begun(site, await scattered(site), "again")
    operations = site.client.server.app[keys.BULK_OPERATIONS]  # type: ignore[attr-defined]
    assert await operations.carry_out(site.business, operation, 4)
    seen = await shown(site, operation)
    new = seen["new_run_id"]
    assert (seen["status"], seen["done"], seen["skipped"]) == ("running", 4, 0)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for refused in (
        await site.post(f"{RUNS}/{new}/start", {}),
        await site.post(f"{RUNS}/{new}/leads", {"leads": leads(1, 50)}),
        await site.request("PATCH", f"{RUNS}/{new}", json={"schedule_at": tomorrow}),
    ):
        assert (refused.status, refused.code) == (409, "invalid_state")
    assert (await site.database.checked_run(site.business, new)).queued == 4
    assert await carried_out(site, operation, chunk=4) == ("done", 9, 9, 0)
    run = await site.database.checked_run(site.business, new)
    assert (run.status, run.total_leads, run.queued) == ("pending", 9, 9)
    jobs = (await site.get(f"{RUNS}/{new}/jobs")).json["items"]
    assert [job["lead_id"] for job in jobs] == [*range(1, 8), "us1", "us2"]
    zones = "SELECT zone, first_position, last_position, next_position FROM dialer.run_zones WHERE run_id = $1 ORDER BY first_position"
    rows = await site.database.pool.fetch(zones, new)
    assert [tuple(row) for row in rows] == [("IL:Asia/Jerusalem", 1, 7, 1), ("US:America/New_York", 8, 9, 8)]
    assert (await site.post(f"{RUNS}/{new}/leads", {"leads": leads(1, 50)})).status == 201
    assert (await site.post(f"{RUNS}/{new}/start", {})).status == 200


async def test_a_new_run_that_is_cancelled_gets_no_more_leads(site: Site) -> None:
    operation = await begun(site, await scattered(site), "again")
    operations = site.client.server.app[keys.BULK_OPERATIONS]  # type: ignore[attr-defined]
    assert await operations.carry_out(site.business, operation, 4)
    new = (await shown(site, operation))["new_run_id"]
    assert (await site.post(f"/api/outbound_calls/jobs/{new}/cancel", {})).status == 200
    assert await carried_out(site, operation, chunk=4) == ("done", 9, 4, 5)
    run = await site.database.checked_run(site.business, new)
    assert (run.status, run.total_leads, run.cancelled) == ("cancelled", 4, 4)


async def test_only_an_admin_calls_again_by_looser_rules_than_those_of_the_business(site: Site) -> None:
    rules = {"calling_hours": {"monday": [["08:00", "21:00"]]}, "min_gap_hours": 24, "max_per_day": 3}
    assert (await site.request("PATCH", "/api/business", json=rules, token="admin")).status == 200
    loose = {"leads": leads(2), "calling_hours": None, "min_gap_hours": 0}
    run = (await site.post(RUNS, loose, token="admin")).json["run_id"]
    refused = await asked(site, run, "again")
    assert (refused.status, refused.code) == (403, "forbidden")
    assert (refused.json["error"]) == (await site.post(RUNS, loose)).json["error"]
    assert await site.database.pool.fetchval("SELECT count(*) FROM dialer.operations") == 0
    assert (await asked(site, run, "cancel")).status == 202
    assert (await asked(site, run, "again", token="admin")).status == 202
    audited = await site.database.pool.fetch("SELECT detail -> 'loosens' AS loosens FROM dialer.audit_log WHERE action LIKE 'jobs.%'")
    assert [row["loosens"] for row in audited] == [None, ["calling_hours", "min_gap_hours"]]
    assert (await site.post(f"{RUNS}/{run}/leads", {"leads": leads(1, 3)})).status == 201


async def test_who_may_ask_and_for_what(site: Site) -> None:
    run, rivals = await site.load(3), await site.rivals_run()
    for verb in ("cancel", "again", "do-not-call"):
        assert (await asked(site, run, verb, token="viewer")).status == 403
        assert (await asked(site, run, verb, {"status": "lost"})).status == 422
        assert (await asked(site, run, verb, {"outcome": "engaged"})).status == 422
        assert (await asked(site, run, verb, {"job_ids": [0]})).status == 422
        assert (await asked(site, run, verb, {"colour": "red"})).status == 422
        missing, foreign = await asked(site, 424242, verb), await asked(site, rivals, verb)
        assert (missing.status, missing.body) == (404, foreign.body)
    key = {"Idempotency-Key": "k"}
    first = await asked(site, run, "cancel", headers=key)
    assert (await asked(site, run, "cancel", headers=key)).body == first.body
    assert (await asked(site, run, "cancel", {"status": "queued"}, headers=key)).status == 409
    mine = first.json["operation_id"]
    missing, foreign = await site.get("/api/operations/424242"), await site.get(f"/api/operations/{mine}", token="rival")
    assert (missing.status, missing.body) == (404, foreign.body)
    assert (await site.get(f"/api/operations/{mine}", token="viewer")).status == 200
    assert await site.database.pool.fetchval("SELECT count(*) FROM dialer.operations") == 1
    audited = await site.database.pool.fetchrow(
        "SELECT action, run_id, detail ->> 'leads' FROM dialer.audit_log WHERE action LIKE 'jobs.%'"
    )
    assert tuple(audited or ()) == ("jobs.cancel", run, "3")


async def test_a_business_may_not_have_too_many_at_once(site: Site) -> None:
    run = await site.load(2, start=False)
    for _ in range(20):
        await begun(site, run, "cancel")
    key = {"Idempotency-Key": "k"}
    response = await asked(site, run, "cancel", headers=key)
    assert (response.status, response.code) == (503, "busy")
    await site.database.pool.execute("UPDATE dialer.operations SET status = 'done'")
    assert (await asked(site, run, "cancel", headers=key)).status == 202


async def test_a_worker_carries_them_out_for_all_businesses_and_past_a_lock(
    floor: Floor,  # noqa: F811
    twilio: Simulator,  # noqa: F811
    database_url: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actors.duties.operation_runner, "CHUNK_LEADS", 10)
    database = floor.database
    async with serving(database_url, redis_url, database) as site:
        run, held = await site.load(60, start=False), await site.load(3, start=False)
        rivals = await site.rivals_run(3)
        await database.pool.execute("UPDATE outbound_call_runs SET status = 'paused' WHERE id = $1", rivals)
        first, second = await begun(site, held, "cancel"), await begun(site, run, "cancel")
        other = (await asked(site, rivals, "cancel", token="rival")).json["operation_id"]

        async def states() -> list[str]:
            rows = await database.pool.fetch("SELECT status FROM dialer.operations ORDER BY operation_id")
            return [row["status"] for row in rows]

        async with floor.worker(twilio.url):
            async with database.pool.acquire() as foreign, foreign.transaction():
                await foreign.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                await foreign.execute("SELECT FROM outbound_call_runs WHERE id = $1 FOR UPDATE", held)

                async def others_go_on() -> bool:
                    return await states() == ["running", "done", "done"]

                await until(others_go_on)

            async def all_done() -> bool:
                return await states() == ["done"] * 3

            await until(all_done)
        assert [(await shown(site, n))["done"] for n in (first, second)] == [3, 60]
        assert (await site.get(f"/api/operations/{other}", token="rival")).json["done"] == 3
        assert (await database.checked_run(site.business, run)).cancelled == 60


async def test_two_workers_do_nothing_twice(site: Site, database_url: str) -> None:
    run = await site.load(40, start=False)
    operation = await begun(site, run, "cancel")
    connections = [await asyncpg.connect(database_url) for _ in range(2)]

    async def work(connection: asyncpg.Connection[asyncpg.Record]) -> None:
        while (await shown(site, operation))["status"] == "running":
            await connection.fetchval("SELECT dialer.operate_v1($1, $2, 3)", site.business, operation)

    await asyncio.gather(*map(work, connections))
    seen = await shown(site, operation)
    assert (seen["total"], seen["done"], seen["skipped"]) == (40, 40, 0)
    assert (await site.database.checked_run(site.business, run)).cancelled == 40
    for connection in connections:
        await connection.close()
