"""Sentences in the reader's language: the code holds the English ones, `web/locale` the translations.

Each language is one catalog, `web/locale/CODE/LC_MESSAGES/messages.po`: its name and its writing direction follow from the code, its plural
forms from the catalog. The catalogs are read when the process starts; there is nothing to compile.
"""

from __future__ import annotations

import gettext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from babel import Locale, UnknownLocaleError
from babel.messages.pofile import read_po

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp import web as http
    from babel.messages.catalog import Catalog

# ISO 639-1, or -2 for a language without one.
Language: TypeAlias = str

ENGLISH: Final = "en"
COOKIE: Final = "language"
COOKIE_SECONDS: Final = 365 * 24 * 3600
LOCALE: Final = Path(__file__).parents[1] / "locale"
# What Java and old Android browsers still send (ISO 639 withdrew these codes in 1989).
_OLD_CODES: Final = {"iw": "he", "in": "id", "ji": "yi"}
_MAX_HEADER_CHARACTERS: Final = 500
_MAX_CHOICES: Final = 20
# No language has a rule about more than the last two digits of a count.
_COUNTS_TRIED: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Language:
    """What is known of a language; `form` is the number of the plural form for a count."""

    name: str
    direction: Literal["ltr", "rtl"]
    form: Callable[[int], int]
    translations: Mapping[str, tuple[str, ...]]


def msgid(text: str) -> str:
    """Mark a sentence that is translated later, so that the extractor finds it; returns it unchanged."""
    return text


def msgids(one: str, many: str) -> tuple[str, str]:
    """Mark a sentence with a count, in the form for one and in that for several; as `msgid`."""
    return one, many


def sentence(request: http.Request, text: str, **values: object) -> str:
    """`text` in the reader's language, with `{name}` replaced by `values`; an unknown sentence stays English."""
    return translate(language(request), text, **values)


def translate(language: Language, text: str, **values: object) -> str:
    """`text` in this language, with `{name}` replaced by `values`."""
    translation = singular(language, text)
    return translation.format(**values) if values else translation


def singular(language: Language, text: str) -> str:
    """The translation of `text`, or `text` itself."""
    translation = _language(language).translations.get(text)
    return translation[0] if translation else text


def plural(language: Language, one: str, many: str, count: int) -> str:
    """The translation of `one` or `many` in the form that the language has for `count`, with its placeholders."""
    known = _language(language)
    forms = known.translations.get(one, ())
    if len(forms) > 1:
        return forms[known.form(count)]
    return one if count == 1 else many


def language(request: http.Request) -> Language:
    """The reader's choice: the cookie, else the best match of Accept-Language, else English."""
    return _known(request.cookies.get(COOKIE, "")) or _accepted(request.headers.get("Accept-Language", ""))


def languages() -> list[Language]:
    """The codes of all languages, English first."""
    return list(_languages())


def own_name(language: Language) -> str:
    """The name of this language in itself."""
    return _language(language).name


def direction(language: Language) -> Literal["ltr", "rtl"]:
    """The writing direction of this language."""
    return _language(language).direction


def load() -> None:
    """Read all catalogs now; called at startup, so that a broken one is found there.

    Raises:
        OSError, babel.messages.pofile.PoFileError: when a catalog cannot be read.
        ValueError: when the folder of one is not the code of a language, or its plural forms are wrong; the message names the file.
    """
    _languages()


@cache
def _languages() -> dict[Language, _Language]:
    """Every language, by its code."""
    paths = sorted(LOCALE.glob("*/LC_MESSAGES/messages.po"))
    english = _Language("English", "ltr", lambda count: int(count != 1), {})
    return {ENGLISH: english, **{path.parts[-3]: _read(path) for path in paths}}


def _language(code: Language) -> _Language:
    return _languages()[code]


def _known(code: str) -> Language | None:
    code = _OLD_CODES.get(code, code)
    return code if code in _languages() else None


def _read(path: Path) -> _Language:
    """The language of a catalog.

    Raises:
        OSError, PoFileError, ValueError: as `load`.
    """
    code = path.parts[-3]
    with path.open("rb") as file:
        catalog = read_po(file, abort_invalid=True)
    try:
        locale = Locale(code)
        form = gettext.c2py(catalog.plural_expr)
    except (UnknownLocaleError, ValueError) as error:
        message = f"{path}: {error}"
        raise ValueError(message) from error
    if max(map(form, range(_COUNTS_TRIED))) >= catalog.num_plurals:
        message = f"{path}: Plural-Forms has fewer nplurals than its rule gives"
        raise ValueError(message)
    direction: Literal["ltr", "rtl"] = "rtl" if locale.text_direction == "rtl" else "ltr"
    return _Language(locale.get_display_name(code) or code, direction, form, _translations(catalog))


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
    known = [(weight, code) for weight, written in choices if weight > 0 and (code := _known(written))]
    return max(known, key=lambda item: item[0])[1] if known else ENGLISH


def _choice(part: str) -> tuple[float, str]:
    tag, _, parameter = part.strip().partition(";")
    name, _, weight = parameter.strip().partition("=")
    code = tag.strip().lower().split("-")[0]
    try:
        return (float(weight) if name == "q" else 1.0), code
    except ValueError:
        return 0.0, code
