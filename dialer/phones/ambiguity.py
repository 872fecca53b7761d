"""Tells whether the digits of a cell could be another number than the one they were read as.

A cell without a plus may be a number of the business's region or one whose plus was lost (Excel drops it): `491711234567` is a mobile
number of Germany, and a landline number of the area 0491. The country's own way of writing a number, with its trunk prefix where it has
one, decides; in plans of variable length even that does not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberType

from dialer.phones.plans import e164, is_fixed_length, is_written_in_full, may_be_international, national_digits, with_plus

if TYPE_CHECKING:
    from collections.abc import Collection

# St. Pierre and Miquelon: a few thousand numbers, which would refuse a tenth of Israel's mobile numbers that lost their zero in Excel.
NEGLIGIBLE_CODE = 508


def is_ambiguous(digits: str, number: PhoneNumber, region: str) -> bool:
    """Whether `digits`, written without a plus and read as `number` in `region`, could be another number, or a careless writing."""
    if digits[0] == "0":
        # A trunk or an international prefix; no country code begins so.
        return False
    other = with_plus(digits) if may_be_international(digits) else None
    if other is not None and other.country_code == NEGLIGIBLE_CODE:
        other = None
    same = other is not None and e164(other) == e164(number)
    if same or _after_code(digits, number) is not None:
        return False
    own = digits.startswith(str(number.country_code))
    fixed = is_fixed_length(number)
    if is_written_in_full(digits, number, region):
        return other is not None and (own or not fixed)
    return other is not None or not fixed or (own and _is_possible(digits))


def doubles_code(digits: str, separators: Collection[int], number: PhoneNumber) -> bool:
    """Whether a country code seems to be written twice before `number`, and without the second one it is a number as well.

    Without separators only a mobile number counts: areas exist whose code begins with the digits of the country code.
    """
    code, national = str(number.country_code), national_digits(number)
    start = _after_code(digits, number)
    if start is None or not national.startswith(code):
        return False
    inner = with_plus(national)
    if inner is None or inner.country_code != number.country_code:
        return False
    mobile = phonenumbers.number_type(inner) == PhoneNumberType.MOBILE
    return mobile or start + len(code) in separators


def _after_code(digits: str, number: PhoneNumber) -> int | None:
    """Where the national number begins if its country code, and at most a trunk zero, stand before it; None otherwise."""
    national = national_digits(number)
    before = digits[: len(digits) - len(national)]
    read = digits.endswith(national) and re.fullmatch(f"(?:0[0-9]*)?{number.country_code}0?", before, re.ASCII)
    return len(before) if read else None


def _is_possible(digits: str) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(f"+{digits}"))
    except NumberParseException:
        return False
