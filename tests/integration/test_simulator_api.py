"""The simulator's API refuses, filters and pages as Twilio's does; its control API switches faults and tells the truth."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import aiohttp
import pytest

from telephony import simulator
from telephony.simulator import Faults, Scenario
from tests.simulator_client import SimulatorClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TO: Final = "+97250000001"
FROM: Final = "+97237000000"
SPEED: Final = 100.0
CALLS: Final = f"/2010-04-01/Accounts/{simulator.TEST_ACCOUNT}/Calls.json"


class ApiClient(SimulatorClient):
    """Nobody is called back."""

    async def call(self, to: str = TO) -> simulator.Call:
        form = {"To": to, "From": FROM, "Twiml": "<Response><Say>hello</Say></Response>"}
        async with self.client.post(CALLS, data=form) as response:
            assert response.status == 201, await response.text()
            return self.sim.call_log.calls[(await response.json())["sid"]]

    async def update(self, call: simulator.Call, status: str) -> int:
        async with self.client.post(CALLS.replace(".json", f"/{call.sid}.json"), data={"Status": status}) as response:
            return response.status


@asynccontextmanager
async def running_api(
    *, scenario: str = "answer", accounts: dict[str, str] | None = None, call_log_file: Path | None = None
) -> AsyncIterator[ApiClient]:
    headers = {"Authorization": aiohttp.encode_basic_auth(simulator.TEST_ACCOUNT, simulator.TEST_TOKEN)}
    async with (
        simulator.running(scenario=scenario, speed=SPEED, accounts=accounts, call_log_file=call_log_file) as sim,
        aiohttp.ClientSession(sim.url, headers=headers) as client,
    ):
        yield ApiClient(sim, client)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"To": ""}, 21201),
        ({"To": "0501234567"}, 21211),
        ({"From": ""}, 21213),
        ({"From": "nobody"}, 21212),
        ({"Url": ""}, 21205),
        ({"Url": "ftp://x"}, 21205),
        ({"Url": "http://["}, 21205),
        ({"Url": "http://x.example:99999/"}, 21205),
        ({"Url": "http://x.example/\r\nEvil: 1"}, 21205),
        ({"StatusCallback": "http://under_score.example/"}, 21609),
        ({"StatusCallbackEvent": "busy"}, 21626),
        ({"Timeout": "0"}, 20001),
        ({"Timeout": "601"}, 20001),
        ({"TimeLimit": "x"}, 20001),
        ({"MachineDetection": "Maybe"}, 20001),
        ({"Method": "GET"}, 20001),
    ],
)
async def test_a_wrong_request_is_refused_as_twilio_does(change: dict[str, str], code: int) -> None:
    async with running_api() as here:
        form = {"To": TO, "From": FROM, "Url": "https://x.example/"} | change
        async with here.client.post(CALLS, data=form) as response:
            body = await response.json()
        assert (response.status, body["status"], body["code"]) == (400, 400, code)
        assert body["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
        assert not here.sim.call_log.calls


async def test_wrong_credentials_and_missing_things() -> None:
    async with running_api() as here:
        call = await here.call()
        wrong = {"Authorization": aiohttp.encode_basic_auth(simulator.TEST_ACCOUNT, "wrong")}
        other = CALLS.replace(simulator.TEST_ACCOUNT, "AC" + "9" * 32)
        for address, headers in ((CALLS, wrong), (other, {}), (other, {"Authorization": "Basic "})):
            async with here.client.get(address, headers=headers) as response:
                assert (response.status, (await response.json())["code"]) == (401, 20003)
        assert (await here.get(CALLS.replace(".json", f"/CA{'0' * 32}.json")))[1]["code"] == 20404
        assert (await here.get("/2010-04-01/Nothing.json"))[0] == 404
        assert (await here.get(CALLS.replace(".json", f"/{call.sid}.json")))[0] == 200


async def test_an_account_sees_its_own_calls_only() -> None:
    accounts = {simulator.TEST_ACCOUNT: simulator.TEST_TOKEN, "AC" + "9" * 32: "other"}
    async with running_api(accounts=accounts) as here:
        call = await here.call()
        headers = {"Authorization": aiohttp.encode_basic_auth("AC" + "9" * 32, "other")}
        other = CALLS.replace(simulator.TEST_ACCOUNT, "AC" + "9" * 32)
        async with here.client.get(other, headers=headers) as response:
            assert (await response.json())["calls"] == []
        async with here.client.get(other.replace(".json", f"/{call.sid}.json"), headers=headers) as response:
            assert response.status == 404


async def test_filters() -> None:
    async with running_api() as here:
        over = await here.end(await here.call())
        here.sim.set_number(TO, [Scenario.SLOW])
        fresh = await here.call()
        today = datetime.now(UTC).date().isoformat()

        async def listed(**query: str) -> list[str]:
            async with here.client.get(CALLS, params=query) as response:
                assert response.status == 200, await response.text()
                return [call["sid"] for call in (await response.json())["calls"]]

        assert await listed(To=TO) == await listed(From=FROM) == await listed() == [fresh.sid, over.sid]
        assert await listed(To=FROM) == []
        assert await listed(Status="completed") == [over.sid]
        assert (
            await listed(**{"StartTime>": today, "Status": "completed"}) == await listed(StartTime=today, Status="completed") == [over.sid]
        )
        assert await listed(**{"StartTime<": "2020-01-01"}) == await listed(**{"EndTime>": "2999-01-01T00:00:00Z"}) == []
        assert (await here.get(f"{CALLS}?StartTime=tomorrow"))[1]["code"] == 20001
        assert (await here.get(f"{CALLS}?PageSize=1001"))[0] == 400


async def test_a_new_call_does_not_shift_the_pages() -> None:
    async with running_api() as here:
        calls = [await here.call() for _ in range(4)]
        first = (await here.get(f"{CALLS}?PageSize=2"))[1]
        await here.call()
        second = (await here.get(first["next_page_uri"]))[1]
        assert [call["sid"] for page in (first, second) for call in page["calls"]] == [call.sid for call in calls[::-1]]
        assert second["next_page_uri"] is None


async def test_faults_can_be_limited_to_the_first_requests() -> None:
    async with running_api() as here:
        assert (await here.post("/simulator/faults", {"throttle": 1, "first_requests": 2, "retry_after_seconds": 3}))[0] == 200
        form = {"To": TO, "From": FROM, "Url": "https://x.example/"}
        statuses = []
        for _ in range(3):
            async with here.client.post(CALLS, data=form) as response:
                statuses.append((response.status, response.headers.get("Retry-After")))
        assert statuses == [(429, "3"), (429, "3"), (201, None)]


async def test_the_call_log_has_every_request_and_the_calls_at_once(tmp_path: Path) -> None:
    log = tmp_path / "ledger.jsonl"
    async with running_api(call_log_file=log, scenario="no-answer") as here:
        first = [await here.call(f"+97250000010{number}") for number in range(3)]
        for call in first:
            await here.update(call, "completed")
        for call in first:
            await here.end(call)
        between = here.sim.clock.now()
        second = [await here.call(f"+97250000010{number}") for number in range(2)]
        here.sim.set_faults(Faults(error_before=1))
        async with here.client.post(CALLS, data={"To": TO, "From": FROM, "Url": "https://x.example/"}) as response:
            assert response.status == 503
        status, summary = await here.get(f"/simulator/summary?after={between.isoformat()}")
        assert status == 200
        assert (summary["calls"], summary["requests"], summary["requests_after"], summary["calls_after"]) == (5, 6, 3, 2)
        assert (summary["listings"], summary["fetches"]) == (0, 3), "three calls were hung up"
        await here.get(CALLS)
        assert (await here.get("/simulator/summary"))[1]["listings"] == 1
        caller = summary["callers"][FROM]
        assert (caller["most_at_once"], caller["now"], caller["statuses"]["canceled"]) == (3, 2, 3)
        assert caller["first_at"] == (await here.get("/simulator/ledger"))[1]["calls"][0]["created_at"]
        assert caller["to"] == {"+972500000100": 2, "+972500000101": 2, "+972500000102": 1}
        everything = (await here.get("/simulator/ledger"))[1]
        assert [entry["sid"] for entry in everything["calls"]] == [call.sid for call in first + second]
        assert [request["fault"] for request in everything["requests"]] == [None] * 5 + ["error_before"]
        assert everything["calls"][0]["requests"] == 2, "its creation and its hang-up"
    events = [json.loads(line)["event"] for line in log.read_text(encoding="utf-8").splitlines()]
    assert (events.count("request"), events.count("created"), events.count("canceled")) == (6, 5, 3)


async def test_a_reset_starts_from_scratch() -> None:
    async with running_api(scenario="slow") as here:
        await here.call()
        await here.post("/simulator/faults", {"throttle": 1})
        await here.post("/simulator/numbers", {TO: "refused"})
        assert (await here.post("/simulator/reset", {}))[0] == 200
        assert (await here.get("/simulator/summary"))[1]["requests"] == 0
        here.sim.set_number(TO, [Scenario.ANSWER])
        await here.end(await here.call())
        assert len(here.sim.call_log.calls) == 1


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/simulator/faults", {"throttle": 2}, "throttle"),
        ("/simulator/faults", {"thrttle": 1}, "thrttle"),
        ("/simulator/faults", [], "object"),
        ("/simulator/numbers", {TO: "sings"}, TO),
    ],
)
async def test_a_wrong_control_request_is_named(path: str, body: object, named: str) -> None:
    async with running_api() as here:
        status, answer = await here.post(path, body)
        assert status == 400
        assert named in answer["error"]


async def test_numbers_have_scenarios_of_their_own_in_turn() -> None:
    async with running_api() as here:
        await here.post("/simulator/numbers", {TO: ["busy", "failed"]})
        assert [(await here.end(await here.call())).status for _ in range(3)] == ["busy", "failed", "failed"]
        assert (await here.end(await here.call("+972500000002"))).status == "completed"


async def test_a_full_call_log_is_reported() -> None:
    async with running_api() as here:
        here.sim.call_log.max_calls = 1
        await here.call()
        async with here.client.post(CALLS, data={"To": TO, "From": FROM, "Url": "https://x.example/"}) as response:
            assert response.status == 503
            assert "full" in (await response.json())["message"]


async def test_a_port_in_use_is_an_error_that_says_so() -> None:
    async with running_api() as here:
        with pytest.raises(OSError, match="in use"):
            async with simulator.running(port=int(here.sim.url.rpartition(":")[2])):
                pass
