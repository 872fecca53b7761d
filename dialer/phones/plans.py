"""Answers questions about numbering plans from the metadata of the phonenumbers library: lengths, trunk prefixes, how a number is written.

A number has a fixed length if the same kind of number (mobile, fixed line) of its region has at most two lengths within two digits of it.
A digit too many or too few then shows; in a plan of variable length (German landlines) nearly every row of digits is a valid number.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

if TYPE_CHECKING:
    from phonenumbers.phonemetadata import PhoneMetadata, PhoneNumberDesc

# Lengths this close to a number's own count as its neighbours.
NEAR_DIGITS: Final = 2
MAX_NEAR_LENGTHS: Final = 2
MAX_CODE_DIGITS: Final = 3
# Possible numbers that are not assigned to anyone.
FICTION: Final = (
    re.compile(r"\+1[2-9]\d{2}55501\d{2}"),  # North America: 555-0100 to 555-0199 of every area (ATIS-0300115)
    re.compile(r"\+9725\d{8}"),  # Israel: mobile ranges not given out yet
    re.compile(r"\+447700900\d{3}"),  # United Kingdom: Ofcom's numbers for drama
)


def e164(number: PhoneNumber) -> str:
    """The number in E.164."""
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def is_fiction(written: str) -> bool:
    """Whether a number in E.164 is reserved for fiction, or plainly unassigned."""
    return any(pattern.fullmatch(written) for pattern in FICTION)


def with_plus(digits: str) -> PhoneNumber | None:
    """The number these digits are after a plus; None if it does not exist."""
    try:
        number = phonenumbers.parse(f"+{digits}")
    except NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) or is_fiction(e164(number)) else None


def may_be_international(digits: str) -> bool:
    """Whether these digits begin with a country code, and are as many as a number of that country has; much faster than `with_plus`."""
    for length in range(1, MAX_CODE_DIGITS + 1):
        lengths = _lengths_of(digits[:length])
        if lengths:
            rest = digits[length:]
            return rest[:1] == "0" or len(rest) in lengths
    return False


def is_fixed_length(number: PhoneNumber) -> bool:
    """Whether numbers of this kind have a fixed length in their region; so do those of fiction."""
    kind = phonenumbers.number_type(number)
    if kind == PhoneNumberType.UNKNOWN:
        return is_fiction(e164(number))
    data = phonenumbers.PhoneMetadata.metadata_for_region(phonenumbers.region_code_for_number(number) or "ZZ")
    return data is not None and len(national_digits(number)) in _fixed(data, _described(data, kind))


@cache
def fixed_lengths(region: str) -> frozenset[int]:
    """The lengths of mobile and fixed-line numbers of `region` at which both kinds have a fixed length."""
    data = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if data is None:
        return frozenset()
    kinds = (data.mobile, data.fixed_line)
    loose = {length for kind in kinds for length in _lengths(data, kind) - _fixed(data, kind)}
    return frozenset(length for kind in kinds for length in _lengths(data, kind)) - loose


@cache
def writes_no_trunk(region: str) -> bool:
    """Whether people of `region` write all their numbers without a trunk prefix."""
    data = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if data is None:
        return False
    trunk = data.national_prefix
    return not trunk or not any(trunk in (form.national_prefix_formatting_rule or "") for form in data.number_format)


def is_written_in_full(digits: str, number: PhoneNumber, region: str) -> bool:
    """Whether the digits are the number as its country writes it at home, or with the trunk prefix of `region`."""
    if digits == "".join(re.findall("[0-9]", phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL))):
        return True
    data = phonenumbers.PhoneMetadata.metadata_for_region(region)
    return data is not None and bool(data.national_prefix) and digits == f"{data.national_prefix}{national_digits(number)}"


def national_digits(number: PhoneNumber) -> str:
    """The digits after the country code."""
    return phonenumbers.national_significant_number(number)


def forms_of(number: PhoneNumber) -> list[str]:
    """How the country writes this number at home and for callers abroad, the latter without the country code."""
    abroad = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    return [phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL), abroad, abroad.removeprefix(f"+{number.country_code}")]


def groups_of(number: PhoneNumber) -> list[list[int]]:
    """The lengths of the groups in each of these forms."""
    return [[len(group) for group in re.findall("[0-9]+", form)] for form in forms_of(number)]


@cache
def _lengths_of(code: str) -> frozenset[int]:
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(code), ()) if code.isdigit() else ()
    known = [_metadata(int(code), region) for region in regions]
    return frozenset(length for data in known if data and data.general_desc for length in data.general_desc.possible_length)


def _metadata(code: int, region: str) -> PhoneMetadata | None:
    if region == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY:
        return phonenumbers.PhoneMetadata.metadata_for_nongeo_region(code)
    return phonenumbers.PhoneMetadata.metadata_for_region(region)


def _described(data: PhoneMetadata, kind: int) -> PhoneNumberDesc | None:
    return {
        PhoneNumberType.MOBILE: data.mobile,
        PhoneNumberType.FIXED_LINE: data.fixed_line,
        PhoneNumberType.FIXED_LINE_OR_MOBILE: data.fixed_line,
        PhoneNumberType.TOLL_FREE: data.toll_free,
        PhoneNumberType.VOIP: data.voip,
    }.get(kind)


def _lengths(data: PhoneMetadata, kind: PhoneNumberDesc | None) -> frozenset[int]:
    """The lengths of a kind of number; the library leaves them out where they are those of the whole plan."""
    described = kind if kind is None or kind.possible_length else data.general_desc
    lengths = described.possible_length if described else ()
    return frozenset(length for length in lengths if length > 0)


def _fixed(data: PhoneMetadata, kind: PhoneNumberDesc | None) -> frozenset[int]:
    lengths = _lengths(data, kind)
    return frozenset(own for own in lengths if sum(abs(own - other) <= NEAR_DIGITS for other in lengths) <= MAX_NEAR_LENGTHS)
