"""Masks phone numbers in text, however people write them, and leaves look-alikes: times, ids, addresses, decimals.

Pure: no I/O.
"""

from __future__ import annotations

import re

MASK = "***"
SHOWN_DIGITS = 3  # of a phone number: enough to tell two apart, not to call one
MIN_WRITTEN_DIGITS = 7  # with a separator, a plus or a name before it, this many digits are a phone number
MIN_BARE_DIGITS = 9  # without any; our own ids are shorter

# What people put between the digits: blanks of every width, dashes, dots, brackets, invisible marks; and the same as URLs (%20, a plus)
# and JSON (\u2013) write them. Not a comma, a colon or a line end: those end a number.
_ESCAPED = r"(?:%2[089BDEFbdef]|(?:%[89A-Fa-f][0-9A-Fa-f]){1,4}|\\u[0-9A-Fa-f]{4}|\\x(?:a0|ad|b7))"
_SEPARATOR = (
    r"(?:[^\S\r\n]|[-./()_+\u2010-\u2015\u2212\u05be\u00ad\ufe58\ufe63\uff0d\u00b7\u2022\u2024\u3002\uff0e\uff08\uff09\uff0b\uff0f"
    rf"\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u061c]|{_ESCAPED})"
)
_NUMBER = rf"(?P<number>(?:(?:[+\uff0b]|%2[Bb])(?:{_SEPARATOR}){{0,3}})?\d(?:(?:{_SEPARATOR}){{0,4}}\d)*)"

# Between the groups of one number people also write what ends a number elsewhere: 050,123,4567, 050:123:4567, 050|123|4567. Such a
# number begins with 0 or has groups as a phone number has; lists, ratios, times and thousands look otherwise.
_ODD_ESCAPE = r"%(?:2[1-9A-Ca-c]|3[A-Fa-f]|40|5[B-Eb-e]|60|7[B-Eb-e])|\\u20[0-9a-f]{2}"
_ODD = rf"(?:{_SEPARATOR}?(?!{_SEPARATOR})(?:[^\w\s\-./()+%\\]|{_ODD_ESCAPE}){_SEPARATOR}?)"
_BEGINS_WITH_0 = rf"0\d{{1,3}}(?:{_SEPARATOR}\d{{2,4}}){{0,2}}{_ODD}\d{{2,8}}(?:(?:{_ODD}|{_SEPARATOR})\d{{2,8}}){{0,4}}"
_GROUPED = rf"(?:\d{{1,3}}{_ODD}){{1,3}}\d{{3}}{_ODD}\d{{4}}|(?(named)\d{{3}}{_ODD}\d{{4}}|(?!))"
_PARTED = rf"(?P<parted>\+?(?:{_BEGINS_WITH_0}|{_GROUPED})(?!\d))"
_PAIRS = r"(?P<pairs>(?<![\d:])0\d(?::\d\d){4}(?![:\d]))"  # as the French write it, and longer than a time

# Names after which even a short number is a phone number: phone:5550123, "to": "20123456".
_NAMED = (
    r"(?i:(?P<named>(?:(?:phone|mobile|msisdn|callee|caller|(?<![a-z])(?:tel|cell)|\u05d8\u05dc\u05e4\u05d5\u05df|\u05e0\u05d9\u05d9\u05d3)"
    r"(?:[\s_-]?(?:numbers?|no|nr|id))?[.#]?(?:\s(?:is|was))?\s{1,2}[#\"']?(?=[+\d(])"
    r"|(?:phone|mobile|msisdn|callee|caller|called|(?<![a-z])(?:tel|cell|to|from)|\u05d8\u05dc\u05e4\u05d5\u05df"
    r"|\u05e0\u05d9\u05d9\u05d3)(?:[_-]?(?:number|no|id|s))?\\?[\"']?\s{0,2}[:=]\s{0,2}\\?[\"']?)))"
)

_DAY = r"(?:0[1-9]|[12]\d|3[01])"
_MONTH = r"(?:0[1-9]|1[0-2])"
_YEAR = r"(?:19|20)\d\d"
_ZONE = r"\s?(?:Z|[+-](?:0\d|1[0-4]):?[0-5]\d(?![-. ]?\d))"
_TIME = rf"\d\d?:\d\d(?::\d\d(?:[.,]\d{{1,9}})?)?(?:{_ZONE})?(?!\d)"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_READABLE = "|".join(
    (
        # Ids: Twilio's sids, uuids, digests and nonces. Sixteen digits without a letter are none.
        r"(?<![^\W_])(?:[A-Z]{2}[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64}|[0-9a-f]{40})(?![^\W_])",
        r"(?<![^\W_])(?:[0-9a-f]{32}|(?=[0-9]{0,15}[a-f])[0-9a-f]{16})(?![^\W_])",
        rf"(?<!\d){_YEAR}(?P<dash>[-./]){_MONTH}(?P=dash){_DAY}(?:[T_ ]{_TIME})?(?!\d)",
        rf"(?<!\d)(?:{_DAY}(?P<dot>[./]){_MONTH}(?P=dot)|{_MONTH}/{_DAY}/){_YEAR}(?:,?\s{_TIME})?(?!\d)",
        rf"(?<![\d:]){_TIME}",
        r"(?<![\w:.])(?:(?=[0-9A-Fa-f:]{0,39}::)[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}|[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){7})(?![\w:])",
        rf"(?<![\d,])[1-9]\d{{0,2}}(?:,\d{{3}})+(?!(?:{_ODD}|{_SEPARATOR}{{1,4}})?\d)",  # thousands
        r"(?<![\d:])[1-9]\d{2,}:[0-5]\d:[0-5]\d(?![\d:])",  # hours, minutes, seconds
        rf"(?<![\d+.-]){_OCTET}(?:\.{_OCTET}){{3}}(?::\d{{1,5}}|/\d\d?)?(?!\w|[-.]\d)",
        r"(?<=://)[a-z][a-z.-]{0,253}:\d{1,5}(?!\d)",  # the port of an address, before a path that begins with a digit
        r"(?<![a-z])ip(?:-\d{1,3}){4}(?![\d-])",  # the name a cloud gives a machine
        r"(?<![\w+-])1\d{12}-\d{1,6}(?![\w-])",  # an entry of a stream
        r"(?<![\w-])\d{1,12}-\d{1,19}-\*\*\*",  # a reference whose nonce is masked already
    )
)
# The last alternative: the digits of %20 are not part of the number behind them.
_FOUND = re.compile(
    rf"{_PAIRS}|(?P<readable>{_READABLE})|{_NAMED}?(?:{_PARTED}|{_NUMBER})|(?P<escaped>%[0-9A-Fa-f]{{2}}|\\u[0-9A-Fa-f]{{4}}|\\x[0-9a-f]{{2}})"
)

_ENOUGH = re.compile(rf"(?:\D*\d){{{MIN_WRITTEN_DIGITS}}}")
_ESCAPE = re.compile(rf"{_ODD_ESCAPE}|{_ESCAPED}")
_DECIMAL = re.compile(r"(?:0|[1-9]\d*)\.\d+")
# 212.5550123 and 501234567.0 are phone numbers; seconds since 1970 are not.
_PHONE_DECIMAL = re.compile(r"\d{2,4}\.\d{7,8}|(?!1\d{9}\.\d*[1-9])\d{7,}\.\d+")
_SPREADSHEET = re.compile(r"[eE]\+?(?:0?[6-9]|1[0-5])(?!\d)")  # 9.72501234567E+11


def mask_phone(text: str) -> str:
    """A phone number as its last three digits; `***` when it is too short to hide the rest."""
    digits = re.sub(r"\D", "", text)
    return MASK + digits[-SHOWN_DIGITS:] if len(digits) > 2 * SHOWN_DIGITS else MASK


def mask_phones(text: str) -> str:
    """Mask every phone number in `text`."""
    return _FOUND.sub(_decide, text) if _ENOUGH.match(text) else text


def _decide(found: re.Match[str]) -> str:
    named = found["named"] or ""
    parted = found["pairs"] or found["parted"]
    if parted is not None:
        plain = _ESCAPE.sub("-", parted)
        enough = MIN_WRITTEN_DIGITS if named else MIN_BARE_DIGITS
        return named + (mask_phone(plain) if sum(map(str.isdecimal, plain)) >= enough else parted)
    number = found["number"]
    if number is None:
        return found[0]
    plain = _ESCAPE.sub("-", number)
    international = number[0] in "+\uff0b%"
    behind = found.string[found.end() : found.end() + len("E+11") + 1]
    return named + (mask_phone(plain) if _is_phone(plain, behind, sure=bool(named) or international) else number)


def _is_phone(number: str, behind: str, *, sure: bool) -> bool:
    digits = sum(map(str.isdecimal, number))
    if digits < MIN_WRITTEN_DIGITS:
        return False
    if sure or _SPREADSHEET.match(behind):
        return True
    if number.isdecimal():
        return digits >= MIN_BARE_DIGITS
    return not _DECIMAL.fullmatch(number) or _PHONE_DECIMAL.fullmatch(number) is not None
