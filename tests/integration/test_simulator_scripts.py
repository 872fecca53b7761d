"""What the simulator hears of a script: verbs, nesting, keys, called legs, further documents, and where a document fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from telephony.simulator.scenarios import Course, Scenario
from tests.simulator_client import FROM, SPEED, TO, running_here, twiml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.simulator_client import Here

AGENT = "+97230000009"


@pytest.fixture
async def here() -> AsyncIterator[Here]:
    async with running_here() as running:
        yield running


async def test_what_is_said_and_played_is_heard_with_language_and_voice(here: Here) -> None:
    heard = await here.heard(
        '<Say language="he-IL" voice="Google.he-IL-Standard-A">שלום &amp; ברכה <break time="1s"/><prosody rate="slow">לאט</prosody></Say>'
        '<Pause length="2"/><Play loop="2">https://x.example/a.mp3</Play><Play digits="1w2"/>'
    )
    assert heard[0]["verb"] == "Say"
    assert heard[0]["text"] == "שלום & ברכה לאט"
    assert heard[0]["attributes"] == {"language": "he-IL", "voice": "Google.he-IL-Standard-A"}
    assert [child["verb"] for child in heard[0]["children"]] == ["break", "prosody"]
    assert heard[1:] == [
        {"verb": "Pause", "attributes": {"length": "2"}},
        {"verb": "Play", "attributes": {"loop": "2"}, "text": "https://x.example/a.mp3"},
        {"verb": "Play", "attributes": {"digits": "1w2"}},
    ]
    assert here.program.unsigned == 0
    assert here.program.forms("/script")[0]["CallStatus"] == "in-progress"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("", 12100),
        ("hello", 12100),
        ("<Response><Say>a</Response>", 12100),
        ("<Response><Say>a & b</Say></Response>", 12100),
        ("<Say>a</Say>", 12100),
        ('<!DOCTYPE a [<!ENTITY b "c">]><Response><Say>&b;</Say></Response>', 12100),
        (twiml("<Shout>a</Shout>"), 12200),
        (twiml("<say>a</say>"), 12200),
        (twiml("<Gather><Dial>+97230000009</Dial></Gather>"), 12200),
        (twiml("<Say><Say>a</Say></Say>"), 12200),
        (twiml("<Number>+97230000009</Number>"), 12200),
        (twiml("hello"), 12200),
        (twiml('<Say tongue="he">a</Say>'), 12200),
        (twiml('<Pause length="long"/>'), 12200),
        (twiml("<Play>ftp://x.example/</Play>"), 12200),
        (twiml("<Play>http://[</Play>"), 12200),
        (twiml("<Dial/>"), 12200),
        (twiml("<Connect/>"), 12200),
        (twiml('<Connect><Stream url="https://x.example/"/></Connect>'), 12200),
        (twiml('<Connect><Stream url="wss://x.example/?a=1"/></Connect>'), 12200),
        (twiml('<Connect><Stream url="wss://x.example/"><Parameter name="a"/></Stream></Connect>'), 12200),
        (twiml("<Say>" + "<prosody>" * 20 + "a" + "</prosody>" * 20 + "</Say>"), 12200),
        (twiml("<Say> </Say>"), 13520),
        (twiml(f"<Say>{'a' * 4097}</Say>"), 13520),
    ],
)
async def test_a_document_that_fails_ends_the_call_and_is_noted(here: Here, document: str, code: int) -> None:
    here.program.documents["/script"] = document
    call = await here.end(await here.call())
    assert (call.status, call.script_error) == ("completed", code)
    assert call.heard[-1]["error"] == code
    status, entry = await here.get(f"/simulator/calls/{call.sid}")
    assert (status, entry["script_error"], entry["heard"]) == (200, code, call.heard)


async def test_a_script_that_cannot_be_fetched_is_told_to_the_fallback(here: Here) -> None:
    here.program.documents["/fallback"] = twiml("<Say>sorry</Say>")
    call = await here.end(await here.call(Url=f"{here.program.url}/nothing", FallbackUrl=f"{here.program.url}/fallback"))
    assert [entry.get("error", entry.get("text")) for entry in call.heard] == [11200, "sorry"]
    told = here.program.forms("/fallback")[0]
    assert (told["ErrorCode"], told["ErrorUrl"]) == ("11200", f"{here.program.url}/nothing")
    assert (await here.end(await here.call(Url="http://127.0.0.1:9/"))).script_error == 11205


async def test_json_is_no_script(here: Here) -> None:
    here.program.content_type = "application/json"
    await here.heard("<Say>a</Say>")
    assert next(iter(here.sim.call_log.calls.values())).script_error == 12300


async def test_keys_of_the_course_go_to_the_action_and_its_answer_is_heard(here: Here) -> None:
    here.sim.set_number(TO, [Course(digits=("12#", "9"))])
    here.program.documents["/second"] = twiml('<Gather numDigits="1" action="/third"><Play>https://x.example/b.mp3</Play></Gather>')
    here.program.documents["/third"] = twiml("<Say>goodbye</Say><Hangup/>")
    heard = await here.heard('<Gather action="second?a=1" timeout="3"><Say>press</Say></Gather><Say>nothing came</Say>')
    assert [entry["verb"] for entry in heard] == ["Gather", "Gather", "Say", "Hangup"]
    assert (heard[0]["children"][0]["text"], heard[0]["pressed"], heard[1]["pressed"]) == ("press", "12", "9")
    second, third = here.program.forms("/second")[0], here.program.forms("/third")[0]
    assert (second["Digits"], second["FinishedOnKey"], third["Digits"]) == ("12", "#", "9")
    assert here.program.unsigned == 0


async def test_who_presses_nothing_hears_what_comes_next(here: Here) -> None:
    here.program.documents["/action"] = twiml("<Say>an empty result</Say>")
    heard = await here.heard('<Gather action="/action"><Say>press</Say></Gather><Say>nothing came</Say>')
    assert heard[-1]["text"] == "nothing came"
    heard = await here.heard('<Gather action="/action" actionOnEmptyResult="true"/><Say>nothing came</Say>')
    assert heard[-1]["text"] == "an empty result"
    assert here.program.forms("/action")[0]["Digits"] == ""


async def test_words_go_to_a_gather_that_listens(here: Here) -> None:
    here.sim.set_number(TO, [Course(speech="yes please")])
    here.program.documents["/said"] = twiml("<Hangup/>")
    heard = await here.heard('<Gather input="dtmf speech" action="/said"/>')
    assert heard[0]["said"] == here.program.forms("/said")[0]["SpeechResult"] == "yes please"


async def test_keys_can_be_pressed_by_http(here: Here) -> None:
    here.program.documents |= {
        "/script": twiml('<Gather numDigits="1" action="/pressed" timeout="60000"/>'),
        "/pressed": twiml("<Say>a</Say>"),
    }
    call = await here.call()
    await here.until_heard(call, 1)
    assert (await here.post(f"/simulator/calls/{call.sid}/keys", {"keys": "A"}))[0] == 400
    assert await here.post(f"/simulator/calls/{call.sid}/keys", {"keys": "9"}) == (200, {"pressed": 1})
    await here.end(call)
    assert here.program.forms("/pressed")[0]["Digits"] == "9"
    assert (await here.post(f"/simulator/calls/{call.sid}/keys", {"keys": "9"}))[0] == 404


@pytest.mark.parametrize(
    ("agent", "status", "bridged"),
    [
        (Scenario.ANSWER, "completed", "true"),
        (Scenario.BUSY, "busy", "false"),
        (Scenario.NO_ANSWER, "no-answer", "false"),
        (Scenario.FAILED, "failed", "false"),
    ],
)
async def test_a_called_leg_goes_as_its_own_number_does(here: Here, agent: Scenario, status: str, bridged: str) -> None:
    here.sim.set_number(AGENT, [agent])
    here.program.documents["/dialled"] = twiml("<Say>the end</Say>")
    heard = await here.heard(f'<Dial timeout="20" action="/dialled" callerId="{FROM}"><Number>{AGENT}</Number></Dial><Say>not heard</Say>')
    assert [entry["verb"] for entry in heard] == ["Dial", "Say"]
    assert (heard[0]["legs"][0]["to"], heard[0]["legs"][0]["status"]) == (AGENT, status)
    told = here.program.forms("/dialled")[0]
    assert (told["DialCallStatus"], told["DialBridged"], "DialCallDuration" in told) == (status, bridged, status == "completed")
    assert len(here.sim.call_log.calls) == 1


async def test_the_first_of_several_legs_to_answer_is_connected(here: Here) -> None:
    sip = "sip:agent@x.example"
    here.sim.set_number(AGENT, [Scenario.BUSY])
    here.sim.set_number(sip, [Scenario.ANSWER])
    heard = await here.heard(f"<Dial><Number>{AGENT}</Number><Number>nobody 12</Number><Sip>{sip}</Sip></Dial><Say>after</Say>")
    assert [leg["status"] for leg in heard[0]["legs"]] == ["canceled", "canceled", "completed"]
    assert heard[1]["text"] == "after"
    heard = await here.heard("<Dial>+972-x</Dial>")
    assert heard[0]["legs"] == [{"to": "+972-x", "status": "failed", "error_code": 13223}]


async def test_a_stream_is_heard_with_its_parameters_and_ends_the_script(here: Here) -> None:
    heard = await here.heard(
        '<Connect><Stream url="wss://x.example/s"><Parameter name="lead" value="דנה"/></Stream></Connect><Say>not heard</Say>'
    )
    assert len(heard) == 1
    stream = heard[0]["children"][0]
    assert stream["attributes"] == {"url": "wss://x.example/s"}
    assert stream["children"] == [{"verb": "Parameter", "attributes": {"name": "lead", "value": "דנה"}}]


async def test_a_redirect_leads_to_the_next_document_by_post_or_get(here: Here) -> None:
    here.program.documents |= {"/next": twiml('<Redirect method="GET">last?b=c</Redirect>'), "/last": twiml("<Say>here</Say>")}
    heard = await here.heard("<Redirect>/next</Redirect><Say>not heard</Say>")
    assert [entry["verb"] for entry in heard] == ["Redirect", "Redirect", "Say"]
    assert here.program.unsigned == 0


@pytest.mark.parametrize(
    "address",
    [
        "ftp://x.example/",
        "http://[/",
        "http://x.example/a b",
        "http://x.example/&#10;Host: y",
        "http://שלום.example/",
        "javascript:alert(1)",
        "http://127.0.0.1:99999/",
        "http://a..b/",
        "http://127.0.0.1:9/%zz",
        "http:///x",
    ],
)
async def test_an_address_that_is_none_ends_its_own_call_only(here: Here, address: str) -> None:
    heard = await here.heard(f"<Redirect>{address}</Redirect>")
    assert heard[-1]["error"] in {11100, 11200, 11205}
    here.sim.set_number(TO, [Course(digits=("1",))])
    heard = await here.heard(f'<Gather numDigits="1" action="{address}"/>')
    assert heard[-1]["error"] in {11100, 11200, 11205}
    assert (await here.heard("<Say>still here</Say>"))[0]["text"] == "still here"


async def test_a_script_without_end_is_ended(here: Here) -> None:
    heard = await here.heard("<Redirect>/script</Redirect>")
    assert (len(heard), heard[-1]["error"]) == (101, 12200)
    call = await here.end(await here.call(Url="", Twiml=twiml("<Redirect>/relative</Redirect>")))
    assert call.script_error == 11100


async def test_a_live_call_is_given_another_script(here: Here) -> None:
    here.sim.set_number(TO, [Scenario.SLOW])
    here.program.documents |= {"/script": twiml("<Say>first</Say>"), "/other": twiml("<Say>third</Say><Hangup/>")}
    call = await here.call()
    assert (await here.update(call, Twiml=twiml("<Say>x</Say>")))[1]["code"] == 21220, "it is not live yet"
    await here.until_heard(call, 1)
    assert (await here.update(call, Twiml=twiml('<Say>second</Say><Pause length="600"/>')))[0] == 200
    await here.until_heard(call, 3)
    assert (await here.update(call, Url="no address"))[1]["code"] == 21205
    assert (await here.update(call))[1]["code"] == 20001
    assert (await here.update(call, Url=f"{here.program.url}/other"))[0] == 200
    await here.end(call)
    assert [entry.get("text") for entry in call.heard] == ["first", "second", None, "third", None]
    assert (call.status, here.program.unsigned) == ("completed", 0)


async def test_a_person_who_calls_back_hears_the_script_of_the_number(here: Here) -> None:
    here.program.documents["/inbound"] = twiml("<Say>you were called by us</Say>")
    inbound = {"account": here.account, "from": TO, "to": FROM, "url": f"{here.program.url}/inbound"}
    status, body = await here.post("/simulator/inbound", inbound)
    assert status == 201
    call = await here.end(here.sim.call_log.calls[body["sid"]])
    assert [entry["text"] for entry in call.heard] == ["you were called by us"]
    told = here.program.forms("/inbound")[0]
    assert (told["Direction"], told["CallStatus"], told["From"], told["To"]) == ("inbound", "ringing", TO, FROM)
    assert here.program.unsigned == 0
    assert (await here.get(here.path(f"Calls/{call.sid}.json")))[1]["direction"] == "inbound"
    assert (await here.post("/simulator/inbound", {**inbound, "account": "AC" + "1" * 32}))[0] == 404
    assert (await here.post("/simulator/inbound", {**inbound, "url": "nowhere"}))[0] == 400


async def test_the_conversation_fills_with_the_first_document_and_ends_with_a_later_one(here: Here) -> None:
    here.sim.set_number(TO, [Course(digits=("9",), talk_seconds=50_000)])
    here.program.documents |= {"/script": twiml('<Gather numDigits="1" action="/bye"/>'), "/bye": twiml("<Say>bye</Say><Hangup/>")}
    call = await here.end(await here.call())
    assert call.duration_seconds is not None
    assert call.duration_seconds < 5_000
    here.sim.set_number(TO, [Course(talk_seconds=50)])
    here.program.documents["/script"] = twiml("<Say>hello</Say><Pause length='20'/><Hangup/>")
    long = await here.end(await here.call())
    assert long.duration_seconds is not None
    assert long.duration_seconds >= 50


async def test_the_time_limit_ends_any_script() -> None:
    async with running_here(speed=SPEED) as here:
        here.program.documents["/script"] = twiml('<Pause length="3000"/><Say>too late</Say>')
        call = await here.end(await here.call(TimeLimit="30"))
        assert (call.duration_seconds, [entry["verb"] for entry in call.heard]) == (30, ["Pause"])
