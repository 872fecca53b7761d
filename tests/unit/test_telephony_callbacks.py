"""Which callbacks are authentic, and how their forms are parsed."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, MultiDict
from pydantic import SecretStr

from dialer.model import AttemptState, Outcome
from telephony.simulator.webhooks import sign
from telephony.twilio.callbacks import SIGNATURE, SIGNATURE_SETTINGS, parse, standing, verify

TOKEN: Final = "12345"
PUBLIC_URL: Final = "https://mycompany.com"
PATH: Final = "/myapp.php?foo=1&bar=2"
FORM: Final = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675309",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
}
# The example of Twilio's page on webhook security.
EXAMPLE: Final = "RSOYDt4T1cUTdK1PDd93/VVr8B8="

CALLBACK: Final = {
    "CallSid": "CA" + "0a" * 16,
    "AccountSid": "AC" + "0b" * 16,
    "CallStatus": "completed",
    "CallDuration": "17",
    "SequenceNumber": "3",
    "Timestamp": "Tue, 31 Aug 2010 20:36:28 +0000",
    "AnsweredBy": "human",
    "SipResponseCode": "200",
}


def verified(form: dict[str, str], signature: str, *, path: str = PATH, token: str = TOKEN, url: str = PUBLIC_URL) -> bool:
    return verify(url, path, form, {SIGNATURE: signature}, SecretStr(token))


def test_twilios_own_example_is_accepted() -> None:
    assert verified(FORM, EXAMPLE)


def test_the_simulator_signs_as_twilio_does() -> None:
    assert sign(PUBLIC_URL + PATH, FORM, TOKEN) == EXAMPLE


def test_the_fragment_that_asks_for_retries_is_not_signed() -> None:
    assert verified(FORM, EXAMPLE, path=PATH + "#rc=5&rp=all")


def test_a_trailing_slash_of_the_public_address_does_not_matter() -> None:
    assert verified(FORM, EXAMPLE, url=PUBLIC_URL + "/")


def test_the_port_may_be_signed_or_not() -> None:
    with_port = sign("https://mycompany.com:8443" + PATH, FORM, TOKEN)
    assert verified(FORM, with_port, url="https://mycompany.com:8443")
    assert verified(FORM, EXAMPLE, url="https://mycompany.com:8443")


@pytest.mark.parametrize("name", sorted(FORM))
def test_an_altered_field_is_refused(name: str) -> None:
    assert not verified({**FORM, name: FORM[name] + "0"}, EXAMPLE)


def test_a_field_more_or_less_is_refused() -> None:
    assert not verified({**FORM, "CallStatus": "completed"}, EXAMPLE)
    assert not verified({name: FORM[name] for name in list(FORM)[1:]}, EXAMPLE)


def test_another_address_is_refused() -> None:
    assert not verified(FORM, EXAMPLE, path=PATH + "&more=1")
    assert not verified(FORM, EXAMPLE, url="https://othercompany.com")


@pytest.mark.parametrize("token", ["1234", "123456", "54321"])
def test_a_wrong_token_is_refused(token: str) -> None:
    assert not verified(FORM, EXAMPLE, token=token)


@pytest.mark.parametrize("signature", ["", "x", EXAMPLE[:-1], EXAMPLE + "=", EXAMPLE.swapcase(), "é" * 28, "A" * 1_000_000])
def test_a_wrong_signature_is_refused(signature: str) -> None:
    assert not verified(FORM, signature)


def test_no_signature_is_refused() -> None:
    assert not verify(PUBLIC_URL, PATH, FORM, {}, SecretStr(TOKEN))


def test_a_signature_with_a_shared_key_and_sha256_is_accepted() -> None:
    text = PUBLIC_URL + PATH + "".join(name + FORM[name] for name in sorted(FORM))
    signature = base64.b64encode(hmac.new(TOKEN.encode(), text.encode(), hashlib.sha256).digest()).decode()
    headers = CIMultiDict({SIGNATURE.lower(): signature, SIGNATURE_SETTINGS.lower(): "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"})
    assert verify(PUBLIC_URL, PATH, FORM, headers, SecretStr(TOKEN))
    headers[SIGNATURE_SETTINGS] = "key=webhooks_sharedkey_1,algorithm=HMAC_MD5"
    assert not verify(PUBLIC_URL, PATH, FORM, headers, SecretStr(TOKEN))


def test_a_field_sent_twice_counts_with_both_values() -> None:
    twice = MultiDict([("Event", "b"), ("Event", "a")])
    signature = sign(PUBLIC_URL + "/x", {"Event": "aEventb"}, TOKEN)
    assert verify(PUBLIC_URL, "/x", twice, {SIGNATURE: signature}, SecretStr(TOKEN))


def test_a_form_without_bounds_is_not_even_read() -> None:
    many = {f"Field{number}": "x" for number in range(1_000)}
    long = {"Field": "x" * 1_000_000}
    for form in (many, long):
        assert not verified(form, sign(PUBLIC_URL + PATH, form, TOKEN))


@given(st.text(max_size=50), st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=5), st.text(max_size=60))
def test_nothing_unsigned_passes_and_nothing_breaks_it(path: str, form: dict[str, str], signature: str) -> None:
    assert not verified(form, signature, path="/" + path)


def test_a_callback_is_read_whole() -> None:
    fact = parse(CALLBACK)
    assert (fact.call_sid, fact.account_sid) == (CALLBACK["CallSid"], CALLBACK["AccountSid"])
    assert (fact.status, fact.state, fact.outcome) == ("completed", AttemptState.OVER, Outcome.COMPLETED)
    assert (fact.sequence, fact.duration_seconds, fact.answered_by) == (3, 17, "human")
    assert (fact.sip_code, fact.error_code) == (200, None)


@pytest.mark.parametrize(
    ("status", "state", "outcome"),
    [
        ("queued", AttemptState.PLACED, None),
        ("initiated", AttemptState.PLACED, None),
        ("ringing", AttemptState.RINGING, None),
        ("in-progress", AttemptState.LIVE, None),
        ("completed", AttemptState.OVER, Outcome.COMPLETED),
        ("busy", AttemptState.OVER, Outcome.BUSY),
        ("no-answer", AttemptState.OVER, Outcome.NO_ANSWER),
        ("failed", AttemptState.OVER, Outcome.FAILED),
        ("canceled", AttemptState.OVER, Outcome.CANCELED),
    ],
)
def test_each_status_of_twilio_has_its_state(status: str, state: AttemptState, outcome: Outcome | None) -> None:
    assert standing(status) == (state, outcome)
    fact = parse({**CALLBACK, "CallStatus": status})
    assert (fact.state, fact.outcome) == (state, outcome)


def test_only_who_and_what_are_needed() -> None:
    fact = parse({name: CALLBACK[name] for name in ("CallSid", "AccountSid", "CallStatus")})
    assert (fact.sequence, fact.duration_seconds, fact.answered_by, fact.sip_code) == (None, None, None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CallSid", ""),
        ("CallSid", "CA123"),
        ("CallSid", "CA" + "0a" * 16 + "\n"),
        ("CallSid", "SM" + "0a" * 16),
        ("AccountSid", "CA" + "0a" * 16),
        ("CallStatus", ""),
        ("CallStatus", "refused"),
        ("CallStatus", "exploded"),
    ],
)
def test_a_wrong_field_is_named_and_not_quoted(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name) as caught:
        parse({**CALLBACK, name: value})
    assert not value or value not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SequenceNumber", "-1"),
        ("SequenceNumber", "1" * 5_000),
        ("SequenceNumber", "٣"),
        ("CallDuration", "1e3"),
        ("CallDuration", "99999999"),
        ("SipResponseCode", "1000"),
        ("ErrorCode", "abc"),
        ("Timestamp", "yesterday"),
        ("Timestamp", "x" * 10_000),
    ],
)
def test_a_malformed_side_field_does_not_cost_the_news_that_the_call_is_over(name: str, value: str) -> None:
    fact = parse({**CALLBACK, "CallStatus": "completed", name: value})
    assert (fact.state, fact.outcome) == (AttemptState.OVER, Outcome.COMPLETED)
    assert {"SequenceNumber": fact.sequence, "CallDuration": fact.duration_seconds}.get(name) is None


def test_a_new_word_for_who_answered_costs_nothing() -> None:
    assert parse({**CALLBACK, "AnsweredBy": "parrot"}).answered_by == "unknown"


@given(st.dictionaries(st.sampled_from([*CALLBACK, "ErrorCode"]), st.text(max_size=40)))
def test_anything_at_all_is_read_or_refused_by_name(changes: dict[str, str]) -> None:
    try:
        fact = parse({**CALLBACK, **changes})
    except ValueError as error:
        assert str(error).split(" ", 1)[0] in changes  # noqa: PT017 - most changes are no error at all
    else:
        assert fact.state.rank >= AttemptState.PLACED.rank
