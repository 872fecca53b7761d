"""The form of the calling rules: retries by outcome, the pause between calls to a person, and how many a day."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from web.pages.settings.business_form import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sql.businesses.businesses import Business
    from web.pages.forms import Form

# The outcomes that can be called again, as contract section 7 names them.
OUTCOMES: Final = ("no-answer", "busy", "failed", "machine")
SEPARATORS: Final = re.compile(r"[\s,;]+")


def values(business: Business) -> dict[str, Any]:
    """The fields as they are shown: `busy_times` further calls, after `busy_minutes` separated by commas."""
    own = {"min_gap_hours": _plain(business.min_gap_hours), "max_per_day": business.max_per_day or ""}
    return {**own, **values_of_retries(business.retries)}


def values_of_retries(retries: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields of the retries alone."""
    shown: dict[str, Any] = {}
    for outcome in OUTCOMES:
        retry = (retries or {}).get(outcome) or {}
        shown[f"{outcome}_times"] = retry.get("times", "")
        shown[f"{outcome}_minutes"] = ", ".join(str(_plain(minutes)) for minutes in retry.get("after_minutes", []))
    return shown


def changes(form: Form) -> dict[str, Any]:
    """The fields of `BusinessChanges`."""
    return {
        "retries": retries_of(form),
        "min_gap_hours": number(form.get("min_gap_hours", "")),
        "max_per_day": number(form.get("max_per_day", "")),
    }


def retries_of(form: Form) -> dict[str, Any] | None:
    """The retries; an outcome without a number of calls is not called again."""
    retries = {}
    for outcome in OUTCOMES:
        times = number(form.get(f"{outcome}_times", ""))
        if times:
            minutes = [number(text) for text in SEPARATORS.split(form.get(f"{outcome}_minutes", "").strip()) if text]
            retries[outcome] = {"times": times, "after_minutes": minutes}
    return retries or None


def place(path: Sequence[str]) -> str:
    """The field of the form for a field of the rules, such as `busy_minutes`."""
    if len(path) == 1 or path[1] not in OUTCOMES:
        return path[0]
    return f"{path[1]}_times" if path[2:] == ["times"] else f"{path[1]}_minutes"


def _plain(value: float | None) -> float | int | str:
    """24.0 as 24; empty for none."""
    if value is None:
        return ""
    return int(value) if float(value).is_integer() else value
