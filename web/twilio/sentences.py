"""The sentences that are spoken by ourselves, in Hebrew where the call is in Hebrew, else in English."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from telephony.twilio.twiml import Speech

if TYPE_CHECKING:
    from sql.scripts.scripts import CallScript

HEBREW, ENGLISH = "he-IL", "en-US"
# Of a script without a language: that of the business's country.
LANGUAGES: Final = {"IL": HEBREW}


class Sentence(Enum):
    """In English and in Hebrew."""

    GREETING = "Hello. This is an automated call. Thank you, and goodbye.", "שלום. זוהי שיחה אוטומטית. תודה ולהתראות."
    REMOVED = (
        "Your number has been removed from our list. We will not call you again. Goodbye.",
        "המספר שלך הוסר מהרשימה שלנו, ולא נתקשר אליו שוב. להתראות.",
    )
    INBOUND = (
        "You have been called from this number by a machine. It takes no calls. Goodbye.",
        "קיבלת שיחה אוטומטית מהמספר הזה. אי אפשר לחזור אליו. להתראות.",
    )
    NO_AGENT = "Nobody is available right now. Thank you, and goodbye.", "אין כרגע נציג פנוי. תודה ולהתראות."


def language_of(call: CallScript) -> str:
    """The language of a call (BCP 47): that of its script, else that of the business's country."""
    language: str | None = (call.script or {}).get("language")
    return language or language_in(call.region)


def language_in(region: str) -> str:
    """The language of calls in a country."""
    return LANGUAGES.get(region, ENGLISH)


def spoken(sentence: Sentence, language: str) -> Speech:
    """The sentence as it is said in a call in this language."""
    english, hebrew = sentence.value
    return Speech(hebrew, HEBREW) if language.startswith("he") else Speech(english, ENGLISH)
