"""What can be wrong with the value of a rule: a kind and its sentence, as pydantic reports it beside the name of the field."""

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
}


def refuse(kind: str, **context: str) -> NoReturn:
    """Refuse a value, within a validator.

    Raises:
        PydanticCustomError: always.
    """
    raise PydanticCustomError(kind, SENTENCES[kind], context)
