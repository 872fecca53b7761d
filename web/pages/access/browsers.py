"""Names the browser and the system of a User-Agent, for people who look for a browser they do not know."""

from __future__ import annotations

from typing import Final

# The first that is found: Edge says Chrome too, Chrome says Safari too, an iPhone says Mac OS too.
BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
SYSTEMS: Final = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
MAX_CHARACTERS: Final = 40


def browser_of(user_agent: str) -> str:
    """`Firefox, Windows`; the beginning of the User-Agent when neither is known, empty when there is none."""
    found = [next((name for mark, name in known if mark in user_agent), "") for known in (BROWSERS, SYSTEMS)]
    return ", ".join(name for name in found if name) or user_agent[:MAX_CHARACTERS]
