"""Sentences in the reader's language: the code holds the English ones, `web/locale` the translations.

The catalogs are read from their `.po` files when the process starts; there is nothing to compile.
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
    """Mark a sentence that is translated later, so that the extractor finds it; returns it unchanged."""
    return text


def sentence(request: http.Request, text: str, **values: object) -> str:
    """`text` in the reader's language, with `{name}` replaced by `values`; an unknown sentence stays English."""
    return translate(language(request), text, **values)


def translate(language: Language, text: str, **values: object) -> str:
    """`text` in this language, with `{name}` replaced by `values`."""
    translation = singular(language, text)
    return translation.format(**values) if values else translation


def singular(language: Language, text: str) -> str:
    """The translation of `text`, or `text` itself."""
    translation = _catalog(language).get(text)
    return translation[0] if translation else text


def plural(language: Language, one: str, many: str, count: int) -> str:
    """The translation of `one` or `many`, whichever fits `count`, with its placeholders."""
    translation = _catalog(language).get(one)
    forms = translation if translation and len(translation) > 1 else (one, many)
    return forms[0] if count == 1 else forms[1]


def language(request: http.Request) -> Language:
    """The reader's choice: the cookie, else the best match of Accept-Language, else English."""
    chosen = _CODES.get(request.cookies.get(COOKIE, ""))
    return chosen or _accepted(request.headers.get("Accept-Language", ""))


def direction(language: Language) -> Literal["ltr", "rtl"]:
    """The writing direction of this language."""
    return "rtl" if language == "he" else "ltr"


def load() -> None:
    """Read all catalogs now; called at startup, so that a broken one is found there.

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
    translations: dict[str, tuple[str, ...]] = {}
    for message in catalog:
        key = message.id if isinstance(message.id, str) else message.id[0]
        forms = (message.string,) if isinstance(message.string, str) else tuple(message.string or ())
        if key and forms and all(forms) and not message.fuzzy:
            translations[key] = forms
    return translations


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
