"""Decides which numbers may be called: a cell is read with the business's region and written as E.164, or rejected with a reason.

The cell is read by the grammar of `phone_cells`; the phonenumbers library gets only the digits of the cell after an optional plus. The
number it returns must be the last digits of the cell; only an international prefix, a country code and a trunk prefix may precede them.

Accepted are the numbers that phonenumbers considers assigned, and numbers reserved for fiction or plainly unassigned in the ranges below,
for demonstrations and tests. Rejected are premium-rate, shared-cost and satellite numbers, which are used for fraud, emergency and short
numbers, and everything that cannot be a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult
from phonenumbers.shortnumberinfo import connects_to_emergency_number

from web.intake.phone_cells import CellError, CellFault, CellReading, read_cell, simple
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from phonenumbers.phonemetadata import PhoneNumberDesc

# A short code has at most six digits (ITU-T E.164 supplement 3 is not more precise).
SHORT_DIGITS: Final = 6
NORTH_AMERICA: Final = 1
# The region of country codes that belong to no country: satellites, global networks, premium services (001 in phonenumbers).
NO_COUNTRY: Final = phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY

# Possible numbers that are not assigned to anyone.
FICTION: Final = (
    re.compile(r"\+1[2-9]\d{2}55501\d{2}"),  # North America: 555-0100 to 555-0199 of every area (ATIS-0300115)
    re.compile(r"\+9725\d{8}"),  # Israel: mobile ranges not given out yet
    re.compile(r"\+447700900\d{3}"),  # United Kingdom: Ofcom's numbers for drama
)
EXPENSIVE: Final = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST, PhoneNumberType.PERSONAL_NUMBER})
UNATTENDED: Final = frozenset({PhoneNumberType.PAGER, PhoneNumberType.VOICEMAIL})
# The most digits of one number, nationally and after a plus; a longer cell is checked for two numbers.
ONE_NUMBER: Final = {False: 12, True: 14}
# A group of this many digits ends a number.
LONG_GROUP: Final = 7


class Refusal(StrEnum):
    """Why a number is not called."""

    MISSING_PHONE = "missing_phone"
    INVALID_PHONE = "invalid_phone"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    EMERGENCY = "emergency"
    SHORT_NUMBER = "short_number"
    PREMIUM = "premium"
    SATELLITE = "satellite"
    EXTENSION = "extension"
    NOT_DIALABLE = "not_dialable"
    UNASSIGNED = "unassigned"
    NOT_ALONE = "not_alone"
    TWO_NUMBERS = "two_numbers"
    NOT_TEXT = "not_text"


SENTENCES: Final[dict[Refusal, str]] = {
    Refusal.MISSING_PHONE: msgid("The phone number is missing."),
    Refusal.INVALID_PHONE: msgid("This is not a phone number."),
    Refusal.TOO_SHORT: msgid("The phone number has too few digits."),
    Refusal.TOO_LONG: msgid("The phone number has too many digits."),
    Refusal.EMERGENCY: msgid("Emergency numbers are never called."),
    Refusal.SHORT_NUMBER: msgid("Short numbers are not called."),
    Refusal.PREMIUM: msgid("Premium-rate numbers are not called."),
    Refusal.SATELLITE: msgid("Satellite and international network numbers are not called."),
    Refusal.EXTENSION: msgid("Numbers with an extension cannot be called."),
    Refusal.NOT_DIALABLE: msgid("This is a pager or a voicemail number."),
    Refusal.UNASSIGNED: msgid("This number does not exist in its country."),
    Refusal.NOT_ALONE: msgid("The cell contains more than a phone number."),
    Refusal.TWO_NUMBERS: msgid("The cell contains two phone numbers."),
    Refusal.NOT_TEXT: msgid("The phone number must be text."),
}

FAULTS: Final[dict[CellFault, Refusal]] = {
    CellFault.MISSING: Refusal.MISSING_PHONE,
    CellFault.NO_NUMBER: Refusal.INVALID_PHONE,
    CellFault.NOT_ALONE: Refusal.NOT_ALONE,
    CellFault.EXTENSION: Refusal.EXTENSION,
    CellFault.TOO_LONG: Refusal.TOO_LONG,
}


class RefusedPhoneError(Exception):
    """The number is not called; `reason` says why."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def text(self) -> Text:
        """The reason as a sentence."""
        return _sentence(self.reason)


@cache
def _sentence(reason: Refusal) -> Text:
    return Text(SENTENCES[reason])


class PhoneReading(NamedTuple):
    """A number as E.164; `altered` when more than separators, trunk zero and country code changed, and a person should check it."""

    e164: str
    altered: bool = False


def read_phone(cell: object, region: str) -> PhoneReading:
    """The number in a cell; a number without a country code is read as one of `region` (ISO 3166).

    Raises:
        RefusedPhoneError: when the cell is not text, not a number alone, or not a number that may be called.
    """
    if cell is None:
        raise RefusedPhoneError(Refusal.MISSING_PHONE)
    if not isinstance(cell, str):
        raise RefusedPhoneError(Refusal.NOT_TEXT)
    cell = cell.strip()
    return _read(simple(cell) or _cell_reading(cell), region)


def read_international(cell: str) -> PhoneNumber:
    """One of our own numbers, such as a caller id: written with its country code; its range need not be in the library's tables yet.

    Raises:
        RefusedPhoneError: when it is not a number alone, has no plus, or has letters.
    """
    reading = _cell_reading(cell)
    if not reading.international or reading.north_american:
        raise RefusedPhoneError(Refusal.INVALID_PHONE)
    number = _parsed(reading, "ZZ")
    _reject_tail(reading, "ZZ")
    if not phonenumbers.is_possible_number(number):
        raise RefusedPhoneError(Refusal.INVALID_PHONE)
    return number


def _read(reading: CellReading, region: str) -> PhoneReading:
    usual = None if reading.north_american else _usual(reading, region)
    if usual:
        return PhoneReading(usual, reading.altered)
    written, unchanged = _long_enough(reading, region)
    _reject_two(reading, region)
    return PhoneReading(written, reading.altered or not unchanged)


def _cell_reading(cell: str) -> CellReading:
    try:
        return read_cell(cell)
    except CellError as error:
        raise RefusedPhoneError(FAULTS[error.fault]) from None


def _usual(reading: CellReading, region: str) -> str | None:
    """A mobile or fixed-line number of the region, recognized by one pattern: ten times faster than `_parsed_fully`, same result."""
    if reading.tail:
        return None
    known = _numbers_of(region)
    digits = reading.digits
    if known is None or not SHORT_DIGITS < len(digits) <= ONE_NUMBER[reading.international]:
        return None
    if reading.international:
        national = digits.removeprefix(known.code)
        usual = len(national) < len(digits)
    elif known.prefixes.match(digits):
        # A prefix that could be part of the number needs the full parse, as does any but the trunk prefix.
        national = digits.removeprefix(known.trunk)
        usual = len(national) < len(digits) and not known.pattern.fullmatch(digits)
    else:
        national, usual = digits, True
    return f"+{known.code}{national}" if usual and known.pattern.fullmatch(national) else None


@dataclass(frozen=True, slots=True)
class _Usual:
    """Of a region: country code, trunk prefix, all prefixes of a national number, and the pattern of its usual national numbers."""

    code: str
    trunk: str
    prefixes: re.Pattern[str]
    pattern: re.Pattern[str]


@cache
def _numbers_of(region: str) -> _Usual | None:
    """The usual numbers of a region; None if the region rewrites numbers in other ways than by prefixes."""
    data = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if data is None or not data.national_prefix or data.national_prefix_transform_rule or data.leading_zero_possible:
        return None
    refused = _pattern(data.premium_rate, data.shared_cost, data.personal_number, data.pager, data.voicemail)
    usual = _pattern(data.mobile, data.fixed_line)
    pattern = re.compile(f"(?!(?:{refused})$)(?:{usual})" if refused else f"(?:{usual})", re.ASCII)
    code, trunk = str(data.country_code), data.national_prefix
    prefixes = [code, trunk, data.international_prefix, data.national_prefix_for_parsing]
    return _Usual(code, trunk, re.compile("|".join(f"(?:{prefix})" for prefix in prefixes if prefix), re.ASCII), pattern)


def _pattern(*kinds: PhoneNumberDesc | None) -> str:
    return "|".join(kind.national_number_pattern for kind in kinds if kind and kind.national_number_pattern)


def _long_enough(reading: CellReading, region: str) -> tuple[str, bool]:
    """The number, unless it is too short; some islands have numbers as short as other countries' short codes, so it is parsed first."""
    digits = reading.digits
    if not 1 < len(digits) <= SHORT_DIGITS:
        return _parsed_fully(reading, region)
    if connects_to_emergency_number(digits, region):
        raise RefusedPhoneError(Refusal.EMERGENCY)
    try:
        return _parsed_fully(reading, region)
    except RefusedPhoneError:
        raise RefusedPhoneError(Refusal.SHORT_NUMBER) from None


def _parsed_fully(reading: CellReading, region: str) -> tuple[str, bool]:
    """The number in E.164, and whether the cell shows it unchanged."""
    number = _parsed(reading, region)
    written = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    _reject_kind(number, written)
    unchanged = _shows(reading, number, region)
    if not unchanged and not _rewrites(number, reading):
        raise RefusedPhoneError(Refusal.INVALID_PHONE)
    return written, unchanged


def _parsed(reading: CellReading, region: str) -> PhoneNumber:
    international = reading.international
    if reading.north_american and not international:
        if phonenumbers.country_code_for_region(region) != NORTH_AMERICA:
            raise RefusedPhoneError(Refusal.NOT_ALONE)
        international = True
    try:
        return phonenumbers.parse(f"+{reading.digits}" if international else reading.digits, region)
    except NumberParseException as error:
        raise RefusedPhoneError(_unreadable(error)) from None


def _shows(reading: CellReading, number: PhoneNumber, region: str) -> bool:
    """Whether the cell ends with the number, and has nothing but prefixes before it."""
    national = phonenumbers.national_significant_number(number)
    if not reading.digits.endswith(national):
        return False
    prefix = reading.digits[: len(reading.digits) - len(national)]
    return not prefix or bool(_prefixes(number.country_code or 0, "ZZ" if reading.international else region).fullmatch(prefix))


@cache
def _prefixes(code: int, region: str) -> re.Pattern[str]:
    """What may precede a national number: the international prefix of `region`, the country code, trunk and carrier prefixes."""
    home = phonenumbers.PhoneMetadata.metadata_for_region(region)
    abroad = f"(?:{home.international_prefix})?" if home and home.international_prefix else ""
    regions = [phonenumbers.PhoneMetadata.metadata_for_region(region) for region in phonenumbers.region_codes_for_country_code(code)]
    trunks = {prefix for data in regions if data for prefix in (data.national_prefix, data.national_prefix_for_parsing) if prefix}
    trunk = "|".join(f"(?:{prefix})" for prefix in sorted(trunks))
    return re.compile(f"(?:{abroad}{code})?" + (f"(?:{trunk})?" if trunk else ""), re.ASCII)


def _rewrites(number: PhoneNumber, reading: CellReading) -> bool:
    """Whether the country writes its numbers differently at home (Argentina's 15, the seven digits of a Caribbean island)."""
    regions = phonenumbers.region_codes_for_country_code(number.country_code or 0)
    rules = [phonenumbers.PhoneMetadata.metadata_for_region(region) for region in regions]
    national = phonenumbers.national_significant_number(number)
    ends_alike = national[-SHORT_DIGITS:] == reading.digits[-SHORT_DIGITS:]
    return ends_alike and any(data and data.national_prefix_transform_rule for data in rules)


def _reject_two(reading: CellReading, region: str) -> None:
    """Reject two numbers written as one, with a space between them, and a complete number with more digits after it."""
    _reject_tail(reading, region)
    if len(reading.digits) <= ONE_NUMBER[reading.international]:
        return
    for end in reading.separators:
        first, second = CellReading(reading.digits[:end], reading.international), CellReading(reading.digits[end:], international=False)
        if _may_be_called(first, region) and _may_be_called(second, region):
            raise RefusedPhoneError(Refusal.TWO_NUMBERS)


def _reject_tail(reading: CellReading, region: str) -> None:
    """Reject a number that is, or looks, complete without its last digits, unless its country groups numbers that way."""
    if not reading.tail or _usually_grouped(reading, region):
        return
    whole = CellReading(reading.digits[: -reading.tail], reading.international)
    if _group_lengths(reading)[-2] >= LONG_GROUP or _may_be_called(whole, region):
        raise RefusedPhoneError(Refusal.TWO_NUMBERS)


def _group_lengths(reading: CellReading) -> list[int]:
    return [end - start for start, end in pairwise([0, *reading.separators, len(reading.digits)])]


def _usually_grouped(reading: CellReading, region: str) -> bool:
    """Whether the last two groups are as long as in the country's own format of this number."""
    number = _parsed(reading, region)
    groups = _group_lengths(reading)[-2:]
    forms = (PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL)
    return any([len(group) for group in re.findall("[0-9]+", phonenumbers.format_number(number, form))][-2:] == groups for form in forms)


def _may_be_called(reading: CellReading, region: str) -> bool:
    try:
        _parsed_fully(reading, region)
    except RefusedPhoneError:
        return False
    return True


def _reject_kind(number: PhoneNumber, written: str) -> None:
    if phonenumbers.region_code_for_country_code(number.country_code or 0) == NO_COUNTRY:
        raise RefusedPhoneError(Refusal.SATELLITE)
    possible = phonenumbers.is_possible_number_with_reason(number)
    if possible == ValidationResult.TOO_LONG:
        raise RefusedPhoneError(Refusal.TOO_LONG)
    if possible != ValidationResult.IS_POSSIBLE:
        raise RefusedPhoneError(Refusal.TOO_SHORT if possible == ValidationResult.TOO_SHORT else Refusal.INVALID_PHONE)
    kind = phonenumbers.number_type(number)
    if kind in EXPENSIVE:
        raise RefusedPhoneError(Refusal.PREMIUM)
    if kind in UNATTENDED:
        raise RefusedPhoneError(Refusal.NOT_DIALABLE)
    if kind == PhoneNumberType.UNKNOWN and not any(pattern.fullmatch(written) for pattern in FICTION):
        raise RefusedPhoneError(Refusal.UNASSIGNED)


def _unreadable(error: NumberParseException) -> Refusal:
    return {
        NumberParseException.TOO_SHORT_NSN: Refusal.TOO_SHORT,
        NumberParseException.TOO_SHORT_AFTER_IDD: Refusal.TOO_SHORT,
        NumberParseException.TOO_LONG: Refusal.TOO_LONG,
    }.get(error.error_type, Refusal.INVALID_PHONE)
