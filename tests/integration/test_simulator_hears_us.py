"""Each kind of script, as our web process serves it, is heard by the simulator: the right verbs, escaped, in the right language."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web as http
from aiohttp.test_utils import TestServer

from dialer.model import Reference
from telephony import simulator
from telephony.simulator import Course, Scenario
from telephony.simulator.voice.sources import NO_CONNECTION
from tests.web_site import ACCOUNT, AUTH_TOKEN, RUNS, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.rows import DatabaseFixture
    from tests.web_site import Site

SPEED = 200.0
PHONE = "+972500000001"
AGENT = "+97239999999"
HOSTILE = '"/><Hangup/>]]>&amp;<Dial>+12025550100</Dial>{city}<!-- \u2028\u0007 שלום'
AS_SPOKEN = HOSTILE.replace("\u0007", "")


@dataclass
class SimulatedSite:
    """A web process that is reached at its public address, and the simulator that calls its leads."""

    site: Site
    sim: simulator.Simulator
    client: aiohttp.ClientSession
    public: str

    async def call(
        self, name: str = "דנה", phone: str = PHONE, *, record: bool = False, script_error: int | None = None, **settings: object
    ) -> simulator.Call:
        """Load a lead with this run's settings, and call it as the dialer would."""
        lead = {"lead_id": 1, "phone": phone, "name": name, "variables": {"City": "חיפה", "note": HOSTILE}}
        response = await self.site.post(RUNS, {"leads": [lead], "start": True, "record": record, **settings})
        assert response.status == 201, response.body
        [attempt], _ = await self.site.database.claim(self.site.business)
        reference = Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)
        callbacks = f"{self.public}/callbacks/{reference}"
        form = {
            "To": phone,
            "From": "+972501110000",
            "Url": f"{self.public}/twiml/{reference}",
            "StatusCallback": f"{self.public}/callbacks/{reference}",
            **({"MachineDetection": str(settings["machine_detection"])} if "machine_detection" in settings else {}),
            **({"AsyncAmd": "true", "AsyncAmdStatusCallback": f"{callbacks}/machine"} if attempt.machine_detection_async else {}),
            **({"Record": "true", "RecordingStatusCallback": f"{self.public}/callbacks/{reference}/recording"} if record else {}),
        }
        async with self.client.post(f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json", data=form) as created:
            assert created.status == 201, await created.text()
            call = self.sim.call_log.calls[(await created.json())["sid"]]
        await self.sim.call_log.until(lambda _: call.over)
        await self.sim.tasks.idle()
        assert call.script_error == script_error, call.heard
        assert self.sim.call_log.callbacks["failed"] == 0
        return call


@pytest.fixture
async def us(database_url: str, redis_url: str, database: DatabaseFixture) -> AsyncIterator[SimulatedSite]:
    sites: list[Site] = []

    async def forward(request: http.Request) -> http.Response:
        headers = {
            name: text for name, text in request.headers.items() if name.lower().startswith(("x-twilio", "content-type", "i-twilio"))
        }
        answer = await sites[0].request(request.method, request.raw_path, token=None, data=await request.read(), headers=headers)
        return http.Response(status=answer.status, body=answer.body, headers={"Content-Type": answer.headers.get("Content-Type", "")})

    app = http.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    async with (
        TestServer(app) as server,
        simulator.running(accounts={ACCOUNT: AUTH_TOKEN}, speed=SPEED) as sim,
        serving(
            database_url, redis_url, database, PUBLIC_URL=(public := str(server.make_url("")).rstrip("/")), TWILIO_API_URL=sim.url
        ) as site,
        aiohttp.ClientSession(sim.url, headers={"Authorization": aiohttp.encode_basic_auth(ACCOUNT, AUTH_TOKEN)}) as client,
    ):
        sites.append(site)
        yield SimulatedSite(site, sim, client, public)


async def test_a_text_is_said_in_its_language_whatever_the_lead_is_called(us: SimulatedSite) -> None:
    call = await us.call(name=HOSTILE, script={"say": "שלום {name} מ{city}", "language": "he-IL"})
    say, end = call.heard
    assert (say["verb"], end["verb"]) == ("Say", "Hangup")
    assert say["text"] == f"שלום {AS_SPOKEN} מחיפה"
    assert say["attributes"] == {"language": "he-IL", "voice": "Google.he-IL-Standard-A"}
    assert "children" not in say


async def test_the_log_has_how_long_each_answer_took(us: SimulatedSite) -> None:
    began = asyncio.get_running_loop().time()
    call = await us.call(script={"say": "Hello", "language": "en-US"})
    everything = asyncio.get_running_loop().time() - began
    async with us.client.get(f"/simulator/calls/{call.sid}") as response:
        entry = await response.json()
    assert len(entry["script_seconds"]) == 1
    assert len(entry["callback_seconds"]) == us.sim.call_log.callbacks["delivered"] > 0
    assert all(0 < seconds < everything for seconds in (*entry["script_seconds"], *entry["callback_seconds"]))


async def test_a_recording_is_played(us: SimulatedSite) -> None:
    call = await us.call(script={"play": "https://x.example/a.mp3?b=c&d=<e>"})
    assert [(entry["verb"], entry.get("text")) for entry in call.heard] == [("Play", "https://x.example/a.mp3?b=c&d=<e>"), ("Hangup", None)]


async def test_a_key_is_pressed_and_its_answer_heard(us: SimulatedSite) -> None:
    us.sim.set_number(PHONE, [Course(digits=("5", "9"))])
    call = await us.call(script={"say": "לחצו 9 להסרה", "language": "he-IL", "keypress": {"9": "do_not_call"}})
    assert [(entry["verb"], entry.get("pressed")) for entry in call.heard] == [
        ("Gather", "5"),
        ("Gather", "9"),
        ("Say", None),
        ("Hangup", None),
    ]
    assert call.heard[0]["children"][0]["text"] == "לחצו 9 להסרה"
    assert [entry["phone"] for entry in (await us.site.get("/api/outbound/do-not-call")).json["items"]] == [PHONE]


@pytest.mark.parametrize("agent", [AGENT, "sip:agent@x.example;transport=tls"])
@pytest.mark.parametrize(("scenario", "verbs"), [(Scenario.ANSWER, ["Dial", "Hangup"]), (Scenario.NO_ANSWER, ["Dial", "Say", "Hangup"])])
async def test_an_agent_is_called_and_missed(us: SimulatedSite, agent: str, scenario: Scenario, verbs: list[str]) -> None:
    us.sim.set_number(agent, [scenario])
    call = await us.call(script={"dial": agent})
    assert [entry["verb"] for entry in call.heard] == verbs
    dial = call.heard[0]
    assert (dial["attributes"]["callerId"], dial["legs"][0]["to"]) == ("+972501110000", agent)
    assert dial["children"] == [{"verb": "Sip" if agent.startswith("sip:") else "Number", "text": agent}]


async def test_a_voice_agent_gets_the_parameters_whatever_is_in_them(us: SimulatedSite) -> None:
    call = await us.call(script={"stream": "wss://x.example/s", "parameters": {"lead": "{name}", "note": "{note}"}})
    stream = call.heard[0]["children"][0]
    assert stream["attributes"]["url"] == "wss://x.example/s"
    parameters = {child["attributes"]["name"]: child["attributes"]["value"] for child in stream["children"]}
    assert parameters == {"lead": "דנה", "note": AS_SPOKEN}
    assert len(call.heard) == 1


async def test_a_document_of_somebody_else_is_led_to(us: SimulatedSite) -> None:
    call = await us.call(script={"twiml": "https://127.0.0.1:9/none"}, script_error=NO_CONNECTION)
    assert call.heard[0] == {"verb": "Redirect", "attributes": {"method": "POST"}, "text": "https://127.0.0.1:9/none"}


MESSAGE = {"on_machine": "leave_message", "machine_message": "הודעה ל{name}"}


@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        ({"machine_detection": "Enable"}, [None]),
        ({"machine_detection": "Enable", "on_machine": "continue"}, ["שלום", None]),
        ({"machine_detection": "DetectMessageEnd", **MESSAGE}, ["הודעה לדנה", None]),
    ],
)
async def test_a_machine_hears_what_the_run_wants(us: SimulatedSite, settings: dict[str, Any], texts: list[str | None]) -> None:
    us.sim.set_number(PHONE, [Scenario.MACHINE])
    call = await us.call(script={"say": "שלום", "language": "he-IL"}, **settings)
    assert [entry.get("text") for entry in call.heard] == texts
    if settings["machine_detection"] == "DetectMessageEnd":
        assert not any(entry.get("over_greeting") for entry in call.heard), "the message comes after the beep"


async def test_a_recording_of_the_call_is_kept(us: SimulatedSite) -> None:
    call = await us.call(record=True, script={"say": "השיחה מוקלטת", "language": "he-IL"})
    kept = await us.site.database.pool.fetch("SELECT recording_sid FROM dialer.recordings")
    assert [row["recording_sid"] for row in kept] == [call.recordings[0].sid]


TEST_CALL = f"{RUNS}/test-call"
MINE = "+972509999999"


def asked(**more: object) -> dict[str, Any]:
    leads = [{"lead_id": 1, "phone": PHONE, "name": "דנה"}, {"lead_id": 2, "phone": "+972500000002", "name": "רות"}]
    script = {"say": "שלום {name}", "language": "he-IL", "keypress": {"9": "do_not_call"}}
    return {"leads": leads, "script": script, "phone": "050-9999999", **more}


async def test_a_test_call_lets_a_phone_hear_what_a_lead_would(us: SimulatedSite) -> None:
    us.sim.set_number(MINE, [Course(digits=("9",))])
    placed = await us.site.post(TEST_CALL, asked(row=2))
    assert (placed.status, placed.json["phone"], placed.json["status"]) == (202, MINE, "placed"), placed.body
    [call] = us.sim.call_log.calls.values()
    await us.sim.call_log.until(lambda _: call.over)
    await us.sim.tasks.idle()
    assert (call.to, call.heard[0]["children"][0]["text"], us.sim.call_log.callbacks["failed"]) == (MINE, "שלום רות", 0)
    assert [entry["verb"] for entry in call.heard] == ["Gather", "Say", "Hangup"]
    assert (await us.site.get("/api/outbound/do-not-call")).json["items"] == [], "a test puts no number on the list"
    assert (await us.site.get(RUNS)).json["items"] == []
    rows = await us.site.database.pool.fetch("SELECT status, ended_at IS NOT NULL AS over FROM dialer.test_calls")
    assert [tuple(row) for row in rows] == [("completed", True)]


async def test_a_repeated_test_call_is_not_placed_again(us: SimulatedSite) -> None:
    key = {"Idempotency-Key": "once"}
    placed, again = [await us.site.post(TEST_CALL, asked(), headers=key) for _ in range(2)]
    assert (placed.status, again.status, again.json) == (202, 202, placed.json)
    other = await us.site.post(TEST_CALL, asked(row=2), headers=key)
    assert (other.status, other.json["code"]) == (409, "idempotency_conflict")
    await us.sim.tasks.idle()
    assert (await us.site.post(TEST_CALL, asked(), headers=key)).json == placed.json, "the call is over"
    assert len(us.sim.call_log.calls) == 1


async def test_a_test_call_is_refused_by_the_rules_of_the_business(us: SimulatedSite) -> None:
    await us.site.request("PATCH", "/api/business", token="admin", json={"allowed_countries": ["IL"]})
    for phone in ("+12025550123", "100", "nobody"):
        refused = await us.site.post(TEST_CALL, asked(phone=phone))
        assert (refused.status, refused.json["details"][0]["field"]) == (422, "phone")
    assert (await us.site.post(TEST_CALL, asked(), token="viewer")).status == 403
    await us.site.post("/api/outbound/do-not-call", {"phones": [MINE]})
    assert (await us.site.post(TEST_CALL, asked())).code == "do_not_call"
    await us.site.request("DELETE", "/api/outbound/do-not-call", json={"phones": [MINE]})
    await us.site.post("/api/stop-dialling", {"reason": "x"}, token="admin")
    stopped = await us.site.post(TEST_CALL, asked())
    assert (stopped.status, stopped.code) == (409, "stopped")
    await us.site.post("/api/resume-dialling", token="admin")
    us.sim.set_number(MINE, [Course(scenario=Scenario.REFUSED, error_code=21211)])
    refused = await us.site.post(TEST_CALL, asked())
    assert (refused.status, refused.code) == (422, "refused"), refused.body
    assert us.sim.call_log.calls == {}


async def test_one_test_call_of_a_business_at_a_time(us: SimulatedSite) -> None:
    us.sim.set_number(MINE, [Course(talk_seconds=5_000.0)])
    assert (await us.site.post(TEST_CALL, asked())).status == 202
    second = await us.site.post(TEST_CALL, asked())
    assert (second.status, second.code) == (409, "in_progress")
    assert len(us.sim.call_log.calls) == 1


async def test_a_test_call_to_an_agent_who_does_not_pick_up(us: SimulatedSite) -> None:
    us.sim.set_number(AGENT, [Course(scenario=Scenario.NO_ANSWER)])
    assert (await us.site.post(TEST_CALL, asked(script={"dial": AGENT}))).status == 202
    [call] = us.sim.call_log.calls.values()
    await us.sim.call_log.until(lambda _: call.over)
    assert [entry["verb"] for entry in call.heard] == ["Dial", "Say", "Hangup"]


async def test_a_machine_that_is_found_while_the_script_is_said_gets_its_own(us: SimulatedSite) -> None:
    machine: dict[str, Any] = {"machine_detection": "DetectMessageEnd", "machine_detection_async": True}
    message: dict[str, Any] = {"on_machine": "leave_message", "machine_message": "הודעה ל{name}"}
    # A script that would go on for longer than any test.
    course = Course(answered_by="machine", greeting_seconds=3.0, talk_seconds=50_000.0)
    for settings, rest in ((message, ["Say", "Hangup"]), ({}, ["Hangup"])):
        us.sim.set_number(PHONE, [course])
        call = await us.call(script={"stream": "wss://voice.example.com"}, **machine, **settings)
        assert [entry["verb"] for entry in call.heard] == ["Connect", *rest]
        assert not settings or call.heard[1]["text"] == "הודעה לדנה"
    answerers = await us.site.database.pool.fetch("SELECT answered_by FROM dialer.attempts")
    assert [row["answered_by"] for row in answerers] == ["machine_end_beep"] * 2
