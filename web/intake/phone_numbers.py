"""Which numbers may be called: read with the business's region, written as E.164, or refused with a reason.

The cell is read by the grammar of `phone_cells`; the library is given nothing but the digits of the cell behind an optional plus. What
it makes of them must end in the digits of the cell: before them only an international prefix, a country code and a trunk prefix may go.

Accepted is what phonenumbers holds for assigned, and numbers reserved for fiction or plainly unassigned in the ranges below, so that a
demonstration and a test can be loaded. Refused are premium, shared-cost and satellite numbers (the fraud of twilio.md), emergency and
short ones, and everything else that cannot be a number.

On the road of a call: 1; what passes here is what Twilio will be asked to call.
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

# Longer ones are read as numbers first: a short code has at most six digits (ITU-T E.164 supplement 3 is not more precise).
SHORT_DIGITS: Final = 6
NORTH_AMERICA: Final = 1
# Country codes that belong to no country: satellites, global networks, premium services (phonenumbers calls their region 001).
NO_COUNTRY: Final = phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY

# Possible numbers that nobody has.
FICTION: Final = (
    re.compile(r"\+1[2-9]\d{2}55501\d{2}"),  # North America: 555-0100 to 555-0199 of every area (ATIS-0300115)
    re.compile(r"\+9725\d{8}"),  # Israel: mobile ranges not given out yet
    re.compile(r"\+447700900\d{3}"),  # United Kingdom: Ofcom's numbers for drama
)
DEAR: Final = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST, PhoneNumberType.PERSONAL_NUMBER})
NOBODY: Final = frozenset({PhoneNumberType.PAGER, PhoneNumberType.VOICEMAIL})
# One number has at most so many digits, nationally and behind a plus; longer ones are looked at for two numbers in one cell.
ONE_NUMBER: Final = {False: 12, True: 14}
# Who writes so many digits together has written a number to its end.
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
    Refusal.MISSING_PHONE: msgid("There is no phone number."),
    Refusal.INVALID_PHONE: msgid("This is not a phone number."),
    Refusal.TOO_SHORT: msgid("The phone number has too few digits."),
    Refusal.TOO_LONG: msgid("The phone number has too many digits."),
    Refusal.EMERGENCY: msgid("Emergency numbers are never called."),
    Refusal.SHORT_NUMBER: msgid("Short numbers are not called."),
    Refusal.PREMIUM: msgid("Premium-rate numbers are not called."),
    Refusal.SATELLITE: msgid("Satellite and international network numbers are not called."),
    Refusal.EXTENSION: msgid("A number with an extension cannot be called."),
    Refusal.NOT_DIALABLE: msgid("Nobody answers at a number of this kind."),
    Refusal.UNASSIGNED: msgid("No such number is given out in its country."),
    Refusal.NOT_ALONE: msgid("The cell holds more than a phone number."),
    Refusal.TWO_NUMBERS: msgid("The cell holds two phone numbers."),
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
    """A number as E.164; `altered` where more than separators, trunk zero and country code changed, so that a person should see it."""

    e164: str
    altered: bool = False


def read_phone(cell: object, region: str) -> PhoneReading:
    """The number in a cell; `region` (ISO 3166) says how a number without a country code is read.

    Raises:
        RefusedPhoneError: when the cell is not text, not a number alone, or not a number that may be called.
    """
    if cell is None:
        raise RefusedPhoneError(Refusal.MISSING_PHONE)
    if not isinstance(cell, str):
        raise RefusedPhoneError(Refusal.NOT_TEXT)
    cell = cell.strip()
    return _read(simple(cell) or _dialled(cell), region)


def read_international(cell: str) -> PhoneNumber:
    """A number of our own, such as a caller id: written with its country code; its range need not be in the library's tables yet.

    Raises:
        RefusedPhoneError: when it is not a number alone, has no plus, or has letters.
    """
    dialled = _dialled(cell)
    if not dialled.international or dialled.north_american:
        raise RefusedPhoneError(Refusal.INVALID_PHONE)
    number = _parsed(dialled, "ZZ")
    _refuse_tail(dialled, "ZZ")
    if not phonenumbers.is_possible_number(number):
        raise RefusedPhoneError(Refusal.INVALID_PHONE)
    return number


def _read(dialled: CellReading, region: str) -> PhoneReading:
    usual = None if dialled.north_american else _usual(dialled, region)
    if usual:
        return PhoneReading(usual, dialled.altered)
    written, shown = _long_enough(dialled, region)
    _refuse_two(dialled, region)
    return PhoneReading(written, dialled.altered or not shown)


def _dialled(cell: str) -> CellReading:
    try:
        return read_cell(cell)
    except CellError as error:
        raise RefusedPhoneError(FAULTS[error.fault]) from None


def _usual(dialled: CellReading, region: str) -> str | None:
    """The usual mobile or fixed number of the region, told by one pattern: ten times faster than `_judged`, to the same answer."""
    if dialled.tail:
        return None
    known = _numbers_of(region)
    digits = dialled.digits
    if known is None or not SHORT_DIGITS < len(digits) <= ONE_NUMBER[dialled.international]:
        return None
    if dialled.international:
        national = digits.removeprefix(known.code)
        usual = len(national) < len(digits)
    elif known.prefixes.match(digits):
        # A prefix that could be part of the number takes the whole judgement, as does any but the trunk prefix.
        national = digits.removeprefix(known.trunk)
        usual = len(national) < len(digits) and not known.pattern.fullmatch(digits)
    else:
        national, usual = digits, True
    return f"+{known.code}{national}" if usual and known.pattern.fullmatch(national) else None


@dataclass(frozen=True, slots=True)
class _Usual:
    """Of a region: its country code, its trunk prefix, all that may stand before a national number, and the usual national numbers."""

    code: str
    trunk: str
    prefixes: re.Pattern[str]
    pattern: re.Pattern[str]


@cache
def _numbers_of(region: str) -> _Usual | None:
    """The usual numbers of a region; None where its prefixes are not all there is to them."""
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


def _long_enough(dialled: CellReading, region: str) -> tuple[str, bool]:
    """Some islands have numbers as short as other countries' short ones: only what is no number there is refused as short."""
    digits = dialled.digits
    if not 1 < len(digits) <= SHORT_DIGITS:
        return _judged(dialled, region)
    if connects_to_emergency_number(digits, region):
        raise RefusedPhoneError(Refusal.EMERGENCY)
    try:
        return _judged(dialled, region)
    except RefusedPhoneError:
        raise RefusedPhoneError(Refusal.SHORT_NUMBER) from None


def _judged(dialled: CellReading, region: str) -> tuple[str, bool]:
    """The number in E.164, and whether the cell shows it as it is."""
    number = _parsed(dialled, region)
    written = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    _refuse_kind(number, written)
    shown = _shows(dialled, number, region)
    if not shown and not _rewrites(number, dialled):
        raise RefusedPhoneError(Refusal.INVALID_PHONE)
    return written, shown


def _parsed(dialled: CellReading, region: str) -> PhoneNumber:
    international = dialled.international
    if dialled.north_american and not international:
        if phonenumbers.country_code_for_region(region) != NORTH_AMERICA:
            raise RefusedPhoneError(Refusal.NOT_ALONE)
        international = True
    try:
        return phonenumbers.parse(f"+{dialled.digits}" if international else dialled.digits, region)
    except NumberParseException as error:
        raise RefusedPhoneError(_unreadable(error)) from None


def _shows(dialled: CellReading, number: PhoneNumber, region: str) -> bool:
    """Whether the cell ends in the number, and shows before it nothing but prefixes."""
    national = phonenumbers.national_significant_number(number)
    if not dialled.digits.endswith(national):
        return False
    prefix = dialled.digits[: len(dialled.digits) - len(national)]
    return not prefix or bool(_prefixes(number.country_code or 0, "ZZ" if dialled.international else region).fullmatch(prefix))


@cache
def _prefixes(code: int, region: str) -> re.Pattern[str]:
    """What may stand before a national number: how `region` dials abroad, the country's code, its trunk prefix with a carrier's."""
    here = phonenumbers.PhoneMetadata.metadata_for_region(region)
    abroad = f"(?:{here.international_prefix})?" if here and here.international_prefix else ""
    found = [phonenumbers.PhoneMetadata.metadata_for_region(region) for region in phonenumbers.region_codes_for_country_code(code)]
    trunks = {prefix for data in found if data for prefix in (data.national_prefix, data.national_prefix_for_parsing) if prefix}
    trunk = "|".join(f"(?:{prefix})" for prefix in sorted(trunks))
    return re.compile(f"(?:{abroad}{code})?" + (f"(?:{trunk})?" if trunk else ""), re.ASCII)


def _rewrites(number: PhoneNumber, dialled: CellReading) -> bool:
    """Whether the country writes its numbers nationally in another way (Argentina's 15, seven digits of a Caribbean island)."""
    regions = phonenumbers.region_codes_for_country_code(number.country_code or 0)
    rules = [phonenumbers.PhoneMetadata.metadata_for_region(region) for region in regions]
    national = phonenumbers.national_significant_number(number)
    ends_alike = national[-SHORT_DIGITS:] == dialled.digits[-SHORT_DIGITS:]
    return ends_alike and any(data and data.national_prefix_transform_rule for data in rules)


def _refuse_two(dialled: CellReading, region: str) -> None:
    """Refuse what is one long number only because two were written with a space between them, or more behind a whole one."""
    _refuse_tail(dialled, region)
    if len(dialled.digits) <= ONE_NUMBER[dialled.international]:
        return
    for end in dialled.separators:
        first, second = CellReading(dialled.digits[:end], dialled.international), CellReading(dialled.digits[end:], international=False)
        if _may_be_called(first, region) and _may_be_called(second, region):
            raise RefusedPhoneError(Refusal.TWO_NUMBERS)


def _refuse_tail(dialled: CellReading, region: str) -> None:
    """Refuse a number that is, or is written as if it were, whole without its last digits, unless its country groups numbers so."""
    if not dialled.tail or _usually_grouped(dialled, region):
        return
    whole = CellReading(dialled.digits[: -dialled.tail], dialled.international)
    if _group_lengths(dialled)[-2] >= LONG_GROUP or _may_be_called(whole, region):
        raise RefusedPhoneError(Refusal.TWO_NUMBERS)


def _group_lengths(dialled: CellReading) -> list[int]:
    return [end - start for start, end in pairwise([0, *dialled.separators, len(dialled.digits)])]


def _usually_grouped(dialled: CellReading, region: str) -> bool:
    """Whether the last two groups are as long as those the country writes this number with."""
    number = _parsed(dialled, region)
    groups = _group_lengths(dialled)[-2:]
    forms = (PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL)
    return any([len(group) for group in re.findall("[0-9]+", phonenumbers.format_number(number, form))][-2:] == groups for form in forms)


def _may_be_called(dialled: CellReading, region: str) -> bool:
    try:
        _judged(dialled, region)
    except RefusedPhoneError:
        return False
    return True


def _refuse_kind(number: PhoneNumber, written: str) -> None:
    if phonenumbers.region_code_for_country_code(number.country_code or 0) == NO_COUNTRY:
        raise RefusedPhoneError(Refusal.SATELLITE)
    possible = phonenumbers.is_possible_number_with_reason(number)
    if possible == ValidationResult.TOO_LONG:
        raise RefusedPhoneError(Refusal.TOO_LONG)
    if possible != ValidationResult.IS_POSSIBLE:
        raise RefusedPhoneError(Refusal.TOO_SHORT if possible == ValidationResult.TOO_SHORT else Refusal.INVALID_PHONE)
    kind = phonenumbers.number_type(number)
    if kind in DEAR:
        raise RefusedPhoneError(Refusal.PREMIUM)
    if kind in NOBODY:
        raise RefusedPhoneError(Refusal.NOT_DIALABLE)
    if kind == PhoneNumberType.UNKNOWN and not any(pattern.fullmatch(written) for pattern in FICTION):
        raise RefusedPhoneError(Refusal.UNASSIGNED)


def _unreadable(error: NumberParseException) -> Refusal:
    return {
        NumberParseException.TOO_SHORT_NSN: Refusal.TOO_SHORT,
        NumberParseException.TOO_SHORT_AFTER_IDD: Refusal.TOO_SHORT,
        NumberParseException.TOO_LONG: Refusal.TOO_LONG,
    }.get(error.error_type, Refusal.INVALID_PHONE)
