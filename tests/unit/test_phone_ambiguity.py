"""Cells with two readings: a lost plus, a list number, a year. None is dialled as another number than the one that was meant."""

from __future__ import annotations

import re

import phonenumbers
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.phones.phone_numbers import RefusedPhoneError, read_phone
from tests.cells import real_numbers


def reading_of(cell: str, region: str) -> str | None:
    try:
        return read_phone(cell, region).e164
    except RefusedPhoneError:
        return None


def trunk_of(region: str | None) -> str:
    data = phonenumbers.PhoneMetadata.metadata_for_region(region or "ZZ")
    return (data and data.national_prefix) or ""


def written_abroad(number: phonenumbers.PhoneNumber, gap: str) -> list[str]:
    """A number with its country code and without a plus, also with the trunk prefix that does not belong there."""
    code, national = str(number.country_code), phonenumbers.national_significant_number(number)
    international = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)[1:]
    with_zero = [f"{code} (0){national}", f"{code}0{national}"] if trunk_of(phonenumbers.region_code_for_number(number)) == "0" else []
    return [code + gap + national, international, *with_zero]


def is_whole_at_home(cell: str, written: str, region: str) -> bool:
    """Whether a cell is, in digits and in full, how `region` writes a number of a fixed length that has no trunk prefix to show."""
    number = phonenumbers.parse(written)
    national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    same_plan = number.country_code == phonenumbers.country_code_for_region(region)
    return same_plan and re.sub("[^0-9]", "", cell) == re.sub("[^0-9]", "", national)


@settings(max_examples=200, deadline=None)
@given(region=st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)), data=st.data())
def test_a_country_code_without_a_plus_never_rings_another(region: str, data: st.DataObject) -> None:
    number = data.draw(real_numbers(region))
    right = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    for cell in written_abroad(number, data.draw(st.sampled_from(["", " ", "-"]))):
        assert reading_of(cell, region) in {None, right}, cell


# St. Pierre and Miquelon: left out of account on purpose (dialer/phones/ambiguity.py).
NEGLIGIBLE = "PM"


def test_an_israeli_mobile_number_that_lost_its_zero_is_read() -> None:
    assert reading_of("508324103", "IL") == "+972508324103"


@settings(max_examples=200, deadline=None)
@given(
    region=st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)),
    foreign=st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS - {NEGLIGIBLE})),
    data=st.data(),
)
def test_a_foreign_number_without_its_plus_never_rings_another(region: str, foreign: str, data: st.DataObject) -> None:
    number = data.draw(real_numbers(foreign))
    right = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    for cell in written_abroad(number, data.draw(st.sampled_from(["", " ", "-"])))[:2]:
        written = reading_of(cell, region)
        assert written in {None, right} or is_whole_at_home(cell, written, region), cell


@settings(max_examples=200, deadline=None)
@given(region=st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)), data=st.data())
def test_a_list_number_or_a_year_is_never_dialled(region: str, data: st.DataObject) -> None:
    number = data.draw(real_numbers(region))
    right = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    before = data.draw(st.sampled_from(["1", "2", "3", "12", "1999", "2024"]))
    gap = data.draw(st.sampled_from([" ", "-", " - ", ". "]))
    for cell in (before + gap + national, f"{national} 2024", f"{national}-1999", f"{national} 12.05.2024"):
        assert reading_of(cell, region) in {None, right}, cell


@settings(max_examples=200, deadline=None)
@given(region=st.sampled_from(["IL", "US", "GB", "FR", "DE"]), data=st.data())
def test_a_number_as_its_country_writes_it_is_read(region: str, data: st.DataObject) -> None:
    number = data.draw(real_numbers(region))
    right = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    national = phonenumbers.national_significant_number(number)
    for cell in (phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL), trunk_of(region) + national):
        assert reading_of(cell, region) == right, cell


@settings(deadline=None)
@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
def test_every_region_s_example_is_called_as_it_is_written_there(region: str) -> None:
    for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
        number = phonenumbers.example_number_for_type(region, kind)
        if number is None:
            continue
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        assert read_phone(written, "US").e164 == written
        international = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        assert read_phone(international, "US").e164 == written
        national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
        assert read_phone(national, region).e164 == written
