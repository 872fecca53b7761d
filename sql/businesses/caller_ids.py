"""A caller id as it is stored: with the country and the area code of its number, by which the claim chooses the nearest one."""

from __future__ import annotations

import phonenumbers


def stored(number: str) -> dict[str, str]:
    """`number` (E.164), its `country` (ISO 3166), and its `area`: the beginning that all numbers of its area share, empty without one.

    Mobile and toll-free numbers have no area. Source: the metadata of phonenumbers.
    """
    parsed = phonenumbers.parse(number)
    digits = phonenumbers.length_of_geographical_area_code(parsed)
    area = f"+{parsed.country_code}{phonenumbers.national_significant_number(parsed)[:digits]}" if digits else ""
    return {"number": number, "country": phonenumbers.region_code_for_number(parsed) or "", "area": area}
