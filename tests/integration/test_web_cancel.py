"""Cancel and stop: no further lead is claimed after the response, whatever else is unavailable."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dialer.model import AttemptState
from sql.attempts.verdicts import RecordVerdict, VerdictCode
from tests.chaos.polling import until
from tests.web_site import RUNS

if TYPE_CHECKING:
    from sql.runs.runs import Run
    from tests.web_site import Response, Site

STOP = "/api/outbound/stop-queue"


def cancel_of(run_id: int) -> str:
    return f"/api/outbound_calls/jobs/{run_id}/cancel"


async def run_now(site: Site, run_id: int) -> Run:
    run = await site.database.runs.get(site.business, run_id)
    assert run
    return run


async def requested(site: Site, run_id: int) -> None:
    async def is_requested() -> bool:
        return (await run_now(site, run_id)).cancel_requested

    await until(is_requested, 30, "the cancel is requested")


async def expire(site: Site) -> None:
    """Make the attempts look as if their worker had died and seven seconds had passed since the claim."""
    await site.database.pool.execute("UPDATE dialer.attempts SET send_by = send_by - interval '8 seconds'")


async def test_cancel_in_the_middle(site: Site) -> None:
    run_id = await site.load(10)
    attempts, _ = await site.database.claim(site.business)
    response = await site.post(cancel_of(run_id))
    assert response.json == {
        "success": True,
        "run_id": run_id,
        "status": "running",
        "cancel_requested": True,
        "in_progress": 3,
        "already_ended": False,
    }
    taken, verdicts = await site.database.claim(site.business, permits=3)
    assert (taken, verdicts[site.business].code) == ([], VerdictCode.FULL)
    run = await site.database.checked_run(site.business, run_id)
    assert (run.queued, run.cancelled, run.in_progress) == (0, 7, 3)
    for attempt in attempts:
        await site.database.record(attempt, AttemptState.OVER, outcome="completed")
    taken, verdicts = await site.database.claim(site.business)
    assert taken == []
    run = await site.database.checked_run(site.business, run_id)
    assert (run.status, run.cancelled, run.completed, run.failed) == ("cancelled", 7, 3, 0)
    shown = (await site.get(f"{RUNS}/{run_id}/jobs")).json["items"]
    assert [job["status"] for job in shown] == ["completed"] * 3 + ["cancelled"] * 7


async def test_cancel_is_harmless_when_repeated_and_when_ended(site: Site) -> None:
    run_id = await site.load(5)
    attempts, _ = await site.database.claim(site.business)
    first, again = await site.post(cancel_of(run_id)), await site.post(cancel_of(run_id))
    assert first.json == again.json
    for attempt in attempts:
        await site.database.record(attempt, AttemptState.OVER, outcome="busy")
    ended = await site.post(cancel_of(run_id))
    assert (ended.status, ended.json["already_ended"], ended.json["status"], ended.json["in_progress"]) == (200, True, "cancelled", 0)


async def test_a_pending_run_is_cancelled_at_once(site: Site) -> None:
    run_id = await site.load(4, start=False)
    response = await site.post(cancel_of(run_id), {})
    assert (response.json["status"], response.json["in_progress"]) == ("cancelled", 0)
    assert (await site.database.checked_run(site.business, run_id)).cancelled == 4


async def test_stop_ends_the_run_at_once_and_records_what_is_on_the_line(site: Site) -> None:
    run_id = await site.load(10)
    attempts, _ = await site.database.claim(site.business)
    response = await site.post(STOP, {"run_id": run_id})
    assert response.json == {
        "success": True,
        "run_id": run_id,
        "status": "stopped",
        "cancelled_jobs": 7,
        "in_progress": 3,
        "already_ended": False,
    }
    again = await site.post(STOP, {"run_id": run_id})
    assert (again.json["cancelled_jobs"], again.json["already_ended"], again.json["in_progress"]) == (0, True, 3)
    for attempt in attempts:
        await site.database.record(attempt, AttemptState.OVER, outcome="completed")
    run = await site.database.checked_run(site.business, run_id)
    assert (run.status, run.in_progress, run.completed, run.cancelled) == ("stopped", 0, 3, 7)
    assert run.ended_at


async def test_hang_up_is_recorded(site: Site) -> None:
    run_id = await site.load(3)
    await site.database.claim(site.business)
    await site.post(cancel_of(run_id), {"hang_up": True})
    assert await site.database.pool.fetchval("SELECT bool_and(hang_up_at IS NOT NULL) FROM dialer.attempts")


async def test_wait_answers_when_the_worker_has_reported(site: Site) -> None:
    run_id = await site.load(5)
    attempts, _ = await site.database.claim(site.business)
    waiting = asyncio.ensure_future(site.post(cancel_of(run_id), {"wait": True}))
    await requested(site, run_id)
    await site.database.record(attempts[0], AttemptState.PLACED, sid="CA1")
    await site.database.record(attempts[1], AttemptState.NOT_SENT, reason="gate")
    assert not waiting.done()
    await site.database.record(attempts[2], AttemptState.UNKNOWN, reason="time-out")
    response = await waiting
    assert (response.status, response.json["uncertain"], response.json["in_progress"]) == (200, 1, 3)


@pytest.mark.parametrize("body", [{}, {"hang_up": False}])
async def test_wait_needs_no_worker(site: Site, body: dict[str, bool]) -> None:
    run_id = await site.load(5)
    await site.database.claim(site.business)
    waiting = asyncio.ensure_future(site.post(STOP, {"run_id": run_id, "wait": True, **body}))
    await requested(site, run_id)
    assert not waiting.done()
    await expire(site)
    response = await waiting
    assert (response.json["status"], response.json["uncertain"]) == ("stopped", 3)
    states = await site.database.pool.fetch("SELECT DISTINCT state FROM dialer.attempts")
    assert [row["state"] for row in states] == ["unknown"]


async def test_wait_on_an_ended_run_answers_at_once(site: Site) -> None:
    run_id = await site.load(1, start=False)
    await site.post(cancel_of(run_id))
    response = await site.post(cancel_of(run_id), {"wait": True})
    assert (response.json["already_ended"], response.json["uncertain"]) == (True, 0)


@pytest.mark.parametrize(
    "body",
    [{}, {"run_id": "1"}, {"run_id": -5}, {"run_id": 0}, {"run_id": 2**31}, {"run_id": None}, {"run_id": True}, {"run_id": "1 OR 1=1"}],
)
async def test_stop_names_the_field_that_is_wrong(site: Site, body: dict[str, object]) -> None:
    response = await site.post(STOP, body)
    assert (response.status, response.code) == (422, "invalid")
    assert [detail["field"] for detail in response.json["details"]] == ["run_id"]


async def test_both_work_without_redis_and_without_a_worker(site_without_redis: Site) -> None:
    site = site_without_redis
    first, second = await site.load(5), await site.load(5)

    async def answered_soon(path: str, body: dict[str, object]) -> Response:
        async with asyncio.timeout(6):
            return await site.post(path, body)

    cancelled = await answered_soon(cancel_of(first), {"wait": True})
    stopped = await answered_soon(STOP, {"run_id": second})
    assert (cancelled.json["status"], stopped.json["status"], stopped.json["cancelled_jobs"]) == ("cancelled", "stopped", 5)


async def test_no_lead_is_claimed_after_the_response_to_a_cancel(site: Site) -> None:
    run_id = await site.load(60)

    async def claim_on() -> int:
        taken = 0
        while not (await run_now(site, run_id)).status.ended:
            attempts, _ = await site.database.claim(site.business)
            for attempt in attempts:
                while (await site.database.record(attempt, AttemptState.OVER, outcome="busy")).verdict is RecordVerdict.BUSY:
                    pass
            taken += len(attempts)
        return taken

    claiming = asyncio.ensure_future(claim_on())
    response = await site.post(cancel_of(run_id))
    created = await site.database.pool.fetchval("SELECT max(id) FROM dialer.attempts")
    assert response.status == 200
    async with asyncio.timeout(20):
        await claiming
    # Every call created before the response was counted in its in_progress; none was created after it.
    assert await site.database.pool.fetchval("SELECT max(id) FROM dialer.attempts") == created
