"""Writes the TwiML of a call."""

from __future__ import annotations

import re
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

# Twilio reads at most this much text in one <Say>.
MAX_TEXT_CHARACTERS: Final = 4_096
LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}")
# Twilio's default voice has no Hebrew; Google's voices have to be named. Not yet tested on a real account.
VOICES: Final = {"he-IL": "Google.he-IL-Standard-A"}
# Characters that XML 1.0 cannot hold, even escaped.
NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def speech(text: str, language: str) -> str:
    """TwiML that says `text` in `language` (BCP 47, as `he-IL`), then hangs up.

    Raises:
        ValueError: when the text is empty or longer than 4,096 characters, or `language` is malformed.
    """
    spoken = NOT_XML.sub("", text).strip()
    if not 0 < len(spoken) <= MAX_TEXT_CHARACTERS:
        message = f"text: needs 1 to {MAX_TEXT_CHARACTERS} characters"
        raise ValueError(message)
    if not LANGUAGE.fullmatch(language):
        message = "language: needs a name such as en-US or he-IL"
        raise ValueError(message)
    response = Element("Response")
    say = SubElement(response, "Say", _voice(language))
    say.text = spoken
    SubElement(response, "Hangup")
    return _document(response)


def hang_up() -> str:
    """TwiML that ends the call at once: for a call that is not wanted."""
    response = Element("Response")
    SubElement(response, "Hangup")
    return _document(response)


def _voice(language: str) -> dict[str, str]:
    voice = VOICES.get(language)
    return {"language": language, "voice": voice} if voice else {"language": language}


def _document(response: Element) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>' + tostring(response, encoding="unicode")
