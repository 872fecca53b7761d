"""A new business: its options validated, its region and time zone derived from its caller id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import phonenumbers
from phonenumbers import timezone as phone_zones

from dialer.model import bounded_id
from dialer.phones.phone_numbers import RefusedPhoneError, read_international
from dialer.policy.calling_hours import default_hours
from dialer.policy.run_settings import MAX_GAP_HOURS
from dialer.policy.run_settings import MAX_PER_DAY as MOST_PER_DAY
from dialer.policy.time_zones import time_zone
from ringmaster.errors import OptionError
from sql.businesses.businesses import NO_RULES, Businesses, StartingRules

if TYPE_CHECKING:
    from sql.pool import Pool

MAX_NAME_CHARACTERS = 200
MAX_CALLS = 1000  # as DIALER_MAX_CALLS_PER_BUSINESS
# Of a new business: lawful by default (docs/rules.md).
ALWAYS = "always"
UNLIMITED = "none"
CALLING_HOURS = ("default", ALWAYS)
MIN_GAP_HOURS = 24.0
MAX_PER_DAY = 3
UNKNOWN_ZONE = phone_zones.UNKNOWN_TIMEZONE


@dataclass(frozen=True, slots=True)
class NewBusiness:
    """A validated tenant. `caller_id` is E.164, `region` the ISO country its leads' numbers are read in.

    Without `rules` it calls at any hour, and a phone as often as a run says.
    """

    name: str
    caller_id: str
    region: str
    timezone: str
    max_calls: int
    rules: StartingRules = NO_RULES


def validate(*, name: str, caller_id: str, timezone: str | None, max_calls: int) -> NewBusiness:
    """Validate the options and derive region and time zone.

    Raises:
        OptionError: naming the wrong option.
    """
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise OptionError(option="--name", problem=f"1 to {MAX_NAME_CHARACTERS} printable characters")
    if not 0 < max_calls <= MAX_CALLS:
        raise OptionError(option="--max-calls", problem=f"a number from 1 to {MAX_CALLS}")
    number = _number(caller_id)
    region = phonenumbers.region_code_for_number(number)
    if region is None or region == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY:
        raise OptionError(option="--caller-id", problem=f"{caller_id} belongs to no country")
    zone = _zone(timezone) if timezone else _zone_of(number, region)
    return NewBusiness(name, phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), region, zone, max_calls)


def starting_rules(region: str, calling_hours: str, min_gap_hours: float, max_per_day: str) -> StartingRules:
    """Validate the options that are rules of calling; `region` has the default hours.

    Raises:
        OptionError: naming the wrong option.
    """
    if not 0 <= min_gap_hours <= MAX_GAP_HOURS:
        raise OptionError(option="--min-gap-hours", problem=f"a number of hours from 0 to {MAX_GAP_HOURS:g}")
    try:
        most = None if max_per_day == UNLIMITED else bounded_id(max_per_day, MOST_PER_DAY)
    except ValueError:
        raise OptionError(option="--max-per-day", problem=f"a number from 1 to {MOST_PER_DAY}, or {UNLIMITED}") from None
    hours = None if calling_hours == ALWAYS else default_hours(region).model_dump(mode="json", exclude_unset=True)
    return StartingRules(hours, min_gap_hours, most)


async def create(pool: Pool, new: NewBusiness, by: str = "cli") -> dict[str, Any]:
    """Add the business with its lane; return the fields of `--json`."""
    fields = {"name": new.name, "caller_id": new.caller_id, "region": new.region, "timezone": new.timezone, "max_calls": new.max_calls}
    return {"business_id": await Businesses(pool).create(**fields, rules=new.rules, actor=by), **fields}  # type: ignore[arg-type]


def _number(caller_id: str) -> phonenumbers.PhoneNumber:
    try:
        return read_international(caller_id)
    except RefusedPhoneError:
        problem = f"{caller_id!r} is not a single number with its country code, such as +12125550100"
        raise OptionError(option="--caller-id", problem=problem) from None


def _zone(name: str) -> str:
    if time_zone(name) is None:
        raise OptionError(option="--timezone", problem=f"{name!r} is not a time zone such as Asia/Jerusalem or America/New_York")
    return name


def _zone_of(number: phonenumbers.PhoneNumber, region: str) -> str:
    """The zone of the number or, when its range is in no table, the zone of a country that has only one."""
    zones = _zones(number) or _zones(phonenumbers.example_number(region))
    if len(zones) != 1:
        raise OptionError(option="--timezone", problem="it does not follow from the caller id; give one such as America/New_York")
    return zones[0]


def _zones(number: phonenumbers.PhoneNumber | None) -> list[str]:
    return [zone for zone in phone_zones.time_zones_for_number(number) if zone != UNKNOWN_ZONE] if number else []
