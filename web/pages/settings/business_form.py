"""The form of the business itself: its name, where it is, the numbers it calls from, its lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sql.businesses.businesses import Business
    from web.pages.forms import Form

SEPARATORS: Final = re.compile(r"[\n,;]+")


def values(business: Business) -> dict[str, Any]:
    """The fields as they are shown: caller ids a line each, countries separated by commas."""
    return {
        "name": business.name,
        "region": business.region,
        "timezone": business.timezone,
        "caller_ids": "\n".join(business.caller_ids),
        "max_calls": business.max_calls,
        "allowed_countries": ", ".join(business.allowed_countries or []),
        "retention_days": business.retention_days or "",
    }


def changes(form: Form) -> dict[str, Any]:
    """The fields of `BusinessChanges`; an empty list of countries allows all, no days keep everything."""
    countries = [country.strip().upper() for country in SEPARATORS.split(form.get("allowed_countries", "")) if country.strip()]
    return {
        "name": form.get("name", "").strip(),
        "region": form.get("region", "").strip().upper(),
        "timezone": form.get("timezone", "").strip(),
        "caller_ids": caller_ids(form),
        "max_calls": number(form.get("max_calls", "")),
        "allowed_countries": countries or None,
        "retention_days": number(form.get("retention_days", "")),
    }


def caller_ids(form: Form) -> list[str]:
    """The numbers to call from, as they were typed."""
    return [number.strip() for number in SEPARATORS.split(form.get("caller_ids", "")) if number.strip()]


def number(text: str) -> int | float | str | None:
    """The number a field holds; None for an empty one, the text itself when it is none: the check names the field."""
    text = text.strip()
    if not text:
        return None
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text
