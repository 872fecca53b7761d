"""A script is checked when it is given, and its placeholders are filled from the lead."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dialer.policy.field_errors import SENTENCES
from dialer.scripts.script import Script
from dialer.scripts.texts import BadTextError, filled, key_of, lead_values, variables_in
from web.server.inputs import WRONG

SAY = {"say": "Hello", "language": "en-US"}

WRONG_SCRIPTS: list[tuple[dict[str, Any], str]] = [
    ({}, "script_kind"),
    ({"say": "a", "play": "https://example.com/a.mp3", "language": "en-US"}, "script_kind"),
    ({"language": "en-US"}, "script_kind"),
    ({"say": "a"}, "script_language"),
    ({"say": " ", "language": "en-US"}, "blank_text"),
    ({"say": "x" * 4_097, "language": "en-US"}, "string_too_long"),
    ({"say": "half a {name", "language": "en-US"}, "lone_brace"),
    ({"say": "nothing in {}", "language": "en-US"}, "lone_brace"),
    ({"say": "{ }", "language": "en-US"}, "lone_brace"),
    ({**SAY, "language": "english"}, "language"),
    ({"say": "a\x07b", "language": "en-US"}, "control_character"),
    ({"say": "\u200f\u200b", "language": "en-US"}, "blank_text"),
    ({**SAY, "language": 'en" voice="x'}, "language"),
    ({**SAY, "voice": "a b"}, "voice"),
    ({**SAY, "keypress": {"99": "do_not_call"}}, "key"),
    ({**SAY, "keypress": {"9": "call_me"}}, "literal_error"),
    ({**SAY, "keypress": {}}, "too_short"),
    ({**SAY, "parameters": {"a": "b"}}, "script_field"),
    ({**SAY, "speed": 3}, "extra_forbidden"),
    ({"play": "http://example.com/a.mp3"}, "https_address"),
    ({"play": "https://user:secret@example.com/a.mp3"}, "https_address"),
    ({"play": "https://"}, "https_address"),
    ({"play": "https://example.com:99999/"}, "https_address"),
    ({"play": "https://example.com/{name}.mp3\n"}, "https_address"),
    ({"dial": "0501234567"}, "agent"),
    ({"dial": "sip:agent@example.com?X-Header=1"}, "agent"),
    ({"dial": "sip:a@b@c"}, "agent"),
    ({"dial": "sip:{name}@example.com"}, "agent"),
    ({"dial": "+97239999999", "caller_id": "100"}, "e164"),
    ({"dial": "+97239999999", "keypress": {"9": "do_not_call"}}, "script_field"),
    ({"stream": "ws://example.com"}, "wss_address"),
    ({"stream": "wss://example.com/?a=1"}, "wss_address"),
    ({"stream": "wss://example.com", "parameters": {"a b": "c"}}, "parameter_name"),
    ({"stream": "wss://example.com", "parameters": {"a": "x" * 401}}, "string_too_long"),
    ({"stream": "wss://example.com", "parameters": {"a": "{"}}, "lone_brace"),
    ({"twiml": "https://example.com/a b"}, "https_address"),
    ({"twiml": "https://example.com", "language": "en-US"}, "script_field"),
]


@pytest.mark.parametrize(("script", "kind"), WRONG_SCRIPTS)
def test_a_wrong_script_is_refused_by_name(script: dict[str, Any], kind: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Script.model_validate(script, strict=True)
    assert kind in [error["type"] for error in caught.value.errors()]
    assert kind in WRONG


def test_the_sentences_are_the_same_in_both_places() -> None:
    assert {kind: WRONG[kind] for kind in SENTENCES} == SENTENCES


def test_a_script_is_kept_as_it_was_given() -> None:
    script = {"stream": "wss://example.com/a", "parameters": {"who": "{name}, {First Name}", "empty": ""}}
    parsed = Script.model_validate(script, strict=True)
    assert parsed.given() == script
    assert parsed.variables == {"name", "first_name"}


def test_placeholders_are_filled_by_their_keys() -> None:
    values = lead_values("Dana", {"First Name": " Dana ", "sum-due": 12.5, "vip": True, "none": None, "list": [1], "blank": " "})
    assert values == {"name": "Dana", "first_name": "Dana", "sum_due": "12.5"}
    assert filled("{ first name }: {SUM-DUE} {{x}} {unknown}.", values) == "Dana: 12.5 {x} ."
    assert filled("{city}", {"city": "{name}", "name": "x"}) == "{name}", "a value is no template"
    assert lead_values("Dana", {"name": "Mrs Levi"})["name"] == "Mrs Levi", "the list's own word for it"
    assert lead_values(" ", None) == {}
    assert lead_values(None, {"a": 1e21, "b": -0.0, "c": 100000.0, "d": 7, "e": "\u200f"}) == {
        "a": "1" + "0" * 21,
        "b": "0",
        "c": "100000",
        "d": "7",
    }
    assert {key_of(name) for name in ("first - name", "First_Name", "\u200ffirst name", "first___name")} == {"first_name"}


@pytest.mark.parametrize(("given", "kept"), [("he", "he-IL"), ("iw-il", "he-IL"), ("en-us", "en-US"), ("AR", "ar"), ("es-419", "es-419")])
def test_a_language_is_spelt_as_twilio_does(given: str, kept: str) -> None:
    assert Script.model_validate({"say": "x", "language": given}).language == kept


@given(st.text(max_size=60))
def test_every_text_is_a_template_or_has_a_lone_brace(text: str) -> None:
    try:
        names = variables_in(text)
    except BadTextError:
        return
    assert all(key_of(name) == name for name in names)
    assert filled(text, {}).count("{") <= text.count("{{")
    assert variables_in(text.replace("{", "{{").replace("}", "}}")) == frozenset()
