"""Sentences in the reader's language: English is what the code says, the others come from `web/locale`.

The catalogs are read from their `.po` files when the process starts; there is nothing to compile.

On the road of a call: beside it. Whatever a person reads of a call, on a page or in an error of the API, is said here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from babel.messages.pofile import read_po

if TYPE_CHECKING:
    from aiohttp import web as http
    from babel.messages.catalog import Catalog

Language: TypeAlias = Literal["en", "he"]

LANGUAGES: Final[tuple[Language, ...]] = ("en", "he")
COOKIE: Final = "language"
COOKIE_SECONDS: Final = 365 * 24 * 3600
LOCALE: Final = Path(__file__).parents[1] / "locale"
# `iw` is what Java and old Android browsers still send for Hebrew (ISO 639 withdrew it in 1989).
_CODES: Final[dict[str, Language]] = {"en": "en", "he": "he", "iw": "he"}
_MAX_HEADER_CHARACTERS: Final = 500
_MAX_CHOICES: Final = 20


def msgid(text: str) -> str:
    """Mark a sentence that is written down here and said later, so that the extractor finds it; returns it unchanged."""
    return text


def sentence(request: http.Request, text: str, **values: object) -> str:
    """Say `text` in the reader's language, with `{name}` replaced by `values`; an unknown sentence stays English."""
    return said(language(request), text, **values)


def said(language: Language, text: str, **values: object) -> str:
    """Say `text` in this language."""
    found = singular(language, text)
    return found.format(**values) if values else found


def singular(language: Language, text: str) -> str:
    """The translation of `text`, or `text` itself."""
    translation = _catalog(language).get(text)
    return translation[0] if translation else text


def plural(language: Language, one: str, many: str, count: int) -> str:
    """The translation of `one` or `many`, whichever fits `count`, as yet without its values."""
    translation = _catalog(language).get(one)
    forms = translation if translation and len(translation) > 1 else (one, many)
    return forms[0] if count == 1 else forms[1]


def language(request: http.Request) -> Language:
    """The reader's choice: the cookie, else the best of Accept-Language that we speak, else English."""
    chosen = _CODES.get(request.cookies.get(COOKIE, ""))
    return chosen or _accepted(request.headers.get("Accept-Language", ""))


def direction(language: Language) -> Literal["ltr", "rtl"]:
    """Which way this language is written."""
    return "rtl" if language == "he" else "ltr"


def load() -> None:
    """Read all catalogs now; called at the start, so that a broken one is found there.

    Raises:
        OSError, babel.messages.pofile.PoFileError: when a catalog is missing or broken.
    """
    for known in LANGUAGES:
        _catalog(known)


@cache
def _catalog(language: Language) -> dict[str, tuple[str, ...]]:
    if language == "en":
        return {}
    path = LOCALE / language / "LC_MESSAGES" / "messages.po"
    with path.open("rb") as file:
        return _translations(read_po(file, locale=language, abort_invalid=True))


def _translations(catalog: Catalog) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for message in catalog:
        key = message.id if isinstance(message.id, str) else message.id[0]
        forms = (message.string,) if isinstance(message.string, str) else tuple(message.string or ())
        if key and forms and all(forms) and not message.fuzzy:
            found[key] = forms
    return found


def _accepted(header: str) -> Language:
    choices = [_choice(part) for part in header[:_MAX_HEADER_CHARACTERS].split(",")[:_MAX_CHOICES]]
    # RFC 9110 12.5.4: the highest weight wins; among equals the first one written.
    known = [(weight, code) for weight, code in choices if weight > 0 and code in _CODES]
    return _CODES[max(known, key=lambda item: item[0])[1]] if known else "en"


def _choice(part: str) -> tuple[float, str]:
    tag, _, parameter = part.strip().partition(";")
    name, _, weight = parameter.strip().partition("=")
    code = tag.strip().lower().split("-")[0]
    try:
        return (float(weight) if name == "q" else 1.0), code
    except ValueError:
        return 0.0, code
