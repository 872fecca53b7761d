"""The form of the calling hours: two intervals for each day of the week, holidays and the days before them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from babel.dates import get_day_names

from dialer.policy.calling_hours import WEEKDAYS
from web.server import i18n
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from web.pages.forms import Form

EVES: Final = "holiday_eves"
BOXES: Final = ("always", "has_eves")
INTERVALS: Final = range(2)
# As people name them; the first of the list is Sunday.
DAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
# A line of the list of dates: the date, and its hours; without hours it is closed.
DATE: Final = re.compile(r"(\d{4}-\d{2}-\d{2})\s*(.*)")
INTERVAL: Final = re.compile(r"(\d{1,2}:\d{2})\s*[-\N{EN DASH}]\s*(\d{1,2}:\d{2})")


def values(business: Business) -> dict[str, Any]:
    """The fields as they are shown for the hours of the business."""
    return values_of(business.calling_hours)


def values_of(hours: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields as they are shown; `monday_0_from` is where the first interval of Monday begins. None: always open."""
    shown: dict[str, Any] = {"always": hours is None, "holidays": "closed", "dates": "", "has_eves": False}
    if hours is None:
        return shown
    shown |= {"holidays": hours.get("holidays", "closed"), "has_eves": hours.get(EVES) is not None}
    shown["dates"] = "\n".join(f"{day} {_text_of(intervals)}".strip() for day, intervals in sorted((hours.get("dates") or {}).items()))
    for day in (*WEEKDAYS, EVES):
        for n, (start, end) in enumerate((hours.get(day) or [])[: len(INTERVALS)]):
            shown |= {f"{day}_{n}_from": start, f"{day}_{n}_to": end}
    return shown


def changes(form: Form) -> dict[str, Any]:
    """The fields of `BusinessChanges`."""
    if form.get("always") == "1":
        return {"calling_hours": None}
    hours: dict[str, Any] = {day: _intervals(form, day) for day in WEEKDAYS}
    hours["holidays"] = form.get("holidays", "closed")
    if form.get("has_eves") == "1":
        hours[EVES] = _intervals(form, EVES)
    hours["dates"] = _dates(form.get("dates", ""))
    return {"calling_hours": hours}


def place(path: Sequence[str]) -> str:
    """The row of the form that a field of the calling hours is in: a day, or the list of dates."""
    return path[1] if len(path) > 1 and path[1] in {*WEEKDAYS, EVES, "dates"} else path[0]


def summary(request: http.Request, hours: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Days with the same hours together, each with its times, in the reader's language; empty: always open."""
    if hours is None:
        return []
    names = get_day_names("abbreviated", locale=i18n.language(request))
    found: list[tuple[list[str], str]] = []
    for number, day in enumerate(DAYS):
        times = ", ".join(f"{begin}\N{EN DASH}{end}" for begin, end in hours.get(day) or []) or i18n.sentence(request, msgid("closed"))
        name = names[(number + 6) % 7]
        if found and found[-1][1] == times:
            found[-1][0].append(name)
        else:
            found.append(([name], times))
    return [(days[0] if len(days) == 1 else f"{days[0]}\N{EN DASH}{days[-1]}", times) for days, times in found]


def _intervals(form: Form, day: str) -> list[list[str]]:
    found = [[form.get(f"{day}_{n}_{end}", "").strip() for end in ("from", "to")] for n in INTERVALS]
    return [[_padded(start), _padded(end)] for start, end in found if start or end]


def _dates(text: str) -> dict[str, list[list[str]]]:
    """A line a date; a line that is none stays as it is, and the check names it."""
    dates: dict[str, list[list[str]]] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        match = DATE.fullmatch(line)
        day, rest = (match[1], match[2]) if match else (line, "")
        dates[day] = [[_padded(start), _padded(end)] for start, end in INTERVAL.findall(rest)]
    return dates


def _padded(text: str) -> str:
    """9:00 as 09:00."""
    return text.zfill(len("00:00"))


def _text_of(intervals: Sequence[Sequence[str]]) -> str:
    return ", ".join(f"{start}-{end}" for start, end in intervals)
