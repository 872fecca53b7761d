"""The simulator answers as Twilio's own description of its API says, and the dialer asks as it says.

The description is Twilio's and is not copied into this project; where it is absent, these tests say so.
"""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import aiohttp
import pytest
from aiohttp import web as http
from aiohttp.test_utils import TestServer
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from pydantic import SecretStr
from referencing import Registry
from referencing.jsonschema import DRAFT4

from dialer.clock import SystemClock
from telephony import simulator
from telephony.provider import Account, CallRequest, PlacedCall
from telephony.simulator import Scenario
from telephony.simulator.call_log import ENDED, Call
from telephony.simulator.http.call_options import DETECTION_TUNING
from telephony.simulator.http.listings import PLAIN, TIMES
from telephony.simulator.http.parameters import POSTS
from telephony.twilio.client import EVENTS, TwilioProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DESCRIPTION: Final = Path(__file__).parents[2].parent / "shared" / "data" / "twilio_calls_openapi.json"
CALLS: Final = "/2010-04-01/Accounts/{AccountSid}/Calls.json"
CALL: Final = "/2010-04-01/Accounts/{AccountSid}/Calls/{Sid}.json"
REQUEST: Final = CallRequest(
    "+97250000001",
    "+97237000000",
    "http://127.0.0.1:9/t",
    "http://127.0.0.1:9/c",
    30,
    600,
    "Enable",
    machine_callback="http://127.0.0.1:9/m",
    recording_callback="http://127.0.0.1:9/r",
)

if not DESCRIPTION.exists():
    pytest.skip("Twilio's description is not at ../shared/data/twilio_calls_openapi.json", allow_module_level=True)

API: Final[dict[str, Any]] = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
FORMATS: Final = oas30_format_checker


def is_rfc2822(text: object) -> bool:
    return text is None or parsedate_to_datetime(str(text)).tzinfo is not None


FORMATS.checks("date-time-rfc-2822", raises=ValueError)(is_rfc2822)


def check(instance: object, *place: str) -> None:
    """Hold `instance` against the schema at `place`."""
    pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in place)
    registry: Registry[Any] = Registry().with_resource("twilio", DRAFT4.create_resource(API))
    validator = OAS30Validator({"$ref": f"twilio#/{pointer}"}, registry=registry, format_checker=FORMATS)
    assert not [error.message for error in validator.iter_errors(instance)]


def check_call(body: dict[str, Any]) -> None:
    check(body, "components", "schemas", "api.v2010.account.call")
    described = set(API["components"]["schemas"]["api.v2010.account.call"]["properties"])
    assert set(body) == described


def check_page(body: dict[str, Any]) -> None:
    place = ("paths", CALLS, "get", "responses", "200", "content", "application/json", "schema")
    check(body, *place)
    assert set(body) == set(API["paths"][CALLS]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["properties"])
    for call in body["calls"]:
        check_call(call)


@pytest.fixture
async def sim() -> AsyncIterator[simulator.Simulator]:
    async with simulator.running(scenario="answer", speed=100) as there:
        yield there


@pytest.fixture
async def twilio(sim: simulator.Simulator) -> AsyncIterator[TwilioProvider]:
    there = TwilioProvider(sim.url, SystemClock())
    yield there
    await there.close()


@pytest.fixture
async def client(sim: simulator.Simulator) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": aiohttp.encode_basic_auth(simulator.TEST_ACCOUNT, simulator.TEST_TOKEN)}
    async with aiohttp.ClientSession(sim.url, headers=headers) as session:
        yield session


async def changed(sim: simulator.Simulator, call: Call) -> None:
    """Wait until the call's status is another."""
    before = call.status
    await sim.call_log.until(lambda _: call.status != before)


def path(template: str, sid: str = "") -> str:
    return template.replace("{AccountSid}", simulator.TEST_ACCOUNT).replace("{Sid}", sid)


@pytest.mark.parametrize("scenario", ["answer", "busy", "no-answer", "failed", "machine", "slow"])
async def test_a_call_is_described_as_twilio_does_at_every_stage(
    sim: simulator.Simulator,
    client: aiohttp.ClientSession,
    scenario: str,
) -> None:
    sim.set_number(REQUEST.to, [Scenario(scenario)])
    form = {
        "To": REQUEST.to,
        "From": REQUEST.from_,
        "Twiml": "<Response><Say>x</Say></Response>",
        "MachineDetection": "Enable",
        "Timeout": "30",
    }
    async with client.post(path(CALLS), data=form) as response:
        assert response.status == 201
        body = await response.json()
    check_call(body)
    seen = [body["status"]]
    call = sim.call_log.calls[body["sid"]]
    while not call.over:
        await changed(sim, call)
        async with client.get(path(CALL, call.sid)) as response:
            body = await response.json()
        check_call(body)
        seen.append(body["status"])
    assert seen[0] == "queued"
    assert seen[-1] == call.status
    assert (body["start_time"] is not None, body["end_time"] is not None) == (True, True)


async def test_pages_are_described_as_twilio_does(sim: simulator.Simulator, client: aiohttp.ClientSession, twilio: TwilioProvider) -> None:
    account = Account(simulator.TEST_ACCOUNT, SecretStr(simulator.TEST_TOKEN))
    for _ in range(5):
        assert isinstance(await twilio.place(account, REQUEST, deadline=sim.clock.boot() + 5), PlacedCall)
    uri: str | None = f"{path(CALLS)}?PageSize=2"
    pages = []
    while uri is not None:
        async with client.get(uri) as response:
            pages.append(await response.json())
        uri = pages[-1]["next_page_uri"]
    for number, page in enumerate(pages):
        check_page(page)
        assert page["page"] == number
    assert [len(page["calls"]) for page in pages] == [2, 2, 1]
    assert [call["sid"] for page in pages for call in page["calls"]] == [*sim.call_log.calls][::-1]
    async with client.get(f"{path(CALLS)}?Status=busy") as response:
        check_page(await response.json())


async def test_an_update_is_described_as_twilio_does(sim: simulator.Simulator, client: aiohttp.ClientSession) -> None:
    form = {"To": REQUEST.to, "From": REQUEST.from_, "Url": REQUEST.url}
    async with client.post(path(CALLS), data=form) as response:
        sid = (await response.json())["sid"]
    async with client.post(path(CALL, sid), data={"Status": "canceled"}) as response:
        assert response.status == 200
        check_call(await response.json())
    await sim.call_log.until(lambda log: log.calls[sid].status == "canceled")


@pytest.mark.parametrize(
    "wrong",
    [{"status": "initiated"}, {"sid": "CA1"}, {"date_created": "2026-01-01T00:00:00Z"}, {"duration": 7}, {"start_time": "yesterday"}],
)
async def test_the_description_would_tell_a_wrong_answer(client: aiohttp.ClientSession, wrong: dict[str, object]) -> None:
    form = {"To": REQUEST.to, "From": REQUEST.from_, "Url": REQUEST.url}
    async with client.post(path(CALLS), data=form) as response:
        body = await response.json()
    with pytest.raises(AssertionError):
        check_call({**body, **wrong})


def test_every_status_and_filter_of_ours_is_one_of_twilios() -> None:
    statuses = set(API["components"]["schemas"]["call_enum_status"]["enum"])
    assert statuses == {"queued", "ringing", "in-progress", *ENDED}
    filters = {parameter["name"] for parameter in API["paths"][CALLS]["get"]["parameters"]}
    assert {*PLAIN, *TIMES, "Page", "PageSize", "PageToken"} <= filters


def test_every_parameter_the_simulator_reads_is_in_the_description() -> None:
    described = set(API["paths"][CALLS]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]["properties"])
    read = {"To", "From", "Url", "Twiml", "ApplicationSid", "FallbackUrl", "StatusCallback", "StatusCallbackEvent", "Timeout", "TimeLimit"}
    machines = {"MachineDetection", "MachineDetectionTimeout", "AsyncAmd", "AsyncAmdStatusCallback", *DETECTION_TUNING}
    recording = {"Record", "RecordingStatusCallback", "RecordingStatusCallbackEvent", "RecordingChannels", "RecordingTrack"}
    assert read | machines | recording | set(POSTS) <= described


async def test_what_the_dialer_asks_is_in_the_description() -> None:
    described = API["paths"][CALLS]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    asked = parse_qs(await asked_for(REQUEST))
    assert set(described["required"]) <= set(asked) <= set(described["properties"])
    whole: dict[str, object] = {name: values[0] for name, values in asked.items()}
    whole |= {name: asked[name] for name in ("StatusCallbackEvent", "RecordingStatusCallbackEvent")}
    whole |= {"Timeout": 30, "TimeLimit": 600, "Record": asked["Record"] == ["true"]}
    check(whole, "paths", CALLS, "post", "requestBody", "content", "application/x-www-form-urlencoded", "schema")
    assert asked["StatusCallbackEvent"] == EVENTS


async def asked_for(request: CallRequest) -> str:
    """Give the body of the dialer's POST, as the wire carries it."""
    bodies: list[str] = []

    async def note(asked: http.Request) -> http.Response:
        bodies.append(await asked.text())
        return http.json_response({"sid": "CA" + "0" * 32, "status": "queued"}, status=201)

    app = http.Application()
    app.router.add_post(path(CALLS), note)
    async with TestServer(app) as server:
        twilio = TwilioProvider(str(server.make_url("")), SystemClock())
        account = Account(simulator.TEST_ACCOUNT, SecretStr(simulator.TEST_TOKEN))
        assert isinstance(await twilio.place(account, request, deadline=SystemClock().boot() + 5), PlacedCall)
        await twilio.close()
    return bodies[0]
