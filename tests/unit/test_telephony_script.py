"""What a call says is TwiML: the right verbs, nested as Twilio allows, whatever the texts hold."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml import voice_response as library

from dialer.scripts.script import MAX_TEXT_CHARACTERS, Script
from dialer.scripts.texts import filled, lead_values
from sql.scripts.scripts import CallScript
from telephony.twilio import twiml
from telephony.twilio.twiml import Addresses, Speech
from web.twilio.conversation import opening

ADDRESSES = Addresses(pressed="https://dialer.example.com/twiml/1-2-a/pressed", dialled="https://dialer.example.com/twiml/1-2-a/dialled")
CALLER_ID = "+97231234567"
ANY_TEXT = st.text(alphabet=st.characters(codec=None), max_size=200)
MARKS = ["<Dial>+1900</Dial>", "</Say><Dial/>", "]]><x/>", '"/><Sip>a@b</Sip>', "{say}", "&#0;", "<break time='9s'/>"]
EVIL = ANY_TEXT | st.sampled_from(MARKS)

# A script of each kind, and the verbs that a person's call has, with what is nested in each.
SCRIPTS: list[tuple[dict[str, Any], list[tuple[str, list[str]]]]] = [
    ({"say": "Hello {name}", "language": "en-US"}, [("Say", []), ("Hangup", [])]),
    ({"say": "{city}: {name}", "language": "en-US", "keypress": {"9": "do_not_call"}}, [("Gather", ["Say"]), ("Hangup", [])]),
    ({"play": "https://example.com/a.mp3"}, [("Play", []), ("Hangup", [])]),
    ({"play": "https://example.com/a.mp3", "keypress": {"9": "do_not_call"}}, [("Gather", ["Play"]), ("Hangup", [])]),
    ({"dial": "+97239999999"}, [("Dial", ["Number"])]),
    ({"dial": "sip:agent@example.com;transport=tls"}, [("Dial", ["Sip"])]),
    ({"stream": "wss://example.com/voice", "parameters": {"lead": "{name} {city}"}}, [("Connect", ["Stream"]), ("Hangup", [])]),
    ({"twiml": "https://example.com/twiml?a=1&b=2"}, [("Redirect", [])]),
]


def read(document: str) -> ET.Element:
    return ET.fromstring(document.encode())  # noqa: S314 - our own document


def conversation(script: dict[str, Any], **values: str) -> ET.Element:
    return read(twiml.conversation(Script.model_validate(script), values, ADDRESSES, CALLER_ID))


def writable(text: str) -> str:
    """The characters of a text that XML can hold."""
    return "".join(
        letter for letter in text if letter in "\t\n\r" or (letter >= " " and letter not in "\ufffe\uffff" and not is_half(letter))
    )


def is_half(letter: str) -> bool:
    return "\ud800" <= letter <= "\udfff"


def as_heard(text: str) -> str:
    """A text as the verb Say has it: in a text of XML each end of a line becomes a line feed."""
    return writable(text).strip()[:MAX_TEXT_CHARACTERS].replace("\r\n", "\n").replace("\r", "\n")


def said(response: ET.Element, voice: str) -> list[str]:
    """The texts of a call that only speaks Hebrew, with this voice, and ends."""
    *says, _ = response
    assert verbs(response) == [*[("Say", [])] * len(says), ("Hangup", [])]
    assert [say.attrib for say in says] == [{"language": "he-IL", "voice": voice}] * len(says)
    return [say.text or "" for say in says]


def verbs(response: ET.Element) -> list[tuple[str, list[str]]]:
    return [(verb.tag, [nested.tag for nested in verb]) for verb in response]


@pytest.mark.parametrize(("script", "expected"), SCRIPTS)
def test_each_kind_of_script_has_its_verbs(script: dict[str, Any], expected: list[tuple[str, list[str]]]) -> None:
    response = conversation(script, name="Dana")
    assert verbs(response) == expected
    for verb in response.iter():
        for nested in verb:
            parent = library.VoiceResponse if verb.tag == "Response" else getattr(library, verb.tag)
            assert hasattr(parent, nested.tag.lower()), f"Twilio allows no {nested.tag} in {verb.tag}"


def test_a_message_is_said_and_the_call_ends() -> None:
    say, _ = conversation({"say": "Hello {Name} & <{city}>{{}}", "language": "en-US"}, name="Dana", city="Haifa")
    assert say.text == "Hello Dana & <Haifa>{}"
    assert say.attrib == {"language": "en-US"}


def test_hebrew_is_said_by_a_voice_that_speaks_it() -> None:
    say = conversation({"say": "שלום {name}", "language": "he-IL"}, name="דנה")[0]
    assert say.text == "שלום דנה"
    assert (say.attrib["language"], "he-IL" in say.attrib["voice"]) == ("he-IL", True)
    own = conversation({"say": "שלום", "language": "he-IL", "voice": "Google.he-IL-Wavenet-B"})[0]
    assert own.attrib["voice"] == "Google.he-IL-Wavenet-B"


def test_a_key_is_asked_for_at_our_address() -> None:
    gather = conversation({"say": "Press 9", "language": "en-US", "keypress": {"9": "do_not_call"}})[0]
    assert gather.attrib == {"action": ADDRESSES.pressed, "method": "POST", "numDigits": "1", "timeout": "5", "finishOnKey": ""}


def test_an_agent_sees_the_caller_id_of_the_call_or_the_script() -> None:
    dial = conversation({"dial": "+97239999999"})[0]
    assert (dial.attrib["callerId"], dial.attrib["action"], dial[0].text) == (CALLER_ID, ADDRESSES.dialled, "+97239999999")
    assert conversation({"dial": "+97239999999", "caller_id": "+97230000000"})[0].attrib["callerId"] == "+97230000000"


def test_a_hang_up_is_nothing_else() -> None:
    assert verbs(read(twiml.hang_up())) == [("Hangup", [])]


def test_a_text_nobody_can_say_is_left_out() -> None:
    for text in ("", "  ", "\x00\x01"):
        assert verbs(read(twiml.speech(Speech(text, "en-US")))) == [("Hangup", [])]
    [say, _] = read(twiml.speech(Speech("x" * 5_000, "en-US")))
    assert len(say.text or "") == 4_096


@given(EVIL, EVIL)
def test_no_variable_of_a_lead_adds_a_verb_an_attribute_or_a_mark(name: str, city: str) -> None:
    values = {"name": name, "city": city}
    for script, expected in SCRIPTS:
        response = conversation(script, **values)
        assert verbs(response) == expected
        for verb, same in zip(response.iter(), conversation(script, name="Dana", city="Haifa").iter(), strict=True):
            assert (verb.tag, verb.attrib.keys()) == (same.tag, same.attrib.keys())
            if verb.tag == "Parameter":
                assert verb.attrib == {"name": "lead", "value": writable(filled(script["parameters"]["lead"], values))[: 500 - len("lead")]}
                continue
            assert verb.attrib == same.attrib
            assert verb.text == (as_heard(filled(script["say"], values)) if verb.tag == "Say" else same.text)


@given(st.lists(EVIL, max_size=3))
def test_no_text_that_is_said_adds_a_verb_an_attribute_or_a_mark(texts: list[str]) -> None:
    voice = "Google.he-IL-Wavenet-B"
    response = read(twiml.speech(*(Speech(text, "he-IL", voice) for text in texts)))
    assert said(response, voice) == [heard for heard in map(as_heard, texts) if heard]


@given(EVIL, EVIL, st.sampled_from(["{name}", "{note}{note}", "Hello {name}: {note}"]))
def test_no_variable_of_a_lead_adds_anything_to_the_message_for_a_machine(name: str, note: str, message: str) -> None:
    call = CallScript(1, "+97250000001", CALLER_ID, name, {"note": note}, "IL", None, "leave_message", message, "DetectMessageEnd")
    response = read(opening(call, "machine_end_beep", "https://dialer.example.com/twiml/1-2-a"))
    heard = as_heard(filled(message, lead_values(name, {"note": note})))
    assert said(response, twiml.VOICES["he-IL"]) == ([heard] if heard else [])


def test_what_a_voice_agent_is_told_is_not_longer_than_twilio_takes() -> None:
    script = {"stream": "wss://example.com", "parameters": {"abc": "{x}{x}"}}
    [parameter] = conversation(script, x="y" * 400)[0][0]
    assert len(parameter.attrib["name"] + parameter.attrib["value"]) == 500
