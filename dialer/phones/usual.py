"""Describes the usual numbers of a region by one pattern, so that most numbers of a list need no full parse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import phonenumbers

from dialer.phones.plans import fixed_lengths, writes_no_trunk

if TYPE_CHECKING:
    from phonenumbers.phonemetadata import PhoneNumberDesc


@dataclass(frozen=True, slots=True)
class UsualNumbers:
    """Of a region: country code, trunk prefix, all prefixes of a national number, and the pattern of its usual national numbers.

    `fixed` are the lengths at which a digit too many or too few shows; `bare` is true where no number is written with the trunk prefix.
    """

    code: str
    trunk: str
    prefixes: re.Pattern[str]
    pattern: re.Pattern[str]
    fixed: frozenset[int]
    bare: bool


@cache
def usual_numbers(region: str) -> UsualNumbers | None:
    """The usual numbers of a region; None if the region rewrites numbers in other ways than by prefixes."""
    data = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if data is None or not data.national_prefix or data.national_prefix_transform_rule or data.leading_zero_possible:
        return None
    refused = _pattern(data.premium_rate, data.shared_cost, data.personal_number, data.pager, data.voicemail)
    usual = _pattern(data.mobile, data.fixed_line)
    pattern = re.compile(f"(?!(?:{refused})$)(?:{usual})" if refused else f"(?:{usual})", re.ASCII)
    code, trunk = str(data.country_code), data.national_prefix
    prefixes = [code, trunk, data.international_prefix, data.national_prefix_for_parsing]
    every = re.compile("|".join(f"(?:{prefix})" for prefix in prefixes if prefix), re.ASCII)
    return UsualNumbers(code, trunk, every, pattern, fixed_lengths(region), writes_no_trunk(region))


def _pattern(*kinds: PhoneNumberDesc | None) -> str:
    return "|".join(kind.national_number_pattern for kind in kinds if kind and kind.national_number_pattern)
