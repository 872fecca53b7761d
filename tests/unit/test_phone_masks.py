"""However people write a phone number, seven digits of it never come out; times, ids, addresses and decimals do."""

from __future__ import annotations

import json
import re
import time
from urllib.parse import quote, quote_plus

import phonenumbers
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat

from dialer.log import mask_text

WINDOW = 7  # consecutive digits of a number that must not be read together
FORMATS = (PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL, PhoneNumberFormat.RFC3966)
REGIONS = sorted(region for region in phonenumbers.SUPPORTED_REGIONS if phonenumbers.example_number(region))
SEPARATORS = (
    *("-", " ", ".", "/", "\u00a0", "\u2009", "\u202f", " - ", ". ", "\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2212"),
    *(" \u2013 ", "\u05be", "\u00ad", "\uff0d", "\u200e", "\u200f", "\u2068", "\ufeff", "\u00b7", "_", ") ", ")-", " ("),
)
BEFORE = (
    *(
        "",
        "calling ",
        "phone:",
        "phone=",
        "phone: ",
        "tel:",
        "Tel. ",
        "to=",
        '"to": "',
        "('",
        "[",
        "<tel:",
        "/leads/",
        "?phone=",
        "&x=",
        "#",
    ),
    *("\u05dc", "\u05d8\u05dc\u05e4\u05d5\u05df ", "\u05d4\u05de\u05e1\u05e4\u05e8 \u05d4\u05d5\u05d0 ", "\u05d0\u05dc-", "\u200f"),
    *("at 2026-11-23T12:38:53Z ", "at 12:38:53.367 to ", "from 10.0.0.1:8080 for ", "lead 17,", "x_", "tel", "\\u200f", "%20"),
)
AFTER = (
    "",
    " now",
    ".",
    ",",
    ", then",
    "'",
    '"}',
    "]",
    ">",
    "&y=1",
    "?",
    "/x",
    " \u05dc\u05d0 \u05e2\u05e0\u05d4",
    ";ext=5",
    " x12",
    "\n",
    "!",
)
# What a log says in numbers that are nobody's.
IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
DECIMAL = re.compile(r"\(?(?:0|[1-9]\d*)\.\d+")
DAY = re.compile(r"(?:19|20)\d\d([-./])\d\d\1\d\d|\d\d([./])\d\d\2(?:19|20)\d\d")


def digits(text: str) -> str:
    return "".join(str(int(letter)) for letter in text if letter.isdecimal())


def leaks(number: str, text: str) -> bool:
    """True when seven digits of `number` stand in `text` in a row, whatever is between them."""
    shown, hidden = digits(text), digits(number)
    return any(hidden[start : start + WINDOW] in shown for start in range(len(hidden) - WINDOW + 1))


@st.composite
def grouped(draw: st.DrawFn) -> str:
    """Seven to fifteen digits in groups, with one separator or several kinds between them."""
    count = draw(st.integers(7, 15))
    number = draw(st.text("0123456789", min_size=count, max_size=count))
    cuts = sorted(draw(st.sets(st.integers(1, count - 1), min_size=1, max_size=5)))
    groups = [number[start:end] for start, end in zip([0, *cuts], [*cuts, count], strict=True)]
    one = draw(st.sampled_from(SEPARATORS))
    between = [draw(st.sampled_from([one, *SEPARATORS])) for _ in cuts]
    written = groups[0] + "".join(f"{separator}{group}" for separator, group in zip(between, groups[1:], strict=True))
    return draw(st.sampled_from(["", "+", "(", "+ ", "00"])) + written


@given(grouped(), st.sampled_from(BEFORE), st.sampled_from(AFTER))
@example("050.123.4567", "", "")
@example("(050) 123 4567", "", "")
@example("+972.50.123.4567", "", "")
@example("050\u2013123\u20134567", "", "")
@example("212.5550123", "", "")
def test_separated_digits_are_masked(number: str, before: str, after: str) -> None:
    assume(not any(other.search(number) for other in (IPV4, DAY)))
    # A decimal: with seven or eight places it could be a number with an area code, and is masked.
    assume(not DECIMAL.fullmatch(number) or re.fullmatch(r"\d{2,4}\.\d{7,8}", number))
    assert not leaks(number, mask_text(before + number + after))


@given(st.sampled_from(REGIONS), st.sampled_from(FORMATS), st.sampled_from(BEFORE), st.sampled_from(AFTER), st.data())
def test_numbers_of_every_country_as_that_country_writes_them(region: str, form: int, before: str, after: str, data: st.DataObject) -> None:
    kinds = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    assert kinds is not None
    examples = [kind.example_number for kind in (kinds.fixed_line, kinds.mobile) if kind and kind.example_number]
    number = phonenumbers.parse(data.draw(st.sampled_from(examples)), region)
    written = phonenumbers.format_number(number, form)
    # Seven or eight digits with nothing between them and no plus are an id, as far as a log can tell.
    assume(len(digits(written)) >= WINDOW and (not written.isdigit() or len(written) > 8))
    assert not leaks(written, mask_text(before + written + after)), written


@given(st.from_regex(r"\A0[1-9][0-9]{7,12}\Z|\A[1-9][0-9]{8,13}\Z"), st.sampled_from(BEFORE), st.sampled_from(AFTER))
def test_bare_digits_are_masked(number: str, before: str, after: str) -> None:
    number = digits(number)
    assert not leaks(number, mask_text(before + number + after))


@given(
    st.integers(10**6, 10**8 - 1),
    st.sampled_from(["phone:", "phone=", '{"phone": "', "tel: ", "to=", "From='", "caller_id=", "\u05d8\u05dc\u05e4\u05d5\u05df: "]),
)
def test_a_short_number_is_masked_behind_its_name(number: int, name: str) -> None:
    assert not leaks(str(number), mask_text(f"{name}{number}"))


@given(grouped(), st.sampled_from([json.dumps, repr, ascii, quote, quote_plus]))
def test_numbers_are_masked_as_programs_write_them(number: str, write: object) -> None:
    assume(not any(other.search(number) for other in (IPV4, DAY)))
    assume(not DECIMAL.fullmatch(number))
    assert callable(write)
    text = str(write(number))
    # The digits of an escape are not the number's: take the escapes out before looking.
    shown = re.sub(r"\\[ux][0-9a-f]{2,4}|%[0-9A-F]{2}", "", mask_text(f"https://h/x?q={text}&y"))
    assert not leaks(number, shown), text


@pytest.mark.parametrize(
    "text",
    [
        "5.01234567E8",
        "9.72501234567e+11",
        "521234567.0",
        "\u0660\u0665\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667",  # in Arabic digits
        "tel:+1-212-555-0123;ext=5",
        "sip:0501234567@example.com",
        "+49 (0) 30 123456",
        "0501234567, 0521234567",
        "0501234567 0521234567",
    ],
)
def test_odd_ways_to_write_one(text: str) -> None:
    assert not leaks(text, mask_text(text))


ODD_SEPARATORS = (*",:|*~'=;!&@^#<\"", ", ", " | ", ": ", " * ", "'-", "\u2019")


@given(
    st.sampled_from(
        [("050", "1234567"), ("050", "123", "4567"), ("02", "625", "1111"), ("212", "555", "0123"), ("+972", "50", "123", "4567")]
    ),
    st.sampled_from(ODD_SEPARATORS),
    st.sampled_from(BEFORE),
    st.sampled_from(AFTER),
    st.sampled_from([str, quote]),
)
def test_what_ends_a_number_elsewhere_may_stand_between_its_groups(
    groups: tuple[str, ...], separator: str, before: str, after: str, write: object
) -> None:
    assert callable(write)
    number = separator.join(groups)
    assert not leaks(number, mask_text(before + write(number) + after))


@pytest.mark.parametrize("number", ["06:12:34:56:78", "050,123-4567", "050-123,4567", "050:12:34:567"])
def test_groups_of_every_length(number: str) -> None:
    assert not leaks(number, mask_text(f"calling {number} now"))


@pytest.mark.parametrize(
    "name",
    [
        "phone ",
        "Phone number ",
        "phone no. ",
        "Tel ",
        "mobile ",
        "cell '",
        "caller ",
        "the phone is ",
        "phone #",
        "\u05d8\u05dc\u05e4\u05d5\u05df ",
    ],
)
@pytest.mark.parametrize("number", ["5550123", "20123456", "555,0123"])
def test_a_short_number_behind_its_name_and_a_blank(name: str, number: str) -> None:
    assert not leaks(number, mask_text(f"{name}{number} was dialled"))


@pytest.mark.parametrize(
    "text",
    [
        *("12:34:56", "12:34:56,789", "00:00:01.123456", "01:02:03:04", "123:45:59", "1920:1080", "5432:15432", "0:1234567", "1,234,567"),
        *("1763900000000-0", "[1234,5678,9012]", "(1000, 2000, 3000)", "00,15,30,45", "2001:db8::1", "2001:4860:4860::8888", "::1"),
        *("2001:670:1234:5678:1:2:3:4", "00:11:22:33:44:55", "10.0.0.1:8080", "1|2|3|4", "0.1234567", "from 1000000 to 2000000 rows"),
        *("phone 12:34:56", "phones: 12 of 1000", "caller 17 of run 1234567", "2 * 1048576", "x=17&y=1234567"),
    ],
)
def test_what_only_has_odd_marks_stays_readable(text: str) -> None:
    assert mask_text(f"at {text} .") == f"at {text} ."


READABLE = (
    st.datetimes().map(lambda at: at.replace(year=2026).isoformat()),
    st.datetimes().map(lambda at: at.replace(year=2026).strftime("%Y-%m-%d %H:%M:%S,%f")),
    st.datetimes().map(lambda at: at.replace(year=2026).strftime("%d.%m.%Y %H:%M")),
    st.dates().map(lambda day: day.replace(year=2031, day=5).isoformat()),
    st.times().map(str),
    st.uuids().map(str),
    st.tuples(st.sampled_from(["CA", "AC", "SK", "PN"]), st.integers(0, 16**32 - 1)).map(lambda sid: f"{sid[0]}{sid[1]:032x}"),
    st.ip_addresses(v=4).map(str),
    st.tuples(st.ip_addresses(v=4), st.integers(1, 65535)).map(lambda place: f"{place[0]}:{place[1]}"),
    st.tuples(st.integers(1, 65535), st.integers(0, 15)).map(lambda place: f"redis://localhost:{place[0]}/{place[1]}"),
    st.tuples(st.integers(10**12, 2 * 10**12 - 1), st.integers(0, 99)).map(lambda entry: f"{entry[0]}-{entry[1]}"),
    st.floats(0, 0.99).map(lambda number: f"{number:.3f}"),
    st.floats(0, 10).filter(lambda number: "e" not in repr(number)).map(repr),
    st.floats(0, 999_999).map(lambda number: f"{number:.3f}"),  # seven digits before the dot are a number
    st.integers(0, 10**8 - 1).map(str),
    st.integers(0, 10**15).map(lambda number: f"{number:,}"),
)


@given(st.one_of(*READABLE), st.sampled_from(["", "at ", "[", "x=", "("]), st.sampled_from(["", " ago", ",", "]", " s", ")"]))
def test_what_is_nobodys_number_stays_readable(text: str, before: str, after: str) -> None:
    assert mask_text(before + text + after) == before + text + after


@pytest.mark.parametrize(
    "unit", ["x", "1 ", "+", "1----- ", "a.", "phone", "12:", "ab0", "%E2%80", "secret", "a://b:", "2026-", "1.", "ip-"]
)
def test_a_long_line_takes_time_in_proportion(unit: str) -> None:
    def seconds(length: int) -> float:
        text = (unit * length)[:length] + " 0501234567"
        began = time.process_time()
        mask_text(text)
        return time.process_time() - began

    short = min(seconds(20_000) for _ in range(3))
    # Ten times the letters: a hundred times the time would be a pattern that goes back over the line again and again.
    assert seconds(200_000) < max(short, 0.001) * 60
