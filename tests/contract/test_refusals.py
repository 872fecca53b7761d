"""One table of refusals: the module that decides, the page that explains, and the simulator that produces each of them, hold together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from pydantic import SecretStr

from dialer.clock import SystemClock
from telephony import endings, refusals, simulator
from telephony.provider import Account, CallRequest, RefusedCall, UnansweredCall, UnsentCall
from telephony.refusals import Action
from telephony.simulator import Faults
from telephony.simulator.http.rest_errors import STATUSES
from telephony.twilio.client import TwilioProvider
from web.operations.explanations.attempt_reasons import EXPLANATIONS
from web.operations.explanations.pause_explanation import SENTENCES
from web.operations.explanations.remedies import CALL_AGAIN, REMEDIES, REPAIRED, SIP_REMEDIES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from telephony.provider import PlaceResult

PAGE: Final = Path(__file__).parents[2] / "docs" / "refusals.md"
ACCOUNT: Final = Account(simulator.TEST_ACCOUNT, SecretStr(simulator.TEST_TOKEN))
REQUEST: Final = CallRequest("+97250000001", "+97237000000", "http://127.0.0.1:9/t", "http://127.0.0.1:9/c", 30, 600)


@pytest.fixture
async def sim() -> AsyncIterator[simulator.Simulator]:
    async with simulator.running(speed=100) as there:
        yield there


@pytest.fixture
async def twilio(sim: simulator.Simulator) -> AsyncIterator[TwilioProvider]:
    there = TwilioProvider(sim.url, SystemClock())
    yield there
    await there.close()


async def place(twilio: TwilioProvider) -> PlaceResult:
    return await twilio.place(ACCOUNT, REQUEST, deadline=SystemClock().boot() + 10)


def meaning(result: PlaceResult) -> Action | None:
    match result:
        case RefusedCall():
            return result.action
        case UnsentCall(throttled=True):
            return Action.WAIT
        case UnansweredCall():
            return Action.UNKNOWN
        case _:
            return None


@pytest.mark.parametrize("rule", refusals.CODES, ids=lambda rule: str(rule.code))
async def test_each_code_is_taken_for_what_the_table_says(sim: simulator.Simulator, twilio: TwilioProvider, rule: refusals.Rule) -> None:
    assert rule.code is not None
    sim.set_faults(Faults(refuse_before=1, refuse_code=rule.code, refuse_status=STATUSES.get(rule.code, 400)))
    result = await place(twilio)
    assert meaning(result) is rule.action
    assert not sim.call_log.calls


@pytest.mark.parametrize(
    ("faults", "rule"),
    [
        ({"refuse_status": 500, "refuse_code": 21211}, refusals.SERVER_ERROR),
        ({"refuse_status": 503, "refuse_body": "html"}, refusals.SERVER_ERROR),
        ({"refuse_status": 403, "refuse_body": "html"}, refusals.FOREIGN),
        ({"refuse_status": 402, "refuse_body": "json"}, refusals.FOREIGN),
        ({"refuse_status": 407, "refuse_body": "empty"}, refusals.FOREIGN),
        ({"refuse_status": 400, "refuse_body": "half", "refuse_code": 21211}, refusals.FOREIGN),
        ({"refuse_status": 200, "refuse_body": "html"}, refusals.FOREIGN),
        ({"refuse_status": 302, "refuse_body": "html"}, refusals.FOREIGN),
        ({"refuse_status": 429, "refuse_body": "html"}, refusals.FOREIGN),
        # A gateway's JSON: it looks like the provider's, and has the HTTP status, nothing or gRPC's number for a code.
        *(({"refuse_status": status, "refuse_code": status}, refusals.FOREIGN) for status in (400, 403, 404, 407, 408, 429)),
        *(({"refuse_status": 401, "refuse_code": code}, refusals.FOREIGN) for code in (0, 16, 9_999)),
        ({"refuse_status": 408, "refuse_code": 21211}, refusals.TIMED_OUT),
        ({"refuse_status": 429, "refuse_code": 21211}, refusals.THROTTLED),
        ({"refuse_status": 400, "refuse_code": 29999}, refusals.ANOTHER_CODE),
        ({"refuse_status": 401, "refuse_code": 70051}, refusals.ANOTHER_CODE),
    ],
)
@pytest.mark.parametrize("when", ["refuse_before", "refuse_after"])
async def test_every_other_answer_is_too(
    sim: simulator.Simulator, twilio: TwilioProvider, faults: dict[str, object], rule: refusals.Rule, when: str
) -> None:
    sim.set_faults(Faults.model_validate({**faults, when: 1}))
    result = await place(twilio)
    assert meaning(result) is rule.action
    if isinstance(result, UnansweredCall):
        assert result.foreign == (rule is refusals.FOREIGN)
    assert len(sim.call_log.calls) == (when == "refuse_after")


def test_the_page_says_what_the_table_says() -> None:
    text = PAGE.read_text(encoding="utf-8")
    codes = [tuple(found) for found in re.findall(r"^\| (\d+) \| `(\w+)` \| (.+) \| (.+) \|$", text, re.MULTILINE)]
    assert codes == [(str(rule.code), str(rule.action), rule.meaning, REMEDIES[rule.code or 0]) for rule in refusals.CODES]
    rest = [tuple(found) for found in re.findall(r"^\| ([^|`]+) \| `(\w+)` \|$", text, re.MULTILINE)]
    assert rest == [(rule.meaning, str(rule.action)) for rule in refusals.REST]
    for count in (refusals.FOREIGN_IN_A_ROW, refusals.LEADS_IN_A_ROW, refusals.UNANSWERED_IN_A_ROW):
        assert f"after {count} " in text or f"or {count} " in text
    for code in refusals.CALLBACK_WAITS:
        assert f"{code} (" in text.split("## After the call was placed")[1]


def test_the_page_says_what_users_are_told() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = [tuple(found) for found in re.findall(r"^\| `?(SIP \d+|\d+|[^|`]+)`? \| ([^|`]+) \| ([^|`]+) \|$", text, re.MULTILINE)]
    again = dict.fromkeys(REPAIRED, f" {CALL_AGAIN}")
    told = [(str(code), meaning, REMEDIES[code] + again.get(code, "")) for code, meaning in endings.CODES.items()]
    told += [(f"SIP {code}", meaning, SIP_REMEDIES[code]) for code, meaning in endings.SIP.items()]
    told += [(str(key), *sentences) for table in (EXPLANATIONS, SENTENCES) for key, sentences in table.items()]
    assert [row for row in rows if not row[1].startswith(("-", "meaning"))] == told


def test_every_code_of_the_table_is_known_for_the_providers() -> None:
    assert min(rule.code for rule in refusals.CODES if rule.code is not None) >= refusals.LOWEST_CODE


def test_no_code_stands_in_the_table_twice() -> None:
    codes = [rule.code for rule in refusals.CODES]
    assert len(codes) == len(set(codes))


def test_only_codes_about_the_number_fail_a_lead() -> None:
    """The codes that have burned whole lists, and every code nobody has listed, do not."""
    for status, code in ((400, 21205), (400, 21609), (400, 10001), (404, 20404), (401, 20003), (403, 20005)):
        assert refusals.judge(status, code).action is Action.ACCOUNT
    for status in (402, 403, 407):
        assert refusals.judge(status, None).action is Action.UNKNOWN
    burning = {rule.code for rule in refusals.CODES if rule.action is Action.LEAD}
    assert {code for code in range(10_000, 60_000) if refusals.judge(400, code).action is Action.LEAD} == burning
