"""Writes the TwiML of a call, with the classes of Twilio's library: they escape every text and attribute."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from twilio.twiml.voice_response import Connect, Dial, Gather, Stream, VoiceResponse

from dialer.scripts.script import MAX_TEXT_CHARACTERS
from dialer.scripts.texts import filled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dialer.scripts.script import Script

# Twilio's default voice has no Hebrew; Google's voices have to be named. Not yet tested on a real account.
VOICES: Final = {"he-IL": "Google.he-IL-Standard-A"}
# Characters that XML 1.0 cannot hold, even escaped.
NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Of the name and the value of a <Parameter>.
MAX_PARAMETER_CHARACTERS: Final = 500
# How long a key may be pressed after the end of the message.
KEY_SECONDS: Final = 5
# How long an agent's phone rings.
AGENT_RING_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Speech:
    """A text in `language` (BCP 47, as `he-IL`), by `voice`; None: our voice for the language, else Twilio's."""

    text: str
    language: str
    voice: str | None = None


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where Twilio asks what comes next: after a key was pressed, and after the call to an agent."""

    pressed: str
    dialled: str


def speech(*spoken: Speech) -> str:
    """TwiML that says these texts one after the other, then hangs up."""
    response = VoiceResponse()
    for each in spoken:
        _say(response, each)
    return _ended(response)


def hang_up() -> str:
    """TwiML that ends the call at once: for a call that is not wanted."""
    return _ended(VoiceResponse())


def conversation(script: Script, values: Mapping[str, str], addresses: Addresses, caller_id: str) -> str:
    """TwiML of a script; `values` are the texts of the lead for its placeholders, `caller_id` is shown to an agent, in E.164."""
    response = VoiceResponse()
    if script.dial is not None:
        _dial(response, script, script.dial, addresses, caller_id)
        return str(response)
    if script.twiml is not None:
        response.redirect(script.twiml, method="POST")
        return str(response)
    if script.stream is not None:
        _stream(response, script.stream, {name: filled(text, values) for name, text in (script.parameters or {}).items()})
    else:
        _message(_until_key(response, addresses) if script.keypress else response, script, values)
    return _ended(response)


def _message(parent: Any, script: Script, values: Mapping[str, str]) -> None:  # noqa: ANN401 - the library has no types
    if script.play is not None:
        parent.play(script.play)
    else:
        _say(parent, Speech(filled(script.say or "", values), script.language or "", script.voice))


def _until_key(response: Any, addresses: Addresses) -> Any:  # noqa: ANN401 - the library has no types
    # By default `#` would end the input, and count as no key.
    gather = Gather(action=addresses.pressed, method="POST", num_digits=1, timeout=KEY_SECONDS, finish_on_key="")
    response.append(gather)
    return gather


def _dial(response: Any, script: Script, agent: str, addresses: Addresses, caller_id: str) -> None:  # noqa: ANN401 - the library has no types
    dial = Dial(
        action=addresses.dialled, method="POST", answer_on_bridge=True, caller_id=script.caller_id or caller_id, timeout=AGENT_RING_SECONDS
    )
    if agent.startswith("+"):
        dial.number(agent)
    else:
        dial.sip(agent)
    response.append(dial)


def _stream(response: Any, address: str, parameters: Mapping[str, str]) -> None:  # noqa: ANN401 - the library has no types
    stream = Stream(url=address)
    for name, text in parameters.items():
        stream.parameter(name=name, value=NOT_XML.sub("", text)[: MAX_PARAMETER_CHARACTERS - len(name)])
    connect = Connect()
    connect.append(stream)
    response.append(connect)


def _say(parent: Any, spoken: Speech) -> None:  # noqa: ANN401 - the library has no types
    text = NOT_XML.sub("", spoken.text).strip()[:MAX_TEXT_CHARACTERS]
    if text:
        parent.say(text, language=spoken.language, voice=spoken.voice or VOICES.get(spoken.language))


def _ended(response: Any) -> str:  # noqa: ANN401 - the library has no types
    response.hangup()
    return str(response)
