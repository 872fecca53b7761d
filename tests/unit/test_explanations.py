"""Every code and reason that can be stored is a sentence of its own in both languages, and says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

import sql
from dialer.model import AttemptReason, PauseKind
from telephony import endings, refusals
from web.operations.explanations import attempt_reasons, call_explanation, pause_explanation, remedies
from web.operations.explanations.call_explanation import explain_call
from web.operations.explanations.pause_explanation import explain_pause
from web.server.error_responses import said
from web.server.errors import Text

CODES = sorted(call_explanation.MEANINGS)
UNKNOWN = 29999


def in_both(text: Text | None) -> tuple[str, str]:
    """What an English and what a Hebrew reader is told."""
    assert text is not None
    english, hebrew = (said(make_mocked_request("GET", "/", {"Accept-Language": language}), text) for language in ("en", "he"))
    assert english != hebrew
    assert any("א" <= letter <= "ת" for letter in hebrew)
    return english, hebrew


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_its_meaning_and_its_remedy(code: int) -> None:
    english, hebrew = in_both(explain_call(code, "as Twilio says it"))
    assert english == f"{call_explanation.MEANINGS[code]} {remedies.REMEDIES[code]} Twilio error {code}."
    assert (str(code) in hebrew, "as Twilio says it" in hebrew) == (True, False)


@pytest.mark.parametrize("code", endings.SIP)
def test_every_sip_response_has_its_meaning_and_its_remedy(code: int) -> None:
    english, hebrew = in_both(explain_call(None, f"SIP {code}"))
    assert english == f"{endings.SIP[code]} {remedies.SIP_REMEDIES[code]} SIP {code}."
    assert f"SIP {code}" in hebrew


@pytest.mark.parametrize("reason", AttemptReason)
def test_every_reason_of_our_own_has_its_meaning_and_its_remedy(reason: AttemptReason) -> None:
    english, hebrew = in_both(explain_call(None, str(reason)))
    assert english == " ".join(attempt_reasons.EXPLANATIONS[reason])
    assert reason not in hebrew


def test_no_remedy_is_for_a_code_without_a_meaning() -> None:
    assert set(remedies.REMEDIES) == set(call_explanation.MEANINGS)
    assert set(remedies.SIP_REMEDIES) == set(endings.SIP)
    assert not set(endings.CODES) & {rule.code for rule in refusals.CODES}


@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [
        (UNKNOWN, "It is so.", ("It says: It is so.", "Look up the code", "29999")),
        (UNKNOWN, None, ("for a reason that we do not know", "29999")),
        (UNKNOWN, "SIP 486", ("The line was busy.", "SIP 486", "29999")),
        (None, "SIP 499", ("could not connect the call", "Call the lead again", "SIP 499")),
        (None, "HTTP 503", ("HTTP 503", "There is nothing to do")),
        (None, "HTTP 429, code 20429", ("too many requests", "calls per second", "20429")),
        (None, "ClientConnectorError (Connection refused)", ("could not be reached", "Connection refused", "tell the people")),
        (None, "resolved as over by dana@example.com", ("dana@example.com said", "over")),
        (None, "resolved as not_placed by dana@example.com", ("dana@example.com said", "never placed")),
        (None, "Account is {suspended}.", ("did not succeed: Account is {suspended}.",)),
    ],
)
def test_what_is_in_no_table_is_told_all_the_same(code: int | None, reason: str | None, told: tuple[str, ...]) -> None:
    english, _ = in_both(explain_call(code, reason))
    assert [part for part in told if part not in english] == []


def test_nothing_stored_is_nothing_told() -> None:
    assert explain_call(None, None) is None
    assert explain_pause(None, None) is None


CAUSES: list[dict[str, Any]] = [
    {"kind": PauseKind.ACCOUNT_REFUSED, "code": 21210},
    {"kind": PauseKind.ACCOUNT_REFUSED, "code": UNKNOWN, "message": "It is so"},
    {"kind": PauseKind.LEADS_REFUSED, "code": 21211, "message": "no", "count": 10},
    {"kind": PauseKind.FOREIGN_ANSWERS, "reason": "HTTP 407", "count": 10, "foreign": 5},
    {"kind": PauseKind.NO_ANSWERS, "reason": "deadline", "count": 20},
    {"kind": PauseKind.BUDGET, "calls": 2},
    {"kind": PauseKind.LOST_START},
    {"kind": "of a later version", "more": 1},
]


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: str(cause["kind"]))
def test_every_pause_has_its_meaning_and_its_remedy(cause: dict[str, Any]) -> None:
    english, hebrew = in_both(explain_pause("As it is stored.", cause))
    assert "resume" in english.lower()
    values = {name: value for name, value in cause.items() if name in {"code", "count", "calls", "reason"}}
    assert {name: value for name, value in values.items() if str(value) not in english or str(value) not in hebrew} == {}
    assert {cause["kind"] for cause in CAUSES} > set(PauseKind) == set(pause_explanation.SENTENCES)


def test_a_pause_without_a_cause_is_told_as_it_is_stored() -> None:
    """By another program, or before there were causes."""
    stored = explain_pause("The {old} application wrote this.", None)
    assert stored == Text("The {old} application wrote this.")


def test_the_reasons_and_kinds_that_sql_writes_are_those() -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in Path(sql.__file__).parent.rglob("*.sql"))
    for word in (AttemptReason.ANOTHER_CALL, AttemptReason.FORGOTTEN):
        assert f"'{word}'" in written
    for kind in (PauseKind.ACCOUNT_REFUSED, PauseKind.BUDGET):
        assert f"'kind', '{kind}'" in written
    assert f'{{"kind": "{PauseKind.LOST_START}"}}' in written
    assert "'resolved as ' || p_resolution || ' by ' || p_requested_by" in written
