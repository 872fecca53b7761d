"""Every sentence has a Hebrew translation with the same placeholders; figures and times are formatted correctly."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from babel.messages.extract import extract_from_file

from telephony import endings, refusals
from web.pages import assets, formatting
from web.server import i18n

if TYPE_CHECKING:
    from collections.abc import Iterator

WEB = Path(i18n.__file__).parents[1]
KEYWORDS: dict[str, Any] = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "msgid": None,
    "sentence": (2,),
    "translate": (2,),
    "plural": (2, 3),
}
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


def test_every_sentence_has_its_hebrew() -> None:
    missing = []
    for place, text in sentences():
        one, many = (text, text) if isinstance(text, str) else text
        if i18n.singular("he", one) == one or (one != many and i18n.plural("he", one, many, 2) == many):
            missing.append(f"{place} {one}")
    assert missing == []
    assert len(list(sentences())) > 100, "the extractor finds what is there"


def test_a_translation_has_the_placeholders_of_its_sentence() -> None:
    wrong = []
    for place, text in sentences():
        one, many = (text, text) if isinstance(text, str) else text
        if set(GAP.findall(i18n.plural("he", one, many, 2))) != set(GAP.findall(many)):
            wrong.append(f"{place} {many}")
    assert wrong == []


def test_no_translation_is_unused() -> None:
    response = {text if isinstance(text, str) else text[0] for _, text in sentences()}
    assert set(i18n._catalog("he")) - response == set()


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


def test_vendored_files_match_their_checksums() -> None:
    vendor = assets.STATIC / "vendor"
    lines = [line.split(maxsplit=1) for line in (vendor / "SHA256SUMS").read_text().splitlines()]
    listed = {name: digest for digest, name in lines}
    assert {name: hashlib.sha256((vendor / name).read_bytes()).hexdigest() for name in listed} == listed
    assert {path.name for path in vendor.iterdir()} == {*listed, "SHA256SUMS", "README.md"}
