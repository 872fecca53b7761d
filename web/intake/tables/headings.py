"""Finds the role of a column by its heading: a table of headings that files really have, in Hebrew, English and Arabic.

A heading counts only as a whole, never by a word in it: "phone of the neighbour" is not the phone of the lead. It is compared without
case, marks, quotation marks and separators, and without a 1 at its end: docs/headings.md.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple


class Role(StrEnum):
    """What a column is: the words of `mapping`."""

    PHONE = "phone"
    NAME = "name"
    LEAD_ID = "lead_id"
    TIMEZONE = "timezone"
    VARIABLE = "variable"
    IGNORE = "ignore"


class Heading(NamedTuple):
    """What a heading says: the role, and its rank among the headings of that role, the lowest first."""

    role: Role
    rank: int


# Each line is a rank: where a file has headings of several, the first line wins, and the others are variables.
PHONES: Final = (
    "phone",
    """mobile; mobile phone; mobile number; mobile phone number; mobile no; cell; cellular; cell phone; cellphone; cell number;
    cell phone number;
    mobile tel; phone mobile; mobile telephone; gsm; handphone
    | נייד; טלפון נייד; מספר נייד; מס נייד; מספר טלפון נייד; מס טלפון נייד; טל נייד; סלולרי; סלולארי; טלפון סלולרי;
    טלפון סלולארי; פלאפון;
    מספר פלאפון; מס פלאפון; מספר סלולרי; פלא; סלולר
    | جوال; الجوال; رقم الجوال; موبايل; الموبايل; رقم الموبايل; محمول; المحمول; رقم المحمول; هاتف محمول; الهاتف المحمول;
    رقم الهاتف المحمول; خلوي;
    الهاتف الخلوي; نقال; الهاتف النقال; بيلفون; بلفون""",
    """phone number; phone no; phonenumber; phones; telephone; telephone number; telephone no; tel; tel no; tel number; contact number;
    contact phone; contact no; number to call; phone e164; msisdn; lead phone; customer phone; client phone; primary phone; main phone
    | טלפון; מספר טלפון; מס טלפון; מספר הטלפון; טל; טלפונים; טלפון ראשי; טלפון ליצירת קשר; מספר לחיוג; טלפון לקוח; טלפון הלקוח;
    מספר ליצירת קשר
    | هاتف; الهاتف; رقم الهاتف; رقم هاتف; تلفون; التلفون; رقم التلفون; تليفون; رقم التليفون; رقم الاتصال; رقم التواصل""",
    """home phone; phone home; home telephone; landline; work phone; business phone; office phone
    | טלפון בית; טלפון בבית; טל בית; טלפון קווי; טלפון עבודה; טלפון בעבודה; קווי
    | هاتف المنزل; هاتف البيت; هاتف العمل; هاتف ارضي; الهاتف الارضي""",
)
NAMES: Final = (
    "name",
    """full name; fullname; customer name; client name; lead name; contact name; contact; person name; display name; your name;
    name and surname
    | שם; שם מלא; שם הלקוח; שם לקוח; שם איש קשר; איש קשר; שם פרטי ומשפחה; שם ומשפחה; שם משפחה ופרטי; שם התורם; שם החבר; שם המטופל
    | الاسم; اسم; الاسم الكامل; الاسم كامل; اسم العميل; اسم الزبون; اسم الشخص; الاسم الثلاثي""",
)
# Parts of a name: together they are the name where no other column is.
GIVEN_NAMES: Final = """first name; firstname; given name; forename | שם פרטי; פרטי | الاسم الاول; الاسم الشخصي"""
FAMILY_NAMES: Final = """last name; lastname; surname; family name | שם משפחה; משפחה; שם המשפחה
    | اسم العائلة; العائلة; الكنية; اللقب; اسم العيلة"""
LEAD_IDS: Final = (
    "lead id",
    """leadid; id; external id; customer id; client id; contact id; record id; customer no; customer number; client number;
    member id; donor id;
    lead no; lead number; crm id; subscriber id; uid
    | מזהה; מזהה לקוח; מזהה ליד; מספר לקוח; מס לקוח; קוד לקוח; מספר ליד; מספר מזהה; מספר תורם; מספר חבר; מספר מנוי
    | معرف; المعرف; رقم العميل; رقم الزبون; رمز العميل; رقم تعريفي; الرقم التعريفي""",
    """#; no; nr; num; number; row; serial; serial number; serial no; index; seq
    | מס; מספר; מספר סידורי; מס סידורי; סידורי; מספר שורה
    | رقم; الرقم; م; الرقم التسلسلي; رقم تسلسلي""",
)
TIMEZONES: Final = (
    "timezone",
    "time zone; time zone name | אזור זמן; איזור זמן | المنطقة الزمنية; منطقة زمنية",
)
MARKS: Final = re.compile("[\"'`\u05f3\u05f4\u2018\u2019\u201c\u201d]")
SEPARATORS: Final = re.compile(r"[\W_]+")
# "Phone 1" is "Phone"; "Phone 2" is another one.
FIRST: Final = re.compile(" 1$")
# Spellings of the same Arabic letter.
LETTERS: Final = str.maketrans("\u0623\u0625\u0622\u0629\u0649", "\u0627\u0627\u0627\u0647\u064a", "\u0640")
MAX_CHARACTERS: Final = 100


def role_of(heading: str) -> Heading | None:
    """What a heading says; None when it is not in the table."""
    key = comparable(heading) if heading and len(heading) <= MAX_CHARACTERS else ""
    return _table().get(key) or _table().get(FIRST.sub("", key))


def is_family_name(heading: str) -> bool:
    """Whether the heading is that of family names, which come after the others."""
    return comparable(heading) in _keys(FAMILY_NAMES)


def comparable(heading: str) -> str:
    """The heading as it is compared: small letters, without marks, words apart by one blank."""
    text = unicodedata.normalize("NFKC", heading[:MAX_CHARACTERS]).casefold().translate(LETTERS)
    text = "".join(letter for letter in text if unicodedata.category(letter) not in {"Cf", "Mn"})
    return SEPARATORS.sub(" ", MARKS.sub("", text)).strip() or text.strip()


@cache
def _table() -> dict[str, Heading]:
    ranks = {Role.PHONE: PHONES, Role.NAME: (*NAMES, f"{GIVEN_NAMES} | {FAMILY_NAMES}"), Role.LEAD_ID: LEAD_IDS, Role.TIMEZONE: TIMEZONES}
    return {key: Heading(role, rank) for role, lines in ranks.items() for rank, line in enumerate(lines) for key in _keys(line)}


# What the heading of a part of a name says.
PART_OF_NAME: Final = Heading(Role.NAME, len(NAMES))


@cache
def _keys(line: str) -> frozenset[str]:
    return frozenset(comparable(heading) for heading in re.split(r"[;|]", line))
