"""Time zones by the locked `tzdata` package, and the key by which the leads of a run are kept apart.

The zone files of the host are not used: two hosts may have different ones, and a country that changes its rules would be called by the old
ones until somebody updates the host.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import resources
from typing import NamedTuple
from zoneinfo import ZoneInfo


class ZoneKey(NamedTuple):
    """The country of a lead's phone number (ISO 3166, two letters), and the time zones it may be in; none is known: empty."""

    country: str
    zones: tuple[str, ...]


@lru_cache(maxsize=4096)
def read_key(key: str) -> ZoneKey:
    """A key as it is stored with a run's leads: `IL:Asia/Jerusalem`, `US:America/Chicago,America/New_York`, `DE:`."""
    country, _, zones = key.partition(":")
    return ZoneKey(country, tuple(name for name in zones.split(",") if name))


@lru_cache(maxsize=1024)
def time_zone(name: str) -> ZoneInfo | None:
    """The rules of a time zone; None when there is none of this name."""
    if name not in zone_names():
        return None
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)


@cache
def zone_names() -> frozenset[str]:
    """The names of all time zones, old spellings included."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())
