"""Declared accounts of the simulator: what they refuse, how they sign, their pace, their resources, and what survives a restart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest

from dialer.config import ConfigError
from telephony import refusals
from telephony.simulator.accounts.account_record import SimulatorAccount
from telephony.simulator.scenarios import Course, Scenario
from tests.simulator_client import FROM, TO, running_here, twiml

if TYPE_CHECKING:
    from pathlib import Path

SID: Final = "AC" + "5" * 32
KEY: Final = "SK" + "6" * 32
VERIFIED: Final = "+972523000001"
PERMISSIONS: Final = "/v1/DialingPermissions/Countries"


def account(**fields: object) -> SimulatorAccount:
    return SimulatorAccount.model_validate({"sid": SID, "auth_token": "secret one", **fields})


OWNED: Final = account(numbers=[FROM], verified_caller_ids=[VERIFIED], countries=["IL", "US"])


@pytest.mark.parametrize(
    ("fields", "form", "status", "code"),
    [
        ({"numbers": [FROM]}, {"From": "+97237000001"}, 400, 21210),
        ({"verified_caller_ids": []}, {}, 400, 21210),
        ({"countries": ["US"]}, {}, 400, 21215),
        ({"countries": ["IL"]}, {"To": "+442079460000"}, 400, 21215),
        ({"countries": ["IL"]}, {"To": "+9999999999"}, 400, 21215),
        ({"type": "trial", "numbers": [FROM]}, {}, 400, 21219),
        ({"status": "suspended"}, {}, 400, 10001),
        ({"status": "closed"}, {}, 403, 20005),
        ({}, {"To": "0501234567"}, 400, 21211),
        ({}, {"Url": "", "ApplicationSid": "AP" + "0" * 32}, 400, 21218),
        ({"private_hosts": False}, {}, 400, 21205),
        ({"private_hosts": False}, {"Url": "https://x.example/", "StatusCallback": "https://intranet/"}, 400, 21609),
        ({"private_hosts": False}, {"Url": "https://x.example/", "StatusCallback": "http://10.0.0.1/"}, 400, 21609),
        ({"private_hosts": False}, {"Url": "https://x.example/", "StatusCallback": "http://[fd00::1]/"}, 400, 21609),
        ({"private_hosts": False}, {"Url": "https://x.example/", "FallbackUrl": "https://a.internal/"}, 400, 21609),
    ],
)
async def test_a_declared_account_refuses_what_twilio_would(
    fields: dict[str, object], form: dict[str, str], status: int, code: int
) -> None:
    async with running_here([account(**fields)]) as here:
        answered, body = await here.place(**form)
        assert (answered, body["code"]) == (status, code)
        assert not here.sim.call_log.calls


async def test_a_declared_account_does_what_it_may() -> None:
    async with running_here([OWNED], scenario="busy") as here:
        for form in ({}, {"From": VERIFIED}, {"To": "+12025550100"}):
            assert (await here.place(**form))[0] == 201
    async with running_here([account(type="trial", numbers=[FROM], verified_caller_ids=[TO])], scenario="busy") as here:
        assert (await here.place())[0] == 201
    async with running_here([account(private_hosts=False)], scenario="busy") as here:
        assert (await here.place(Url="https://x.example/", StatusCallback="https://8.8.8.8:8443/"))[0] == 201


@pytest.mark.parametrize("rule", refusals.CODES, ids=lambda rule: str(rule.code))
async def test_a_number_can_be_refused_with_each_code_of_the_table(rule: refusals.Rule) -> None:
    async with running_here() as here:
        assert (await here.post("/simulator/numbers", {TO: rule.code}))[0] == 200
        status, body = await here.place()
        assert (body["code"], body["status"]) == (rule.code, status)
        assert rule.code is not None
        assert refusals.judge(status, refusals.own_code(status, json.dumps(body))).action is rule.action


async def test_a_call_can_be_accepted_and_then_fail_with_a_code() -> None:
    async with running_here() as here:
        here.sim.set_number(TO, [Course(error_code=32205)])
        call = await here.end(await here.call(StatusCallback=f"{here.program.url}/callback"))
        assert call.status == "failed"
        assert here.program.forms("/callback")[-1]["ErrorCode"] == "32205"


async def test_calls_at_once_are_refused_or_fail() -> None:
    async with running_here([account(calls_at_once=1)], scenario="slow", speed=1) as here:
        await here.call()
        assert [(await here.place())[1]["code"] for _ in range(2)] == [10004, 10004]
        assert (await here.post("/simulator/accounts", {SID: {"over_limit": "fail"}}))[0] == 200
        call = await here.call(StatusCallback=f"{here.program.url}/callback")
        assert (call.plan.ends, call.plan.error_code) == ("failed", 10004)
        await here.post("/simulator/accounts", {SID: {"calls_at_once": None}})
        assert (await here.place())[0] == 201


async def test_calls_beyond_the_pace_are_queued_and_say_how_long() -> None:
    async with running_here([account(calls_per_second=1)], scenario="busy") as here:
        first, second = [await here.call() for _ in range(2)]
        await here.end(second)
        waits = [int((await here.get(here.path(f"Calls/{call.sid}.json")))[1]["queue_time"]) for call in (first, second)]
        assert waits[0] == 0
        assert 0 < waits[1] <= 1000
        assert second.started_at is not None
        assert (second.started_at - first.created_at).total_seconds() >= 0.99
        await here.post("/simulator/accounts", {SID: {"calls_per_second": 0.01}})
        await here.call()
        queued = await here.call()
        assert (await here.update(queued, Status="canceled"))[0] == 200
        assert (await here.end(queued)).started_at is None, "it never left the queue"


async def test_callbacks_are_signed_with_the_token_or_the_signing_key() -> None:
    async with running_here([account(signing_key="a signing key", signing_key_sid="webhooks_sharedkey_1")]) as here:
        here.program.token = "a signing key"
        assert [entry["verb"] for entry in await here.heard("<Say>a</Say>", StatusCallback=f"{here.program.url}/callback")] == ["Say"]
        assert (len(here.program.requests), here.program.unsigned) == (2, 0)
        settings = {headers["X-Twilio-Webhooks-Signature-Settings"] for headers in here.program.headers}
        assert settings == {"key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"}
        await here.post(
            "/simulator/accounts", {SID: {"signing_key": None, "auth_token": "secret two", "secondary_auth_token": "secret one"}}
        )
        here.program.token = "secret two"
        here.program.requests.clear()
        await here.heard("<Say>b</Say>")
        assert (len(here.program.requests), here.program.unsigned) == (1, 0)


async def test_tokens_and_keys_authenticate_their_own_account_only() -> None:
    other = SimulatorAccount.model_validate({"sid": "AC" + "7" * 32, "auth_token": "other"})
    async with running_here([account(api_keys={KEY: "key secret"}, secondary_auth_token="secret two", countries=["IL"]), other]) as here:
        logins = [(SID, "secret one"), (SID, "secret two"), (KEY, "key secret"), (SID, "other"), (SID, "key secret"), (other.sid, "other")]
        statuses = []
        for user, secret in logins:
            headers = {"Authorization": aiohttp.encode_basic_auth(user, secret)}
            async with here.client.get(here.path("Calls.json"), headers=headers) as response:
                statuses.append(response.status)
        assert statuses == [200, 200, 200, 401, 401, 401]
        headers = {"Authorization": aiohttp.encode_basic_auth(KEY, "key secret")}
        async with here.client.get(f"{PERMISSIONS}/IL", headers=headers) as response:
            assert (await response.json())["low_risk_numbers_enabled"] is True


async def test_a_standard_key_may_not_read_the_account_and_a_main_key_may() -> None:
    main = "SK" + "8" * 32
    async with running_here([account(api_keys={KEY: "one"}, main_api_keys={main: "two"}, numbers=[FROM])]) as here:
        for user, secret, path, expected in (
            (KEY, "one", "", 401),
            (KEY, "one", "/IncomingPhoneNumbers", 200),
            (main, "two", "", 200),
            (SID, "secret one", "", 200),
        ):
            headers = {"Authorization": aiohttp.encode_basic_auth(user, secret)}
            async with here.client.get(f"/2010-04-01/Accounts/{SID}{path}.json", headers=headers) as response:
                assert response.status == expected, (user, path)
                assert expected == 200 or (await response.json())["code"] == 20003
        assert (await here.get("/simulator/accounts"))[1][SID]["main_api_keys"] == [main]


async def test_the_account_and_its_numbers_are_listed() -> None:
    numbers = [f"+9723700{number:04d}" for number in range(5)]
    async with running_here([account(numbers=numbers, verified_caller_ids=[VERIFIED], type="trial", friendly_name="Ours")]) as here:
        _, body = await here.get(here.path("").rstrip("/") + ".json")
        assert (body["sid"], body["status"], body["type"], body["friendly_name"]) == (SID, "active", "Trial", "Ours")
        assert "secret" not in json.dumps(body)
        found: list[str] = []
        uri: str | None = here.path("IncomingPhoneNumbers.json?PageSize=2")
        while uri:
            _, page = await here.get(uri)
            found += [number["phone_number"] for number in page["incoming_phone_numbers"]]
            uri = page["next_page_uri"]
        assert found == numbers
        for listing, key, number in (
            ("IncomingPhoneNumbers", "incoming_phone_numbers", numbers[2]),
            ("OutgoingCallerIds", "outgoing_caller_ids", VERIFIED),
        ):
            for pattern, expected in ((number, [number]), ("+1*", [])):
                _, page = await here.get(here.path(f"{listing}.json?PhoneNumber={pattern.replace('+', '%2B')}"))
                assert [item["phone_number"] for item in page[key]] == expected


async def test_the_countries_are_listed() -> None:
    async with running_here([OWNED]) as here:
        _, body = await here.get(f"{PERMISSIONS}/IL")
        assert (body["iso_code"], body["name"], body["country_codes"], body["low_risk_numbers_enabled"]) == ("IL", "Israel", ["+972"], True)
        assert (await here.get(f"{PERMISSIONS}/FR"))[1]["low_risk_numbers_enabled"] is False
        assert (await here.get(f"{PERMISSIONS}/XX"))[1]["code"] == 20404
        _, page = await here.get(f"{PERMISSIONS}?LowRiskNumbersEnabled=true")
        assert [country["iso_code"] for country in page["content"]] == ["IL", "US"]
        _, page = await here.get(f"{PERMISSIONS}?CountryCode=972")
        assert [country["iso_code"] for country in page["content"]] == ["IL"]
        _, page = await here.get(f"{PERMISSIONS}?PageSize=100")
        pages = 1
        while page["meta"]["next_page_url"]:
            _, page = await here.get(page["meta"]["next_page_url"].removeprefix(here.sim.url))
            pages += 1
        assert pages == 3


@pytest.mark.parametrize("path", [".json", "IncomingPhoneNumbers.json", "OutgoingCallerIds.json", PERMISSIONS, f"{PERMISSIONS}/IL"])
async def test_questions_about_an_account_fail_on_demand(path: str) -> None:
    async with running_here([OWNED]) as here:
        address = path if path.startswith("/") else here.path(path).replace("/.json", ".json")
        assert (await here.get(address))[0] == 200
        await here.post("/simulator/faults", {"ask_error": 1})
        assert (await here.get(address))[0] == 503


@pytest.mark.parametrize("path", ["IncomingPhoneNumbers.json", "OutgoingCallerIds.json", PERMISSIONS, f"{PERMISSIONS}/IL"])
async def test_what_an_account_does_not_declare_is_not_known(path: str) -> None:
    async with running_here() as here:
        assert (await here.get(path if path.startswith("/") else here.path(path)))[1]["code"] == 20404


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"AC1": {"auth_token": "x"}}, "sid"),
        ({SID: {}}, "auth_token"),
        ({SID: {"auth_token": ""}}, "auth_token"),
        ({SID: {"auth_token": "hidden", "numbers": ["0501234567"]}}, "numbers.0"),
        ({SID: {"auth_token": "hidden", "colour": "blue"}}, "colour"),
        ({SID: "hidden"}, SID),
    ],
)
async def test_a_wrong_declaration_is_named_without_its_secrets(body: dict[str, Any], named: str) -> None:
    async with running_here() as here:
        status, answer = await here.post("/simulator/accounts", body)
        assert status == 400
        assert named in answer["error"]
        assert "hidden" not in json.dumps(answer)
        assert SID not in (await here.get("/simulator/accounts"))[1]


async def test_accounts_declared_by_http_survive_a_restart_with_their_calls(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    declared = {"auth_token": "secret one", "numbers": [FROM], "signing_key": "hidden"}
    async with running_here(file=file) as here:
        status, answer = await here.post("/simulator/accounts", {SID: declared})
        assert status == 200
        assert (answer[SID]["signing_key"], answer[SID]["numbers"]) == (True, [FROM])
        assert "hidden" not in json.dumps(answer)
        await here.heard("<Say>kept</Say>", Record="true")
    stored = file.with_name("calls.jsonl.accounts")
    assert stored.stat().st_mode & 0o777 == 0o600
    async with running_here(file=file) as here:
        assert (await here.get("/simulator/accounts"))[1][SID]["numbers"] == [FROM]
        [call] = here.sim.call_log.calls.values()
        assert [entry["text"] for entry in call.heard] == ["kept"]
        assert (await here.get(here.path("Recordings.json")))[1]["recordings"][0]["call_sid"] == call.sid
        assert (await here.post("/simulator/reset", {}))[0] == 200
        assert SID not in (await here.get("/simulator/accounts"))[1]
        assert not stored.exists()


async def test_a_file_of_accounts_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    for text in ("{", "[]", '{"AC1": {}}', '{"a": 1}'):
        file.with_name("calls.jsonl.accounts").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match="accounts"):
            async with running_here(file=file):
                pass


async def test_the_scripts_of_a_number_can_be_set_in_full_by_http() -> None:
    async with running_here() as here:
        courses = [{"scenario": "machine", "greeting_seconds": 3}, "busy", 21216, {"digits": ["9"], "talk_seconds": 5}]
        assert (await here.post("/simulator/numbers", {TO: courses}))[0] == 200
        here.program.documents["/script"] = twiml("<Say>a</Say>")
        assert (await here.end(await here.call())).plan.scenario is Scenario.MACHINE
        assert (await here.end(await here.call())).status == "busy"
        assert (await here.place())[1]["code"] == 21216
        assert (await here.end(await here.call())).plan.digits == ("9",)
