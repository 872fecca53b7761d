"""The leads of a run: listed, shown, cancelled one by one, resolved, exported."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from dialer.model import AttemptState
from tests.browser_session import EMAIL, PASSWORD, BrowserSession
from tests.chaos.polling import until
from tests.web_site import RUNS
from web.api.export import EXPORTS_FOR_A_BUSINESS
from web.server import keys

if TYPE_CHECKING:
    from sql.attempts.attempts import ClaimedAttempt
    from tests.web_site import Site


async def test_jobs_are_filtered_and_paged(site: Site) -> None:
    run_id = await site.load(7)
    attempts, _ = await site.database.claim(site.business)
    await site.database.record(attempts[0], AttemptState.OVER, outcome="busy")
    path = f"{RUNS}/{run_id}/jobs"
    first = (await site.get(f"{path}?limit=4")).json
    rest = (await site.get(f"{path}?limit=4&cursor={first['next_cursor']}")).json
    assert [job["lead_id"] for job in first["items"] + rest["items"]] == [1, 2, 3, 4, 5, 6, 7]
    assert rest["next_cursor"] is None
    dialing = (await site.get(f"{path}?status=dialing,failed")).json["items"]
    assert [(job["lead_id"], job["status"]) for job in dialing] == [(1, "failed"), (2, "dialing"), (3, "dialing")]
    assert [job["lead_id"] for job in (await site.get(f"{path}?outcome=busy")).json["items"]] == [1]
    assert (await site.get(f"{path}?status=bogus")).status == 422


async def test_a_job_shows_its_attempts_and_their_timeline(site: Site) -> None:
    run_id = await site.load(1)
    [attempt], _ = await site.database.claim(site.business)
    await site.post_callback(attempt, "ringing", SequenceNumber="1")
    await site.post_callback(attempt, "completed", SequenceNumber="3", CallDuration="7", AnsweredBy="human")
    job = (await site.get(f"{RUNS}/{run_id}/jobs/{attempt.job_id}")).json
    assert (job["status"], job["outcome"], job["attempt_count"]) == ("completed", "human", 1)
    [detail] = job["attempts"]
    assert (detail["state"], detail["duration_seconds"]) == ("over", 7)
    assert [entry["status"] for entry in detail["timeline"] if entry["event"] == "callback"] == ["ringing", "completed"]
    assert {"placing", "ringing", "ended"} <= {entry["event"] for entry in detail["timeline"]}
    times = [entry["at"] for entry in detail["timeline"]]
    assert times == sorted(times)


async def test_one_lead_is_cancelled(site: Site) -> None:
    run_id = await site.load(5)
    attempts, _ = await site.database.claim(site.business)
    waiting = (await site.get(f"{RUNS}/{run_id}/jobs?status=queued")).json["items"][0]["job_id"]
    path = f"{RUNS}/{run_id}/jobs"
    assert (await site.post(f"{path}/{waiting}/cancel")).json == {"job_id": waiting, "status": "cancelled", "in_progress": 0}
    assert (await site.post(f"{path}/{waiting}/cancel")).json["status"] == "cancelled"
    on_the_line = attempts[0].job_id
    response = await site.post(f"{path}/{on_the_line}/cancel")
    assert (response.status, response.code) == (409, "in_progress")
    response = await site.post(f"{path}/{on_the_line}/cancel", {"hang_up": True})
    assert (response.status, response.json["in_progress"]) == (200, 1)
    assert (await site.database.checked_run(site.business, run_id)).cancelled == 1


async def test_a_person_resolves_an_unknown_attempt(site: Site) -> None:
    run_id = await site.load(2)
    attempts, _ = await site.database.claim(site.business)
    paths = [f"{RUNS}/{run_id}/jobs/{attempt.job_id}/resolve" for attempt in attempts]
    response = await site.post(paths[0], {"as": "not_placed"})
    assert (response.status, response.code) == (409, "invalid_state"), "its worker may be sending it now"
    for attempt in attempts:
        await site.database.record(attempt, AttemptState.UNKNOWN, reason="time-out")
    over = await site.post(paths[0], {"as": "over"}, headers={"Idempotency-Key": "r"})
    assert (over.status, over.json["status"], over.json["attempt_state"]) == (200, "failed", "over")
    again = await site.post(paths[0], {"as": "over"}, headers={"Idempotency-Key": "r"})
    assert again.body == over.body
    back = await site.post(paths[1], {"as": "not_placed"})
    assert (back.json["status"], back.json["attempt_state"]) == ("queued", "not_placed")
    assert await site.database.inflight(site.business) == []
    assert (await site.post(paths[1], {"as": "gone"})).status == 422
    audited = await site.database.pool.fetch("SELECT actor, job_id FROM dialer.audit_log WHERE action = 'job.resolve' ORDER BY id")
    assert [row["job_id"] for row in audited] == [attempt.job_id for attempt in attempts]
    await site.database.checked_run(site.business, run_id)


async def test_a_person_resolves_a_call_the_provider_does_not_know(site: Site) -> None:
    run_id = await site.load(2)
    attempts, _ = await site.database.claim(site.business)
    paths = [f"{RUNS}/{run_id}/jobs/{attempt.job_id}/resolve" for attempt in attempts]
    for attempt, sid in zip(attempts, ("CA1", "CA2"), strict=True):
        await site.database.record(attempt, AttemptState.LIVE, sid=sid)
    response = await site.post(paths[0], {"as": "not_placed"})
    assert (response.status, response.code) == (409, "invalid_state"), "it has a sid, and the provider knows it as far as we know"
    [row] = await site.database.attempts.states([(site.business, attempts[0].attempt_id)])
    await site.database.attempts.postpone_check(row, 15.0, {"missing": row.as_of.timestamp()})
    back = await site.post(paths[0], {"as": "not_placed"})
    assert (back.status, back.json["status"], back.json["attempt_state"]) == (200, "queued", "not_placed")
    over = await site.post(paths[1], {"as": "over"})
    assert (over.status, over.json["status"], over.json["attempt_state"]) == (200, "failed", "over"), (
        "any open attempt may be resolved as over"
    )
    assert await site.database.inflight(site.business) == []
    await site.database.checked_run(site.business, run_id)


async def test_a_call_the_provider_does_not_know_is_marked_everywhere(site: Site) -> None:
    run_id = await site.load(2)
    attempts, _ = await site.database.claim(site.business)
    for attempt, sid, state in zip(attempts, ("CA1", "CA2"), (AttemptState.RINGING, AttemptState.LIVE), strict=True):
        await site.database.record(attempt, state, sid=sid)
    path, sentence = f"/runs/{run_id}", "does not know this call."
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    await browser.sign_in(EMAIL, PASSWORD)

    async def shown(attempt: ClaimedAttempt) -> tuple[list[str | None], bool]:
        [detail] = (await site.get(f"{RUNS}/{run_id}/jobs/{attempt.job_id}")).json["attempts"]
        return [detail["missing_since"]], sentence in (await browser.get(f"{path}/jobs/{attempt.job_id}")).body.decode()

    assert [await shown(attempt) for attempt in attempts] == [([None], False)] * 2
    assert sentence not in (await browser.get(path)).body.decode()
    [row] = await site.database.attempts.states([(site.business, attempts[0].attempt_id)])
    await site.database.attempts.postpone_check(row, 15.0, {"missing": row.as_of.timestamp()})
    assert [await shown(attempt) for attempt in attempts] == [([row.as_of.isoformat()], True), ([None], False)]
    page = (await browser.get(path)).body.decode()
    assert (page.count(sentence), f'id="missing-{attempts[0].job_id}"' in page) == (1, True)
    await site.post(f"{RUNS}/{run_id}/jobs/{attempts[0].job_id}/resolve", {"as": "over"})
    assert await shown(attempts[0]) == ([None], False), "what is over is not missing"


async def test_the_export_has_every_lead_and_no_formula(site: Site) -> None:
    rows = [{"lead_id": 1, "phone": "0501234567", "name": '=HYPERLINK("x")'}, {"lead_id": 2, "phone": "0501234568", "name": "דנה"}]
    run_id = (await site.post(RUNS, {"leads": rows})).json["run_id"]
    response = await site.get(f"{RUNS}/{run_id}/export.csv")
    lines = response.body.decode().splitlines()
    assert lines[0].startswith("job_id,lead_id,phone,name,status,outcome")
    assert "\"'=HYPERLINK(" in lines[1]
    assert "דנה" in lines[2]
    assert response.headers["Content-Disposition"] == f'attachment; filename="run-{run_id}.csv"'
    marked = await site.get(f"{RUNS}/{run_id}/export.csv?mark=1")
    assert marked.body == b"\xef\xbb\xbf" + response.body


async def test_a_client_that_goes_in_the_middle_of_an_export_is_no_error(site: Site) -> None:
    run_id = await site.database.run(site.business, 20_000)
    reader, writer = await asyncio.open_connection(site.client.host, site.client.port, limit=1024)
    writer.write(f"GET {RUNS}/{run_id}/export.csv HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer operator\r\n\r\n".encode())
    assert (await reader.readline()).split()[1] == b"200"
    writer.transport.abort()

    async def counted() -> str:
        lines = (await site.get("/metrics", token=None)).body.decode().splitlines()
        return "".join(line for line in lines if line.startswith("web_requests_total") and "export.csv" in line)

    assert 'status="gone"' in await until(counted, 10, "the request has ended")
    assert "web_failures_total 0.0" in (await site.get("/metrics", token=None)).body.decode()


async def test_the_exports_of_one_business_take_no_other_s_place(site: Site) -> None:
    """A reader of an export may be as slow as it likes."""
    run_id = await site.load(2, start=False)
    exports = site.client.server.app[keys.EXPORTS]  # type: ignore[attr-defined]
    exports._wait_seconds = 0.1
    async with AsyncExitStack() as stack:
        for _ in range(EXPORTS_FOR_A_BUSINESS):
            await stack.enter_async_context(exports.hold(site.rival))
        assert (await site.get(f"{RUNS}/{run_id}/export.csv")).status == 200
        for _ in range(EXPORTS_FOR_A_BUSINESS):
            await stack.enter_async_context(exports.hold(site.business))
        response = await site.get(f"{RUNS}/{run_id}/export.csv")
        assert (response.status, response.code) == (503, "busy")
        assert "exports" in response.json["error"]
