"""A worker that is refused one lead after the other burns no list, and one that hears no callback frees its slots all the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web as http
from aiohttp.test_utils import TestServer

from telephony import refusals, simulator
from telephony.simulator import Faults
from tests.chaos import polling
from tests.integration.test_worker import Floor, floor, until
from tests.log_lines import logged

if TYPE_CHECKING:
    from sql.runs.runs import Run

__all__ = ["floor"]

LEADS = 30
SLOTS = 6
# What is promised of a slot whose callback is lost; the machine of a test may stand still meanwhile.
FREED_SECONDS = 15.0
# The longest call lasts half a minute here.
ALL_ENDED_SECONDS = 120.0
FIRST_CHECK_SECONDS = 15.0


async def paused(floor: Floor, faults: dict[str, Any]) -> tuple[Run, int]:
    """Dial under these faults until the run is paused; return it, and how many leads the provider was asked for."""
    business = await floor.database.business(SLOTS)
    run = await floor.database.run(business, LEADS, concurrency=SLOTS)
    async with simulator.running(port=0, scenario="answer", speed=50) as twilio:
        twilio.set_faults(Faults.model_validate(faults))

        async def is_paused() -> bool:
            return (await floor.database.checked_run(business, run)).status == "paused"

        async with floor.worker(twilio.url):
            await until(is_paused)
        return await floor.database.checked_run(business, run), len(twilio.call_log.received)


@pytest.mark.parametrize(("status", "code"), [(400, 21205), (400, 10001), (404, 20404), (400, 21609), (400, 21215), (400, 29999)])
async def test_a_refusal_that_meets_every_lead_burns_none(floor: Floor, status: int, code: int) -> None:
    seen, asked = await paused(floor, {"refuse_before": 1, "refuse_status": status, "refuse_code": code})
    assert (seen.failed, seen.queued) == (0, LEADS)
    assert str(code) in (seen.last_error or "")
    assert asked <= 2 * SLOTS


@pytest.mark.parametrize("status", [403, 407, 402])
async def test_a_proxys_page_burns_no_lead_and_pauses_the_run(floor: Floor, status: int) -> None:
    seen, _ = await paused(floor, {"refuse_before": 1, "refuse_status": status, "refuse_body": "html"})
    assert seen.failed == 0
    assert f"HTTP {status}" in (seen.last_error or "")
    states = await floor.database.pool.fetch("SELECT DISTINCT state FROM dialer.attempts")
    assert {row["state"] for row in states} <= {"unknown", "not_placed"}, "it may have been passed on"


async def test_numbers_that_are_all_refused_alike_are_not_a_list(floor: Floor) -> None:
    seen, _ = await paused(floor, {"refuse_before": 1, "refuse_status": 400, "refuse_code": 21211})
    assert refusals.LEADS_IN_A_ROW <= seen.failed <= refusals.LEADS_IN_A_ROW + SLOTS
    assert "21211" in (seen.last_error or "")


async def test_each_line_about_a_call_says_whose_it_is_and_no_number(floor: Floor) -> None:
    with logged() as lines:
        seen, _ = await paused(floor, {"refuse_before": 1, "refuse_status": 400, "refuse_code": 21211})
    found = [line for line in map(json.loads, lines.getvalue().splitlines()) if "refused with code 21211" in line["event"]]
    assert len(found) == seen.failed
    attempts = await floor.database.pool.fetch(
        "SELECT business_id, run_id, job_id, id AS attempt_id FROM dialer.attempts WHERE error_code = 21211 ORDER BY id"
    )
    said = [{name: line[name] for name in ("business_id", "run_id", "job_id", "attempt_id")} for line in found]
    assert sorted(said, key=lambda ids: ids["attempt_id"]) == [dict(row) for row in attempts]
    phones = await floor.database.pool.fetch("SELECT phone FROM outbound_call_jobs")
    assert [phone for (phone,) in phones if phone.lstrip("+") in lines.getvalue()] == []


async def speak(_request: http.Request) -> http.Response:
    return http.Response(text="<Response><Say>hello</Say></Response>", content_type="text/xml")


async def test_without_a_callback_a_slot_is_free_soon_and_few_questions_are_asked(floor: Floor) -> None:
    """A live call was asked for once a minute, one by one."""
    app = http.Application()
    app.router.add_post("/twiml/{reference}", speak)
    business = await floor.database.business(40)
    async with TestServer(app) as scripts, simulator.running(port=0, scenario="answer", speed=2) as twilio:
        twilio.set_faults(Faults(callback_drop=1))
        run = await floor.database.run(business, 40, concurrency=40)
        async with floor.worker(twilio.url, PUBLIC_URL=str(scripts.make_url("")).rstrip("/")):

            async def ended() -> bool:
                return (await floor.database.checked_run(business, run)).status == "completed"

            await polling.until(ended, ALL_ENDED_SECONDS, "the run has ended")
        rows = await floor.database.pool.fetch("SELECT sid, ended_at FROM dialer.attempts")
        calls = twilio.call_log.calls
        late = [(row["ended_at"] - over).total_seconds() for row in rows if (over := calls[row["sid"]].ended_at) is not None]
        longest = max((call.duration_seconds or 0) for call in calls.values()) / 2
        assert len(late) == 40
        assert longest > FIRST_CHECK_SECONDS, "some are live for longer than it takes to the first question"
        assert max(late) < FREED_SECONDS
        assert twilio.fetches < 2 * len(late), "one for each call, at its end, and not one for each check of each call"
