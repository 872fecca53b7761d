"""What can be wrong with a rule or a script: a kind and its sentence, as pydantic reports it beside the name of the field."""

from __future__ import annotations

from typing import Final, NoReturn

from pydantic_core import PydanticCustomError

# `WRONG` of web/server/inputs.py has the same kinds with the same sentences, to be translated.
SENTENCES: Final[dict[str, str]] = {
    "interval": 'must be two times, as ["09:00", "13:00"]',
    "time_of_day": "must be times as 09:00, from 00:00 to 24:00",
    "interval_order": "must end later than it begins, on the same day",
    "intervals_overlap": "must not overlap: one begins at {begin}, before the end of another at {end}",
    "calendar_date": "must be dates of the calendar, as 2026-12-25; {date} is none",
    "amount": 'must be an amount of money as "12.50", and more than zero',
    "currency": "must be a currency by its three letters, as USD",
    "budget": 'must have "calls", or "amount" and "currency", or all three',
    "lone_brace": "has a brace that is no part of a placeholder: write {first_name} for a variable, and {{ or }} for a brace",
    "control_character": "must have no invisible control characters",
    "blank_text": "must not be blank",
    "https_address": "must be an https:// address, without user and password",
    "wss_address": "must be a wss:// address, without user, password and query",
    "agent": "must be a number as +97231234567, or an address as sip:agent@example.com",
    "e164": "must be a number as +97231234567",
    "parameter_name": "must have names of letters, digits, '.', '_' and '-'",
    "key": "must have keys from 0 to 9, * and #",
    "language": "must be a language, as he-IL or en-US",
    "voice": "must be the name of a voice, as Google.he-IL-Standard-A",
    "script_kind": 'must have exactly one of "say", "play", "dial", "stream" and "twiml"',
    "script_field": "must have no {field} beside {other}",
    "script_language": 'must have a "language" beside "say", as he-IL',
}


def refuse(kind: str, **context: str) -> NoReturn:
    """Refuse a value, within a validator.

    Raises:
        PydanticCustomError: always.
    """
    raise PydanticCustomError(kind, SENTENCES[kind], context)
