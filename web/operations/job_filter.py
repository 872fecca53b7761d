"""Selects leads of a run: by status, by last outcome, and by a search for a name, a number in any spelling, or a lead id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import phonenumbers

from sql.jobs.jobs import JobSearch
from web.server import keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web as http

    from web.access.auth import Principal

# The outcomes that leads can be filtered by, in the order of the contract.
OUTCOMES: Final = ("human", "machine", "answered", "fax", "no-answer", "busy", "failed", "refused", "canceled", "lost")
# In the place of outcomes: any of them, which is a lead that has been called; and none, a lead that has not.
CALLED: Final = "called"
NONE: Final = "none"
OUTCOME_WORDS: Final = (*OUTCOMES, CALLED, NONE)
MAX_SEARCH_CHARACTERS: Final = 255
# Nearly every number contains shorter ones.
LEAST_DIGITS: Final = 3
# What people write in and around a number.
NUMBER: Final = re.compile(r"[+\d\s().\-/\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{EN DASH}\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}]+")
INTERNATIONAL_PREFIXES: Final = ("00", "011")


def outcomes_of(words: Sequence[str] | None) -> Sequence[str] | None:
    """The outcomes that these words (OUTCOME_WORDS) stand for, as the filter of the database takes them."""
    return [*words, *OUTCOMES] if words and CALLED in words else words


async def job_search(request: http.Request, principal: Principal, text: str | None) -> JobSearch | None:
    """The search; None without a text. A number without its country code is read in the region of the business."""
    if text is None or not text.strip():
        return None
    business = await request.app[keys.BUSINESSES].get(principal.business_id)
    text = text.strip()
    return JobSearch(f"%{_escaped(text)}%", text, phone_patterns(text, business.region if business else ""))


def phone_patterns(text: str, region: str) -> tuple[str, ...]:
    """LIKE patterns for the numbers in E.164 that `text` may mean, as people in `region` (ISO 3166) write them."""
    digits = "".join(str(int(c)) for c in text if c.isdecimal())
    if len(digits) < LEAST_DIGITS or not NUMBER.fullmatch(text):
        return ()
    if text.lstrip().startswith("+"):
        return (f"+{_without_trunk(digits, region)}%", f"+{digits}%")
    return (f"%{digits}%", *(f"+{start}%" for start in _international(digits, region)))


def _international(digits: str, region: str) -> list[str]:
    """How the number may begin in E.164: it was written nationally, with an international prefix, or with country code and trunk prefix."""
    code, trunk = _plan(region)
    found = [digits.removeprefix(prefix) for prefix in INTERNATIONAL_PREFIXES if digits.startswith(prefix)]
    if trunk and digits.startswith(trunk):
        found.append(f"{code}{digits.removeprefix(trunk)}")
    found = [*found, digits]
    return list(dict.fromkeys(_without_trunk(start, region) for start in found))


def _without_trunk(digits: str, region: str) -> str:
    """Without the trunk prefix after the country code, where no number of the region has one: +972 (0)50."""
    code, trunk = _plan(region)
    return f"{code}{digits.removeprefix(code + trunk)}" if trunk and code and digits.startswith(code + trunk) else digits


def _plan(region: str) -> tuple[str, str]:
    """The country code and the trunk prefix of a region."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    return (str(metadata.country_code), metadata.national_prefix or "") if metadata else ("", "")


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)
