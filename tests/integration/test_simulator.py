"""The simulator behaves as Twilio does wherever the dialer could notice a difference, and its call log is correct."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest
from aiohttp import web as http
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from dialer.model import AttemptState, Outcome
from telephony import simulator
from telephony.simulator import Faults
from telephony.twilio import twiml
from telephony.twilio.callbacks import CallbackFact, parse, verify
from telephony.twilio.twiml import Speech
from tests.simulator_client import SimulatorClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

TO: Final = "+97250000001"
FROM: Final = "+97237000000"
SPEED: Final = 100.0
CALLS: Final = f"/2010-04-01/Accounts/{simulator.TEST_ACCOUNT}/Calls.json"
EVENTS: Final = ("initiated", "ringing", "answered", "completed")


@dataclass
class Dialer:
    """The callback receiver: checks each signature with the library of Twilio, keeps each form, answers with `statuses`."""

    url: str = ""
    facts: list[CallbackFact] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    unsigned: int = 0
    twiml: str = "<Response><Say>hello</Say></Response>"
    statuses: list[int] = field(default_factory=list)

    async def receive(self, request: http.Request) -> http.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        signed = verify(self.url, request.raw_path, form, request.headers, SecretStr(simulator.TEST_TOKEN))
        self.unsigned += not signed
        self.tokens.append(request.headers["I-Twilio-Idempotency-Token"])
        self.forms.append(form)
        self.facts.append(parse(form))
        return http.Response(status=self.statuses.pop(0) if self.statuses else 204)

    async def speak(self, request: http.Request) -> http.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.unsigned += not verify(self.url, request.raw_path, form, request.headers, SecretStr(simulator.TEST_TOKEN))
        return http.Response(text=self.twiml, content_type="text/xml")

    def statuses_received(self) -> list[str]:
        return [fact.status for fact in self.facts]


@dataclass
class DialerClient(SimulatorClient):
    """The dialer that is called back, too."""

    dialer: Dialer

    async def call(self, to: str = TO, **more: str | tuple[str, ...]) -> simulator.Call:
        form: dict[str, str | tuple[str, ...]] = {
            "To": to,
            "From": FROM,
            "Url": f"{self.dialer.url}/script?ref=1-2-ab%2Bcd",
            "StatusCallback": f"{self.dialer.url}/callback?ref=1-2-ab%2Bcd#rc=5&rp=all",
            "StatusCallbackEvent": EVENTS,
            **more,
        }
        fields = [(name, value) for name, values in form.items() for value in (values if isinstance(values, tuple) else (values,))]
        async with self.client.post(CALLS, data=fields) as response:
            assert response.status == 201, await response.text()
            return self.sim.call_log.calls[(await response.json())["sid"]]

    async def update(self, call: simulator.Call, status: str) -> tuple[int, dict[str, Any]]:
        async with self.client.post(CALLS.replace(".json", f"/{call.sid}.json"), data={"Status": status}) as response:
            return response.status, await response.json()


@asynccontextmanager
async def running_api(
    *,
    scenario: str = "answer",
    speed: float = SPEED,
    seed: int = 0,
    accounts: dict[str, str] | None = None,
    call_log_file: Path | None = None,
) -> AsyncIterator[DialerClient]:
    dialer = Dialer()
    app = http.Application()
    app.router.add_post("/callback", dialer.receive)
    app.router.add_post("/script", dialer.speak)
    auth = {"Authorization": aiohttp.encode_basic_auth(simulator.TEST_ACCOUNT, simulator.TEST_TOKEN)}
    async with (
        TestServer(app) as server,
        simulator.running(scenario=scenario, speed=speed, seed=seed, accounts=accounts, call_log_file=call_log_file) as sim,
        aiohttp.ClientSession(sim.url, headers=auth) as client,
    ):
        dialer.url = str(server.make_url("")).rstrip("/")
        yield DialerClient(sim, client, dialer)


async def test_an_answered_call_tells_its_whole_story_signed_and_in_order() -> None:
    async with running_api() as here:
        call = await here.end(await here.call())
        assert here.dialer.statuses_received() == ["initiated", "ringing", "in-progress", "completed"]
        assert [fact.sequence for fact in here.dialer.facts] == [0, 1, 2, 3]
        assert here.dialer.unsigned == 0
        last = here.dialer.facts[-1]
        assert (last.state, last.outcome, last.call_sid) == (AttemptState.OVER, Outcome.COMPLETED, call.sid)
        assert last.duration_seconds == call.duration_seconds
        assert last.answered_by is None
        assert last.sip_code == 200
        assert call.answered_at is not None
        assert call.ended_at is not None
        assert call.created_at <= call.answered_at <= call.ended_at


@pytest.mark.parametrize(
    ("scenario", "statuses", "outcome"),
    [
        ("busy", ["initiated", "busy"], Outcome.BUSY),
        ("failed", ["initiated", "failed"], Outcome.FAILED),
        ("no-answer", ["initiated", "ringing", "no-answer"], Outcome.NO_ANSWER),
    ],
)
async def test_a_call_nobody_takes(scenario: str, statuses: list[str], outcome: Outcome) -> None:
    async with running_api(scenario=scenario) as here:
        call = await here.end(await here.call(Timeout="20"))
        assert here.dialer.statuses_received() == statuses
        assert here.dialer.facts[-1].outcome is outcome
        assert (call.answered_at, call.duration_seconds) == (None, None)


async def test_only_the_events_asked_for_are_told_and_by_default_the_end() -> None:
    async with running_api() as here:
        await here.end(await here.call(StatusCallbackEvent=("answered",)))
        await here.end(await here.call(StatusCallbackEvent=()))
        assert here.dialer.statuses_received() == ["in-progress", "completed"]


@pytest.mark.parametrize(
    ("scenario", "detection", "answered_by"),
    [
        ("machine", "Enable", "machine_start"),
        ("machine", "DetectMessageEnd", "machine_end_beep"),
        ("machine", None, None),
        ("answer", "Enable", "human"),
    ],
)
async def test_who_answered_is_told_when_asked(scenario: str, detection: str | None, answered_by: str | None) -> None:
    async with running_api(scenario=scenario) as here:
        await here.end(await here.call(**{"MachineDetection": detection} if detection else {}))
        assert here.dialer.facts[-1].answered_by == answered_by


async def test_it_obeys_a_hang_up_and_otherwise_talks() -> None:
    async with running_api(scenario="slow") as here:
        here.dialer.twiml = twiml.hang_up()
        short = await here.end(await here.call())
        assert (short.status, here.dialer.unsigned) == ("completed", 0)
        here.dialer.twiml = twiml.speech(Speech("shalom", "he-IL"))
        long = await here.end(await here.call(TimeLimit="20"))
        assert short.duration_seconds is not None
        assert short.duration_seconds < 20
        assert long.duration_seconds == 20, "the time limit holds"


async def test_a_call_without_a_script_ends_soon() -> None:
    async with running_api(scenario="slow") as here:
        for address in ("http://127.0.0.1:9/nobody", f"{here.dialer.url}/missing"):
            call = await here.end(await here.call(Url=address))
            assert call.status == "completed"
            assert call.duration_seconds is not None
            assert call.duration_seconds < call.plan.talk_seconds


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/", "http://nobody.invalid/", "http://a..b/", "http://%41/", "http://[::1]:9/x#rc=0"]
)
async def test_an_address_that_leads_nowhere_harms_nobody_else(address: str) -> None:
    async with running_api() as here:
        lost = await here.end(await here.call(Url=address, StatusCallback=address))
        assert (lost.status, here.sim.call_log.callbacks["delivered"], here.sim.call_log.callbacks["failed"]) == ("completed", 0, 4)
        await here.end(await here.call())
        assert here.dialer.statuses_received()[-1] == "completed"


async def test_a_hang_up_ends_a_call_wherever_it_stands() -> None:
    async with running_api(scenario="slow") as here:
        queued = await here.call()
        assert (await here.update(queued, "canceled"))[0] == 200
        assert (await here.end(queued)).status == "canceled"
        live = await here.call()
        await here.sim.call_log.until(lambda _: live.status == "in-progress")
        assert (await here.update(live, "canceled"))[1]["status"] == "in-progress", "canceled does not end a live call"
        assert (await here.update(live, "completed"))[0] == 200
        assert (await here.end(live)).status == "completed"
        status, body = await here.update(live, "completed")
        assert (status, body["code"]) == (400, 21220)


async def test_the_same_seed_plays_the_same_calls() -> None:
    async def played(seed: int) -> list[str]:
        async with running_api(scenario="mix", seed=seed) as here:
            calls = [await here.call(f"+9725000000{number:02d}") for number in range(40)]
            calls += [await here.call(TO) for _ in range(10)]
            return [call.plan.scenario for call in calls]

    first, again, other = await played(1), await played(1), await played(2)
    assert first == again != other
    assert len(set(first)) >= 4, "a mix"


async def refused(here: DialerClient, before: Callable[[], None]) -> None:
    """Have the dialer refuse its first callbacks."""
    before()
    await here.end(await here.call(StatusCallbackEvent=("completed",)))


async def test_a_callback_is_tried_again_as_its_fragment_says_under_one_token() -> None:
    async with running_api() as here:
        await refused(here, lambda: here.dialer.statuses.extend([500, 404, 204]))
        assert here.dialer.statuses_received() == ["completed"] * 3
        assert len(set(here.dialer.tokens)) == 1
        here.dialer.facts.clear()
        here.dialer.statuses = [500, 204]
        await here.end(await here.call(StatusCallback=f"{here.dialer.url}/callback", StatusCallbackEvent=("completed",)))
        assert here.dialer.statuses_received() == ["completed"], "without a fragment only a connection that fails is tried again"
        assert here.sim.call_log.callbacks == {"delivered": 1, "failed": 1}


async def test_callbacks_are_dropped_doubled_and_reordered_on_demand() -> None:
    async with running_api() as here:
        here.sim.set_faults(Faults(callback_drop=1))
        await here.end(await here.call())
        assert (here.dialer.statuses_received(), here.sim.call_log.callbacks["dropped"]) == ([], 4)
        here.sim.set_faults(Faults(callback_duplicate=1))
        await here.end(await here.call(StatusCallbackEvent=("ringing", "completed")))
        assert here.dialer.statuses_received() == ["ringing", "ringing", "completed", "completed"]
        here.dialer.facts.clear()
        here.sim.set_faults(Faults(callback_reorder=0.5, callback_delay_seconds=1))
        for number in range(4):
            await here.end(await here.call(f"+9725000010{number}"))
        assert sorted(here.dialer.statuses_received()) == sorted(["initiated", "ringing", "in-progress", "completed"] * 4)
        assert any(
            int(later["SequenceNumber"]) < int(earlier["SequenceNumber"])
            for earlier, later in pairwise(here.dialer.forms[-16:])
            if earlier["CallSid"] == later["CallSid"]
        )


async def test_no_task_outlives_its_call() -> None:
    async with running_api(scenario="mix", speed=1000) as here:
        calls = [await here.call(f"+9725000{number:05d}", Timeout="20") for number in range(100)]
        for call in calls:
            await here.end(call)
        assert len(here.sim.tasks) == 0
        assert not [task for task in asyncio.all_tasks() if "telephony" in str(task.get_coro())]
