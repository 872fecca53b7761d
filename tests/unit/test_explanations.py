"""Every code and reason that can be stored is a sentence of its own in both languages, and says what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

import sql
from dialer.model import AttemptReason, PauseKind
from telephony import endings, refusals
from web.operations.explanations import attempt_reasons, call_explanation, pause_explanation, remedies
from web.operations.explanations.call_explanation import explain_attempt, explain_call
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
    again = " Then call the lead again." if code in remedies.REPAIRED else ""
    assert english == f"{call_explanation.MEANINGS[code]} {remedies.REMEDIES[code]}{again} Twilio error {code}."
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
        (UNKNOWN, None, ("for an unknown reason", "29999")),
        (UNKNOWN, "SIP 486", ("The line was busy.", "SIP 486", "29999")),
        (None, "SIP 499", ("could not connect the call", "Call the lead again", "SIP 499")),
        (None, "HTTP 503", ("HTTP 503", "There is nothing to do")),
        (None, "HTTP 429, code 20429", ("too many requests", "calls per second", "20429")),
        (None, "ClientConnectorError (Connection refused)", ("could not be reached", "Connection refused", "tell the people")),
        (None, "resolved as over by dana@example.com", ("dana@example.com said", "over", "nothing to do")),
        (None, "resolved as over by token:5", ("API token 5 said",)),
        (None, "resolved as not_placed by dana@example.com", ("dana@example.com said", "never placed", "is called again")),
        (None, "Account is {suspended}.", ("did not succeed: Account is {suspended}.",)),
    ],
)
def test_what_is_in_no_table_is_told_all_the_same(code: int | None, reason: str | None, told: tuple[str, ...]) -> None:
    english, _ = in_both(explain_call(code, reason))
    assert [part for part in told if part not in english] == []


def attempt(**fields: object) -> dict[str, Any]:
    """A stored attempt, as far as it is explained."""
    return {**dict.fromkeys(("state", "sid", "error_code", "reason", "outcome", "withdrawn_at")), **fields}


def test_a_call_that_was_taken_back_from_the_queue_says_so() -> None:
    english, _ = in_both(explain_attempt(attempt(state="over", sid="CA1", outcome="canceled", withdrawn_at=datetime.now(UTC))))
    assert "waited too long in Twilio's queue" in english
    assert explain_attempt(attempt(state="over", sid="CA1", outcome="canceled")) is None


REPAIRED = {*(10005, 11100, 11200, 11237, 11750, 12100, 12300, 13214, 13805, 22005, 31901, 31924, 32009, 32011, 64102, 64104, 64106)}


def test_what_is_mended_ends_with_another_call_unless_the_lead_waits_anyway() -> None:
    assert remedies.REPAIRED > REPAIRED
    assert not remedies.REPAIRED & {*(12400, 32016, 32224, 64109, 64114), *(rule.code for rule in refusals.CODES)}
    paused, _ = in_both(explain_pause("As it is stored.", {"kind": PauseKind.ACCOUNT_REFUSED, "code": 10005}))
    assert ("Then resume the campaign." in paused, "Then call the lead again." in paused) == (True, False)


UNREAD = "ClientConnectorError (Connection reset)"


@pytest.mark.parametrize(
    ("state", "sid", "reason", "told", "past"),
    [
        ("unknown", None, UNREAD, "we find out from the provider", "confirmed later"),
        ("not_sent", None, UNREAD, "the lead went back to the queue", "we find out"),
        ("live", "CA1", UNREAD, "first answer could not be read; the call was confirmed later", "could not be reached"),
        ("over", "CA1", "HTTP 201", "first answer could not be read; the call was confirmed later", "answered with an error"),
        ("over", "CA1", AttemptReason.DEADLINE, "did not answer in time. The call was confirmed later.", "we find out"),
        ("over", "CA1", AttemptReason.ANOTHER_CALL, "The call was confirmed later.", "Tell the people"),
        ("live", "CA1", AttemptReason.FORGOTTEN, "There is nothing to do.", "whether there was a call"),
        ("over", "CA1", AttemptReason.NOT_KNOWN, "Look for the call", "confirmed later"),
        ("over", "CA1", "SIP 486", "The line was busy.", "confirmed later"),
        ("not_placed", None, AttemptReason.NOT_LISTED, "never placed, and the lead went back to the queue", "its turn"),
    ],
)
def test_what_was_not_known_of_a_call_is_told_as_it_turned_out(state: str, sid: str | None, reason: str, told: str, past: str) -> None:
    english, _ = in_both(explain_attempt(attempt(state=state, sid=sid, reason=reason)))
    assert (told in english, past in english) == (True, False)


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
    {"kind": PauseKind.BUDGET_AMOUNT, "amount": "12.50", "currency": "USD", "left": "3.5", "price": "4"},
    {"kind": PauseKind.LOST_START},
    {"kind": PauseKind.ADOPTED},
    {"kind": "of a later version", "more": 1},
]


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: str(cause["kind"]))
def test_every_pause_has_its_meaning_and_its_remedy(cause: dict[str, Any]) -> None:
    english, hebrew = in_both(explain_pause("As it is stored.", cause))
    assert "resume" in english.lower()
    values = {name: value for name, value in cause.items() if name in {"code", "count", "calls", "left", "price", "currency", "reason"}}
    assert {name: value for name, value in values.items() if str(value) not in english or str(value) not in hebrew} == {}
    assert {cause["kind"] for cause in CAUSES} > set(PauseKind) == set(pause_explanation.SENTENCES)


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ({"kind": PauseKind.ACCOUNT_REFUSED, "code": 13227}, "Twilio refuses calls to this country from this account"),
        ({"kind": PauseKind.ACCOUNT_REFUSED, "code": 573005}, "Twilio refuses calls to this number from this account"),
        ({"kind": PauseKind.ACCOUNT_REFUSED, "code": 20003}, "Twilio refuses the calls of this business"),
        ({"kind": PauseKind.BUDGET, "calls": 1}, "The budget of one call is used up"),
        ({"kind": PauseKind.LEADS_REFUSED, "code": 21211, "count": 10}, "was refused because: The number is not valid. Ask the person"),
        ({**CAUSES[6], "left": "-7.5", "price": "5"}, "(0.00 USD) does not cover another call: up to 5.00 USD"),
        ({**CAUSES[6], "left": "-7.5", "price": "5"}, "by at least 12.50 USD"),
    ],
)
def test_a_pause_says_whom_it_is_about(cause: dict[str, Any], told: str) -> None:
    assert told in in_both(explain_pause("As it is stored.", cause))[0]


def test_other_leads_are_not_told_what_to_do_about_the_refused_one() -> None:
    english, _ = in_both(explain_pause("As it is stored.", CAUSES[2], to_other_leads=True))
    assert "was refused because: The number is not valid. Check the numbers of the list" in english


def test_a_pause_without_a_cause_is_told_as_it_is_stored() -> None:
    """By another program, or before there were causes."""
    stored = explain_pause("The {old} application wrote this.", None)
    assert stored == Text("The {old} application wrote this.")


def test_the_reasons_and_kinds_that_sql_writes_are_those() -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in Path(sql.__file__).parent.rglob("*.sql"))
    for word in (AttemptReason.ANOTHER_CALL, AttemptReason.FORGOTTEN, AttemptReason.OLD_CALL):
        assert f"'{word}'" in written
    for kind in (PauseKind.ACCOUNT_REFUSED, PauseKind.BUDGET):
        assert f"'kind', '{kind}'" in written
    for kind in (PauseKind.LOST_START, PauseKind.ADOPTED):
        assert f'{{"kind": "{kind}"}}' in written
    assert "'resolved as ' || p_resolution || ' by ' || p_requested_by" in written
