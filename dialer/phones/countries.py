"""Answers which time zones a country has, by the tz database (`zone.tab` of the tzdata package)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

# Of a line of zone.tab: the ISO 3166 code of the country, and the name of the zone.
COUNTRY, ZONE = 0, 2


def zones_of_country(country: str) -> tuple[str, ...]:
    """The zones of a country (ISO 3166), sorted; none for a code that the tz database does not have (AC, TA, XK)."""
    return _table().get(country, ())


@cache
def _table() -> dict[str, tuple[str, ...]]:
    # zone.tab has a zone for each country; in zone1970.tab countries share them, and none would be Norway's own.
    text = files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return {country: tuple(sorted(row[ZONE] for row in rows if row[COUNTRY] == country)) for country in {row[COUNTRY] for row in rows}}
