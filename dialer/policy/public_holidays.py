"""The public holidays of a country, by the `holidays` library: whole calendar days, the same in all its parts."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import holidays

if TYPE_CHECKING:
    from datetime import date


def is_holiday(country: str, day: date) -> bool:
    """Whether this calendar day is a public holiday everywhere in the country."""
    return day in public_holidays(country, day.year)


@lru_cache(maxsize=1024)
def public_holidays(country: str, year: int) -> frozenset[date]:
    """The holidays of one year, `country` by its ISO 3166 letters; empty for a country that the library does not know."""
    try:
        days = holidays.country_holidays(country, years=year)
    except NotImplementedError:
        return frozenset()
    return frozenset(days)
