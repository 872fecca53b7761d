"""Decides which numbers may be called: a cell is read with the business's region and written as E.164, or rejected with a reason.

The cell is read by the grammar of `phone_cells`; the phonenumbers library gets only the digits of the cell after an optional plus. The
number it returns must be the last digits of the cell; only an international prefix, a country code and a trunk prefix may precede them.

Accepted are the numbers that phonenumbers considers assigned, and numbers reserved for fiction or plainly unassigned in the ranges below,
for demonstrations and tests. Rejected are premium-rate, shared-cost and satellite numbers, which are used for fraud, emergency and short
numbers, and everything that cannot be a number.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberType, ValidationResult
from phonenumbers.shortnumberinfo import connects_to_emergency_number

from dialer.phones.ambiguity import doubles_code, is_ambiguous
from dialer.phones.notes import LONG_GROUP, group_lengths, has_list_number, has_number_after_zero
from dialer.phones.phone_cells import MAX_CELL_CHARACTERS, CellError, CellFault, CellReading, read_cell, simple
from dialer.phones.plans import e164, forms_of, groups_of, is_fiction, may_be_international
from dialer.phones.refusals import Refusal, RefusedPhoneError
from dialer.phones.usual import usual_numbers

__all__ = ["PhoneReading", "Refusal", "RefusedPhoneError", "read_international", "read_phone"]

# A short code has at most six digits (ITU-T E.164 supplement 3 is not more precise).
SHORT_DIGITS: Final = 6
STAR_CODE: Final = re.compile(rf"\*[0-9]{{2,{SHORT_DIGITS}}}")
NORTH_AMERICA: Final = 1
# The region of country codes that belong to no country: satellites, global networks, premium services (001 in phonenumbers).
NO_COUNTRY: Final = phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY

EXPENSIVE: Final = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST, PhoneNumberType.PERSONAL_NUMBER})
UNATTENDED: Final = frozenset({PhoneNumberType.PAGER, PhoneNumberType.VOICEMAIL})
# The most digits of one number, nationally and after a plus; a longer cell is checked for two numbers.
ONE_NUMBER: Final = {False: 12, True: 14}
# What people write between two numbers in a cell.
BETWEEN_NUMBERS: Final = re.compile(r"\s*(?:[/,;|&]|\b(?:or|and|או)\b)\s*|\s+", re.IGNORECASE)


FAULTS: Final[dict[CellFault, Refusal]] = {
    CellFault.MISSING: Refusal.MISSING_PHONE,
    CellFault.NO_NUMBER: Refusal.INVALID_PHONE,
    CellFault.NOT_ALONE: Refusal.NOT_ALONE,
    CellFault.SHORTENED: Refusal.SHORTENED,
    CellFault.MASKED: Refusal.MASKED,
    CellFault.EXTENSION: Refusal.EXTENSION,
    CellFault.TOO_LONG: Refusal.TOO_LONG,
}


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
    if STAR_CODE.fullmatch(cell):
        raise RefusedPhoneError(Refusal.SHORT_NUMBER)
    try:
        return _read(simple(cell) or _cell_reading(cell), region)
    except RefusedPhoneError as error:
        if error.reason in {Refusal.NOT_ALONE, Refusal.TOO_LONG, Refusal.EXTENSION} and _lists_two(cell, region):
            raise RefusedPhoneError(Refusal.TWO_NUMBERS) from None
        raise


def read_international(cell: str) -> PhoneNumber:
    """One of our own numbers, such as a caller id: written with its country code; its range need not be in the library's tables yet.

    Raises:
        RefusedPhoneError: when it is not a number alone, has no plus, or has letters.
    """
    reading = _cell_reading(cell)
    if not reading.international or reading.north_american:
        raise RefusedPhoneError(Refusal.INVALID_PHONE)
    number = _parsed(reading, "ZZ")
    _reject_tail(reading, number, "ZZ")
    if not phonenumbers.is_possible_number(number):
        raise RefusedPhoneError(Refusal.INVALID_PHONE)
    return number


def _read(reading: CellReading, region: str) -> PhoneReading:
    usual = _usual(reading, region) if reading.plain else None
    if usual:
        return PhoneReading(usual, reading.altered)
    number, shown = _long_enough(reading, region)
    _reject_doubtful(reading, number, region)
    return PhoneReading(e164(number), reading.altered or not shown)


def _reject_doubtful(reading: CellReading, number: PhoneNumber, region: str) -> None:
    """Reject digits that could be another number, or more than one."""
    _reject_two(reading, region)
    _reject_tail(reading, number, region)
    if reading.dotted and all("." not in form for form in forms_of(number)):
        raise RefusedPhoneError(Refusal.NOT_ALONE)
    if reading.north_american:
        return
    if doubles_code(reading.digits, reading.separators, number):
        raise RefusedPhoneError(Refusal.AMBIGUOUS)
    if not reading.international:
        _reject_list_number(reading, number, region)
        if is_ambiguous(reading.digits, number, region):
            raise RefusedPhoneError(Refusal.AMBIGUOUS)


def _reject_list_number(reading: CellReading, number: PhoneNumber, region: str) -> None:
    digits, separators, written = reading.digits, reading.separators, e164(number)
    if group_lengths(digits, separators) in groups_of(number):
        return

    def dialled(rest: str) -> str | None:
        return _callable(CellReading(rest, international=False), region)

    if has_number_after_zero(digits, separators, written, dialled) or has_list_number(digits, separators, written, dialled):
        raise RefusedPhoneError(Refusal.NOT_ALONE)


def _cell_reading(cell: str) -> CellReading:
    try:
        return read_cell(cell)
    except CellError as error:
        raise RefusedPhoneError(FAULTS[error.fault]) from None


def _usual(reading: CellReading, region: str) -> str | None:
    """A mobile or fixed-line number of the region, recognized by one pattern: ten times faster than `_parsed_fully`, same result."""
    known = usual_numbers(region)
    digits = reading.digits
    if known is None or not SHORT_DIGITS < len(digits) <= ONE_NUMBER[reading.international]:
        return None
    if reading.international:
        national = digits.removeprefix(known.code)
        usual = len(national) < len(digits) and not national.startswith(known.code)
    elif known.prefixes.match(digits):
        # A prefix that could be part of the number needs the full parse, as does any but the trunk prefix.
        national = digits.removeprefix(known.trunk)
        usual = len(national) < len(digits) and not known.pattern.fullmatch(digits)
    else:
        national, usual = digits, len(digits) in known.fixed and (known.bare or not may_be_international(digits))
    return f"+{known.code}{national}" if usual and known.pattern.fullmatch(national) else None


def _long_enough(reading: CellReading, region: str) -> tuple[PhoneNumber, bool]:
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


def _parsed_fully(reading: CellReading, region: str) -> tuple[PhoneNumber, bool]:
    """The number, and whether the cell shows it unchanged."""
    number = _parsed(reading, region)
    _reject_kind(number)
    shown = _shows(reading, number, region)
    if not shown and not _rewrites(number, reading):
        raise RefusedPhoneError(Refusal.INVALID_PHONE)
    return number, shown


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


def _lists_two(cell: str, region: str) -> bool:
    """Whether a cell is two numbers that may be called, with a blank, a slash, a comma, or a word like "or" between them."""
    gaps = BETWEEN_NUMBERS.finditer(cell) if len(cell) <= MAX_CELL_CHARACTERS else ()
    return any(_is_callable_cell(cell[: gap.start()], region) and _is_callable_cell(cell[gap.end() :], region) for gap in gaps)


def _is_callable_cell(cell: str, region: str) -> bool:
    try:
        return _callable(read_cell(cell), region) is not None
    except CellError:
        return False


def _reject_two(reading: CellReading, region: str) -> None:
    """Reject two numbers written as one, with a space between them."""
    if len(reading.digits) > ONE_NUMBER[reading.international] and any(_splits(reading, end, region) for end in reading.separators):
        raise RefusedPhoneError(Refusal.TWO_NUMBERS)


def _splits(reading: CellReading, end: int, region: str) -> bool:
    """Whether the digits up to `end` are a number that may be called, and those after it another."""
    first, second = CellReading(reading.digits[:end], reading.international), CellReading(reading.digits[end:], international=False)
    return bool(_callable(first, region) and _callable(second, region))


def _reject_tail(reading: CellReading, number: PhoneNumber, region: str) -> None:
    """Reject a number that is, or looks, complete without its last digits, unless its country groups numbers that way."""
    tail = reading.tail
    groups = group_lengths(reading.digits, reading.separators)[-2:]
    if tail is None or any(form[-2:] == groups for form in groups_of(number)):
        return
    whole = CellReading(reading.digits[: -tail.digits], reading.international)
    if (tail.plainly and groups[0] >= LONG_GROUP) or _callable(whole, region):
        raise RefusedPhoneError(Refusal.NOT_ALONE)


def _callable(reading: CellReading, region: str) -> str | None:
    """The number in E.164 if it may be called."""
    try:
        return e164(_parsed_fully(reading, region)[0])
    except RefusedPhoneError:
        return None


def _reject_kind(number: PhoneNumber) -> None:
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
    if kind == PhoneNumberType.UNKNOWN and not is_fiction(e164(number)):
        raise RefusedPhoneError(Refusal.UNASSIGNED)


def _unreadable(error: NumberParseException) -> Refusal:
    return {
        NumberParseException.TOO_SHORT_NSN: Refusal.TOO_SHORT,
        NumberParseException.TOO_SHORT_AFTER_IDD: Refusal.TOO_SHORT,
        NumberParseException.TOO_LONG: Refusal.TOO_LONG,
    }.get(error.error_type, Refusal.INVALID_PHONE)
