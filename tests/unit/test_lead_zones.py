"""The zone key of a lead: the country of its number, and its own time zone, those of its number, or that of the business."""

from __future__ import annotations

from zoneinfo import available_timezones

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers.timezone import time_zones_for_number
from phonenumbers.tzdata import TIMEZONE_DATA

from dialer.phones.countries import zones_of_country
from dialer.phones.phone_numbers import Refusal, RefusedPhoneError, read_phone
from dialer.phones.plans import e164
from dialer.phones.zones import PhoneZones, zone_key, zones_of

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
KINDS = [kind for kind in phonenumbers.PhoneNumberType.values() if kind != phonenumbers.PhoneNumberType.UNKNOWN]
# Country codes that several countries share.
SHARED_CODES = {code for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items() if len(regions) > 1}
NORTH_AMERICA = tuple(sorted(TIMEZONE_DATA["1"]))


@pytest.mark.parametrize(
    ("phone", "key"),
    [
        ("+972521234567", "IL:Asia/Jerusalem"),
        ("+97239123456", "IL:Asia/Jerusalem"),
        ("+9721800123456", "IL:Asia/Jerusalem"),
        ("+12125551234", "US:America/New_York"),
        ("+12085551234", "US:America/Boise,America/Los_Angeles"),
        ("+18505551234", "US:America/New_York"),  # Florida has two zones: the table knows the exchanges
        ("+18502345678", "US:America/Chicago"),
        ("+19072345678", "US:America/Adak,America/Anchorage"),
        ("+18082345678", "US:Pacific/Honolulu"),
        ("+16045551234", "CA:America/Vancouver"),
        ("+14165551234", "CA:America/Toronto"),
        ("+18095551234", "DO:America/Santo_Domingo"),
        ("+17872345678", "PR:America/Puerto_Rico"),
        ("+442079460018", "GB:Europe/London"),
        ("+447400123456", "GB:Europe/London"),
        ("+447781123456", "GG:Europe/Guernsey"),
        ("+74951234567", "RU:Europe/Moscow"),
        ("+77012345678", "KZ:" + ",".join(zones_of_country("KZ"))),
        ("+79161234567", "RU:" + ",".join(zones_of_country("RU"))),
        ("+61291234567", "AU:Australia/Sydney"),
        ("+4915112345678", "DE:Europe/Berlin"),
        ("+34612345678", "ES:Atlantic/Canary,Europe/Madrid"),
        ("+351912345678", "PT:Atlantic/Azores,Europe/Lisbon"),
        ("+38343201234", "XK:Europe/Belgrade"),
        # Numbers of fiction: of an area of the library's table, of a country of one zone, and of an area nobody has.
        ("+12025550123", "US:America/New_York"),
        ("+16045550123", "CA:America/Vancouver"),
        ("+18495550199", "DO:America/Santo_Domingo"),
        ("+14415550123", "BM:Atlantic/Bermuda"),
        ("+972501231234", "IL:Asia/Jerusalem"),
        ("+447700900123", "GB:Europe/London"),
        ("+15555550123", "US:"),
    ],
)
def test_the_key_of_a_number(phone: str, key: str) -> None:
    assert zone_key(phone, None, "FR", "Europe/Paris") == key


def test_a_number_that_countries_share_has_the_zones_of_all() -> None:
    assert zones_of("+18002345678") == PhoneZones("US", NORTH_AMERICA)
    assert {"America/New_York", "America/Los_Angeles", "Pacific/Honolulu", "America/St_Johns", "Pacific/Guam"} <= set(NORTH_AMERICA)
    # Christmas and Cocos Islands have the mobile numbers of Australia.
    assert zones_of("+61412345678") == PhoneZones("AU", tuple(sorted(TIMEZONE_DATA["61"])))


def test_a_lead_s_own_zone_comes_first_and_leaves_it_its_country() -> None:
    assert zone_key("+972521234567", "America/New_York", "IL", "Asia/Jerusalem") == "IL:America/New_York"
    assert zone_key("+18002345678", "America/Chicago", "US", "America/New_York") == "US:America/Chicago"


def test_a_number_without_a_zone_has_that_of_a_business_of_its_country() -> None:
    assert zone_key("+15555550123", None, "US", "America/Chicago") == "US:America/Chicago"
    assert zone_key("+15555550123", None, "CA", "America/Toronto") == "US:"
    assert zone_key("+12125551234", None, "US", "America/Chicago") == "US:America/New_York"


@given(region=st.sampled_from(REGIONS), kind=st.sampled_from(KINDS), digits=st.lists(st.integers(0, 9), min_size=0, max_size=5))
def test_country_and_zones_are_those_of_the_library(region: str, kind: int, digits: list[int]) -> None:
    example = phonenumbers.example_number_for_type(region, kind)
    if example is None:
        return
    written = e164(example)
    phone = written[: len(written) - len(digits)] + "".join(map(str, digits))
    number = phonenumbers.parse(phone)
    if not phonenumbers.is_valid_number(number) or e164(number) != phone:
        return
    found = zones_of(phone)
    assert found.country == phonenumbers.region_code_for_number(number)
    zones = tuple(sorted(time_zones_for_number(number)))
    # Where these differ, the number may be anywhere within one of the countries that share a code.
    assert found.zones == zones or (number.country_code in SHARED_CODES and found.zones == zones_of_country(found.country))


def test_every_zone_exists() -> None:
    named = {zone for zones in TIMEZONE_DATA.values() for zone in zones}
    assert named | {zone for region in REGIONS for zone in zones_of_country(region)} <= available_timezones()
    assert [region for region in REGIONS if not zones_of_country(region)] == ["AC", "TA", "XK"]


@pytest.mark.parametrize(
    ("cell", "region", "reason"),
    [
        ("+1 900 234 5678", "US", Refusal.PREMIUM),
        ("1-900-123-456", "IL", Refusal.PREMIUM),
        ("1-700-123-456", "IL", Refusal.PREMIUM),  # shared cost
        ("+44 843 412 3456", "GB", Refusal.PREMIUM),  # shared cost
        ("+44 70 1234 5678", "GB", Refusal.PREMIUM),  # personal
        ("+1 500 234 5678", "US", Refusal.PREMIUM),  # personal
        ("+881 612 345 678", "US", Refusal.SATELLITE),
        ("+870 773 111 632", "IL", Refusal.SATELLITE),
        ("+800 1234 5678", "US", Refusal.SATELLITE),
        ("+979 123 456 789", "US", Refusal.SATELLITE),
        ("911", "US", Refusal.EMERGENCY),
        ("100", "IL", Refusal.EMERGENCY),
        ("112", "GB", Refusal.EMERGENCY),
        ("411", "US", Refusal.SHORT_NUMBER),
        ("144", "IL", Refusal.SHORT_NUMBER),
        ("+44 7640 123456", "GB", Refusal.NOT_DIALABLE),  # a pager
    ],
)
def test_numbers_of_no_person_are_refused(cell: str, region: str, reason: Refusal) -> None:
    with pytest.raises(RefusedPhoneError) as refused:
        read_phone(cell, region)
    assert refused.value.reason is reason
