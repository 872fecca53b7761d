"""Every catalog has each sentence, with the same placeholders; figures and times are formatted correctly."""

from __future__ import annotations

import hashlib
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from babel.messages.extract import extract_from_file

from telephony import endings, refusals
from tests.browser_session import BrowserSession, text_of
from web.pages import assets, formatting
from web.server import i18n

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.web_site import Site

WEB = Path(i18n.__file__).parents[1]
KEYWORDS: dict[str, Any] = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "msgid": None,
    "msgids": (1, 2),
    "sentence": (2,),
    "translate": (2,),
    "plural": (2, 3),
}
ARABIC = "nplurals=6; plural=(n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 ? 4 : 5);"
CZECH = "nplurals=3; plural=(n==1 ? 0 : n>=2 && n<=4 ? 1 : 2);"
CZECH_NUMBERS = """
msgid "%(num)s number"
msgid_plural "%(num)s numbers"
msgstr[0] "%(num)s číslo"
msgstr[1] "%(num)s čísla"
msgstr[2] "%(num)s čísel"

msgid "Name"
msgstr "Jméno"
"""
OTHERS = [("en", "ltr", "English"), ("cs", "ltr", "čeština"), ("he", "rtl", "עברית")]
GAP = re.compile(r"%\(\w+\)s|\{\w+\}")


def sentences() -> Iterator[tuple[str, str | tuple[str, ...]]]:
    """The place of each sentence, and its msgid, or both msgids of a plural."""
    for path in sorted(path for path in WEB.rglob("*") if path.suffix in {".py", ".html"}):
        method = "python" if path.suffix == ".py" else "jinja2.ext.babel_extract"
        for line, text, _, _ in extract_from_file(method, path, keywords=KEYWORDS, options={"silent": "false"}):
            yield f"{path.name}:{line}", text
    # What the provider's codes mean is told to users too.
    meanings = [*(rule.meaning for rule in refusals.CODES), *endings.CODES.values(), *endings.SIP.values()]
    yield from (("telephony", meaning) for meaning in meanings)


TRANSLATED = [code for code in i18n.languages() if code != i18n.ENGLISH]


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_is_translated(language: str) -> None:
    translations = i18n._languages()[language].translations
    missing = []
    for place, text in sentences():
        one, is_plural = (text, False) if isinstance(text, str) else (text[0], True)
        forms = translations.get(one, ())
        if not forms or one in forms or (is_plural and len(forms) == 1):
            missing.append(f"{place} {one}")
    assert missing == []
    assert len(list(sentences())) > 100, "the extractor finds what is there"


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_has_the_placeholders_of_its_sentence(language: str) -> None:
    translations = i18n._languages()[language].translations
    wrong = []
    for place, text in sentences():
        one, many = (text, text) if isinstance(text, str) else text
        # A form for exactly one, or two, may say so in a word.
        if set(GAP.findall(translations[one][-1])) != set(GAP.findall(many)):
            wrong.append(f"{place} {many}")
    assert wrong == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_translation_is_unused(language: str) -> None:
    response = {text if isinstance(text, str) else text[0] for _, text in sentences()}
    assert set(i18n._languages()[language].translations) - response == set()


@pytest.fixture
def locale(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder of catalogs that has the Hebrew one, and is read instead of ours."""
    shutil.copytree(i18n.LOCALE / "he", tmp_path / "he")
    monkeypatch.setattr(i18n, "LOCALE", tmp_path)
    i18n._languages.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    i18n._languages.cache_clear()


def add(locale: Path, code: str, plurals: str, sentences: str = "") -> None:
    """Add a language as docs/languages.md says."""
    catalog = locale / code / "LC_MESSAGES" / "messages.po"
    catalog.parent.mkdir(parents=True)
    header = ("Content-Type: text/plain; charset=utf-8", f"Plural-Forms: {plurals}")
    catalog.write_text('msgid ""\nmsgstr ""\n' + "".join(f'"{line}\\n"\n' for line in header) + sentences)
    i18n._languages.cache_clear()


async def test_a_language_is_added_by_one_file(locale: Path, site: Site) -> None:
    add(locale, "ar", ARABIC, 'msgid "Sign in"\nmsgstr "تسجيل الدخول"\n')
    add(locale, "cs", CZECH, CZECH_NUMBERS)
    i18n.load()
    response = await BrowserSession(site, "ar").get("/login")
    page = response.body.decode()
    assert '<html lang="ar" dir="rtl">' in page
    assert "تسجيل الدخول" in text_of(response)
    assert "E-mail" in page, "what has no translation is English"
    assert all(f'value="{code}" lang="{code}" dir="{way}">{name}<' in page for code, way, name in OTHERS)
    browser = BrowserSession(site, "en")
    await browser.post("/language", {"language": "cs"})
    assert '<html lang="cs" dir="ltr">' in (await browser.get("/login")).body.decode()
    numbers = [i18n.plural("cs", "%(num)s number", "%(num)s numbers", count) for count in (1, 3, 9)]
    assert numbers == ["%(num)s číslo", "%(num)s čísla", "%(num)s čísel"]
    run = await site.load(1)
    file = await site.get(f"/api/outbound/runs/{run}/export.csv", params={"for": "people", "language": "cs"})
    assert (file.status, "Jméno" in file.body.decode()) == (200, True)
    refused = await site.get(f"/api/outbound/runs/{run}/export.csv", params={"for": "people", "language": "xx"})
    assert refused.json["details"] == [{"field": "language", "message": "must be one of 'en', 'ar', 'cs' or 'he'"}]


@pytest.mark.parametrize(
    ("code", "plurals", "said"),
    [
        ("xx", "nplurals=2; plural=(n != 1);", "unknown locale"),
        ("cs", "nplurals=2; plural=(n==1 ? 0 : n<5 ? 1 : 2);", "fewer nplurals"),
        ("cs", "nplurals=2; plural=(n !!= 1);", "plural"),
    ],
)
def test_a_broken_catalog_is_found_at_the_start(locale: Path, code: str, plurals: str, said: str) -> None:
    add(locale, code, plurals)
    with pytest.raises(ValueError, match=rf"{code}/LC_MESSAGES/messages\.po: .*{said}"):
        i18n.load()


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("he", "he"),
        ("iw-IL, en;q=0.5", "he"),
        ("fr, he;q=0.3, en;q=0.2", "he"),
        ("en, he", "en"),
        ("he;q=0, en;q=0.1", "en"),
        ("he;q=x", "en"),
        ("he;q=nan,en;q=0.1", "en"),
        ("*", "en"),
        ("," * 10_000 + "he", "en"),
    ],
)
def test_the_best_language_of_the_browser_is_taken(header: str, language: str) -> None:
    assert i18n._accepted(header) == language


def test_times_are_in_the_zone_of_the_business() -> None:
    summer = datetime(2026, 7, 1, 21, 30, tzinfo=UTC)
    assert formatting.moment("en", "Asia/Jerusalem", summer) == (
        '<time datetime="2026-07-01T21:30:00+00:00" title="Asia/Jerusalem">Jul 2, 2026, 00:30</time>'
    )
    assert "1 ביולי 2026" in formatting.clock("he", "America/New_York", summer)
    assert "17:30:00" in formatting.clock("en", "America/New_York", summer)
    assert "21:30:00" in formatting.clock("en", "Nowhere/Gone", summer)


def test_lengths_of_time_and_numbers_are_readable() -> None:
    assert [formatting.elapsed(timedelta(seconds=seconds)) for seconds in (-3, 0, 61, 3600 * 11 + 62)] == [
        "0:00",
        "0:00",
        "1:01",
        "11:01:02",
    ]
    assert [formatting.phone(text) for text in ("+972500000001", "", None, "a<b")] == ["+972 50-000-0001", "–", "–", "a<b"]  # noqa: RUF001 the dash of an empty cell
    assert formatting.figure("en", 1234567) == "1,234,567"
    assert [formatting.span("en", seconds) for seconds in (1, 100, 3_700, 6_000, 200_000)] == [
        "1 minute",
        "2 minutes",
        "62 minutes",
        "2 hours",
        "2 days",
    ]
    assert [formatting.span("he", seconds) for seconds in (1, 100)] == ["דקה אחת", "2 דקות"]


def test_vendored_files_match_their_checksums() -> None:
    vendor = assets.STATIC / "vendor"
    lines = [line.split(maxsplit=1) for line in (vendor / "SHA256SUMS").read_text().splitlines()]
    listed = {name: digest for digest, name in lines}
    assert {name: hashlib.sha256((vendor / name).read_bytes()).hexdigest() for name in listed} == listed
    assert {path.name for path in vendor.iterdir()} == {*listed, "SHA256SUMS", "README.md"}
