"""Answering machines, before the script and beside it, and recordings with their callbacks and resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from telephony.simulator.scenarios import Course, Scenario
from tests.simulator_client import TO, running_here, twiml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.simulator_client import Here


@pytest.fixture
async def here() -> AsyncIterator[Here]:
    async with running_here() as running:
        running.program.documents["/script"] = twiml("<Say>hello</Say>")
        yield running


@pytest.mark.parametrize(
    ("course", "detection", "answered_by"),
    [
        (Course(scenario=Scenario.ANSWER), "Enable", "human"),
        (Course(scenario=Scenario.MACHINE), "Enable", "machine_start"),
        (Course(scenario=Scenario.MACHINE), "DetectMessageEnd", "machine_end_beep"),
        (Course(scenario=Scenario.MACHINE, greeting_end="silence"), "DetectMessageEnd", "machine_end_silence"),
        (Course(scenario=Scenario.MACHINE, greeting_seconds=40), "DetectMessageEnd", "unknown"),
        (Course(answered_by="fax"), "Enable", "fax"),
    ],
)
async def test_the_request_for_the_script_says_who_answered(here: Here, course: Course, detection: str, answered_by: str) -> None:
    here.sim.set_number(TO, [course])
    call = await here.end(await here.call(MachineDetection=detection, StatusCallback=f"{here.program.url}/callback"))
    assert here.program.forms("/script")[0]["AnsweredBy"] == answered_by
    assert here.program.forms("/callback")[-1]["AnsweredBy"] == answered_by
    assert (await here.get(here.path(f"Calls/{call.sid}.json")))[1]["answered_by"] == answered_by


@pytest.mark.parametrize("slow_seconds", [0.0, 0.3], ids=["at once", "after the greeting"])
async def test_beside_the_script_who_answered_is_told_later_and_the_script_can_be_replaced(here: Here, slow_seconds: float) -> None:
    here.program.slow_seconds["/script"] = slow_seconds
    here.sim.set_number(TO, [Course(scenario=Scenario.MACHINE, greeting_seconds=20, talk_seconds=40_000)])
    call = await here.call(
        MachineDetection="DetectMessageEnd", AsyncAmd="true", AsyncAmdStatusCallback=f"{here.program.url}/detected/callback"
    )
    await here.sim.call_log.until(lambda _: call.answered_by is not None)
    assert "AnsweredBy" not in here.program.forms("/script")[0]
    assert (await here.update(call, Twiml=twiml("<Say>a message</Say><Hangup/>")))[0] == 200
    await here.end(call)
    told = here.program.forms("/detected/callback")[0]
    assert (told["CallSid"], told["AnsweredBy"], told["MachineDetectionDuration"]) == (call.sid, "machine_end_beep", "20000")
    assert [(entry.get("text"), entry.get("over_greeting", False)) for entry in call.heard] == [
        ("hello", slow_seconds == 0),
        ("a message", False),
        (None, False),
    ]
    assert here.program.unsigned == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"MachineDetection": "Maybe"},
        {"MachineDetectionTimeout": "2"},
        {"MachineDetectionTimeout": "60"},
        {"MachineDetectionSpeechThreshold": "10"},
        {"AsyncAmd": "yes"},
        {"AsyncAmdStatusCallback": "nowhere"},
        {"Record": "maybe"},
        {"RecordingChannels": "three"},
        {"RecordingStatusCallback": "http://a_b.example/"},
        {"RecordingStatusCallbackEvent": "started"},
    ],
)
async def test_a_wrong_option_is_refused_by_its_name(here: Here, wrong: dict[str, str]) -> None:
    status, body = await here.place(**wrong)
    assert status == 400
    assert next(iter(wrong)) in body["message"]


async def test_a_recording_is_told_and_can_be_fetched_and_deleted(here: Here) -> None:
    options = {"Record": "true", "RecordingChannels": "dual", "RecordingStatusCallbackEvent": "in-progress completed"}
    call = await here.end(await here.call(**options, RecordingStatusCallback=f"{here.program.url}/recorded/callback"))
    begun, done = here.program.forms("/recorded/callback")
    assert (begun["RecordingStatus"], done["RecordingStatus"]) == ("in-progress", "completed")
    assert begun["RecordingSid"] == done["RecordingSid"] == call.recordings[0].sid
    assert (done["RecordingDuration"], done["RecordingChannels"], done["CallSid"]) == (str(call.duration_seconds), "2", call.sid)
    assert here.program.unsigned == 0
    for suffix in ("", ".wav"):
        async with here.client.get(done["RecordingUrl"] + suffix) as response:
            sound = await response.read()
            assert (response.status, response.content_type, sound[:4], sound[8:12]) == (200, "audio/x-wav", b"RIFF", b"WAVE")
    one = (await here.get(here.path(f"Recordings/{done['RecordingSid']}.json")))[1]
    assert (one["call_sid"], one["duration"], one["channels"], one["status"]) == (call.sid, done["RecordingDuration"], 2, "completed")
    for listing in ("Recordings.json", f"Calls/{call.sid}/Recordings.json", f"Recordings.json?CallSid={call.sid}"):
        assert (await here.get(here.path(listing)))[1]["recordings"] == [one]
    async with here.client.delete(here.path(f"Recordings/{done['RecordingSid']}.json")) as response:
        assert response.status == 204
    assert (await here.get(here.path(f"Recordings/{done['RecordingSid']}.json")))[1]["code"] == 20404


async def test_a_message_after_the_beep_is_recorded_by_its_verb(here: Here) -> None:
    here.program.documents |= {
        "/script": twiml('<Record maxLength="30" action="/recorded" recordingStatusCallback="/verb/callback"/>'),
        "/recorded": twiml("<Hangup/>"),
    }
    call = await here.end(await here.call())
    told = here.program.forms("/recorded")[0]
    assert told["RecordingDuration"] == "3"
    assert here.program.forms("/verb/callback")[0]["RecordingSid"] == call.heard[0]["recording"] == call.recordings[0].sid


async def test_a_recording_of_nothing_is_absent(here: Here) -> None:
    here.sim.set_number(TO, [Course(talk_seconds=0)])
    here.program.documents["/script"] = twiml("<Hangup/>")
    options = {
        "Record": "true",
        "RecordingStatusCallbackEvent": "absent completed",
        "RecordingStatusCallback": f"{here.program.url}/callback",
    }
    call = await here.end(await here.call(TimeLimit="1", **options))
    statuses = [form["RecordingStatus"] for form in here.program.forms("/callback")]
    assert statuses == (["completed"] if call.duration_seconds else ["absent"])
    assert len(call.recordings) == (1 if call.duration_seconds else 0)


async def test_a_call_that_nobody_answers_is_not_recorded(here: Here) -> None:
    here.sim.set_number(TO, [Scenario.BUSY])
    call = await here.end(await here.call(Record="true", RecordingStatusCallback=f"{here.program.url}/callback"))
    assert (call.recordings, here.program.requests) == ([], [])
