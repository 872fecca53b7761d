"""What a call says is TwiML, whatever the text holds."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.twilio import twiml


def read(document: str) -> ET.Element:
    return ET.fromstring(document.encode())  # noqa: S314 - our own document


def test_a_message_is_said_and_the_call_ends() -> None:
    response = read(twiml.speech("Hello & <goodbye>", "en-US"))
    say, end = response
    assert (response.tag, say.tag, end.tag) == ("Response", "Say", "Hangup")
    assert say.text == "Hello & <goodbye>"
    assert say.attrib == {"language": "en-US"}


def test_hebrew_is_said_by_a_voice_that_speaks_it() -> None:
    say = read(twiml.speech("שלום", "he-IL"))[0]
    assert say.text == "שלום"
    assert say.attrib["language"] == "he-IL"
    assert "he-IL" in say.attrib["voice"]


def test_a_hang_up_is_nothing_else() -> None:
    assert [verb.tag for verb in read(twiml.hang_up())] == ["Hangup"]


@pytest.mark.parametrize("text", ["", "  ", "\x00\x01", "x" * 4_097])
def test_a_text_nobody_can_say_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="text"):
        twiml.speech(text, "en-US")


@pytest.mark.parametrize("language", ["", "EN", "en_US", 'en" voice="x', "e" * 1_000])
def test_a_language_that_is_none_is_refused(language: str) -> None:
    with pytest.raises(ValueError, match="language"):
        twiml.speech("hello", language)


@given(st.text(alphabet=st.characters(codec=None), min_size=1, max_size=200))
def test_every_text_makes_a_document_or_a_clear_refusal(text: str) -> None:
    try:
        document = twiml.speech(text, "en-US")
    except ValueError as error:
        assert "text" in str(error)  # noqa: PT017 - most texts are no error at all
    else:
        assert [verb.tag for verb in read(document)] == ["Say", "Hangup"]
