"""Says why a number is not called: a sentence for each reason."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from dialer.phones.refusals import Refusal
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from dialer.phones.refusals import RefusedPhoneError

SENTENCES: Final[dict[Refusal, str]] = {
    Refusal.MISSING_PHONE: msgid("The phone number is missing."),
    Refusal.INVALID_PHONE: msgid("This is not a phone number."),
    Refusal.TOO_SHORT: msgid("The phone number has too few digits."),
    Refusal.TOO_LONG: msgid("The phone number has too many digits."),
    Refusal.EMERGENCY: msgid("Emergency numbers are never called."),
    Refusal.SHORT_NUMBER: msgid("Short numbers are not called."),
    Refusal.PREMIUM: msgid("Premium-rate, shared-cost and personal numbers are not called."),
    Refusal.SATELLITE: msgid("Satellite and international network numbers are not called."),
    Refusal.EXTENSION: msgid("Numbers with an extension cannot be called."),
    Refusal.NOT_DIALABLE: msgid("This is a pager or a voicemail number."),
    Refusal.UNASSIGNED: msgid("This number does not exist in its country."),
    Refusal.NOT_ALONE: msgid("The cell contains more than a phone number."),
    Refusal.TWO_NUMBERS: msgid("The cell contains two phone numbers."),
    Refusal.AMBIGUOUS: msgid("This could be two different numbers. Write it with a plus and the country code, or with its leading zero."),
    Refusal.SHORTENED: msgid("The spreadsheet has shortened this number. Format the column as text, enter the number again and save."),
    Refusal.MASKED: msgid("Some digits of this number are hidden."),
    Refusal.NOT_TEXT: msgid("The phone number must be text."),
}


def sentence_of(error: RefusedPhoneError) -> Text:
    """The reason as a sentence."""
    return _sentence(error.reason)


@cache
def _sentence(reason: Refusal) -> Text:
    return Text(SENTENCES[reason])
