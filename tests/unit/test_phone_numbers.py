# ruff: noqa: RUF001 - letters that look like others are what this is about
"""Phone cells: a number alone is called, everything else is refused, and what is dialled is what the cell shows."""

from __future__ import annotations

import re

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dialer.phones.dates import is_date
from dialer.phones.phone_cells import CellError, read_cell, simple
from dialer.phones.phone_numbers import (
    PhoneReading,
    Refusal,
    RefusedPhoneError,
    _parsed_fully,
    _reject_doubtful,
    _usual,
    read_international,
    read_phone,
)
from tests.cells import cells, dialled_is_shown, shown_digits, shows_more_than_a_number

REGIONS = ["IL", "US", "DE", "FR", "IT"]
MORE_REGIONS = [*REGIONS, "GB", "BR", "MX", "AR", "RU", "CA", "AU", "HU", "BS"]

# Each of these once called a wrong number: the letters, the note, the second number or the fraction was read as digits.
MISREAD = [
    ("IL", "050-123-XXXX"),
    ("IL", "050-123-4XXX"),
    ("US", "202-456-XXXX"),
    ("US", "1-202-456-XXXX"),
    ("US", "212-5501 Bob"),
    ("US", "212-5501 BOB"),
    ("DE", "+49 30 1234 XXX"),
    ("DE", "030 123456 home"),
    ("DE", "030 12345 (Tom)"),
    ("DE", "030 123456 / 57"),
    ("DE", "030123456/57"),
    ("DE", "030 123456 (57)"),
    ("DE", "030123456p12"),
    ("DE", "030123456w12"),
    ("DE", "030123456,12"),
    ("DE", "030123456#12"),
    ("DE", "030123456~57"),
    ("DE", "030123457.00"),
    ("DE", "030 123457.0"),
    ("DE", "030.123457.00"),
    ("DE", "030/123457.00"),
    ("DE", "030123457.5"),
    ("DE", "+49.30.123457.0"),
    ("FR", "061234dgfs"),
    ("IT", "06 123456 uff"),
    ("IT", "02 12345678.0"),
    ("IT", "02 123456 06 123456"),
    ("DE", "+917878787xyz"),
    ("IL", "DNC 052-1234568"),
    ("IL", "לא להתקשר 0521234569"),
    ("IL", "0521234569 לא להתקשר"),
    ("IL", "052-1234567 052-1234568"),
    ("IL", "052-1234567\n8"),
    ("IL", "052-123456O"),
    ("IL", "o52-1234567"),
    ("IL", "05l-1234567"),
    ("IL", "052-123456٧"),
    ("IL", "०५२१२३४५६७"),
    ("IL", "𝟎𝟓𝟐𝟏𝟐𝟑𝟒𝟓𝟔𝟕"),
    ("IL", "052123456⁷"),
    ("IL", "\u202e7654321250"),
    ("IL", "5.21234567E+8"),
    ("IL", "521,234,567"),
    ("IL", "052--1234567"),
    ("IL", "052  1234567"),
    ("IL", "++972521234567"),
    ("IL", "052-1234567+"),
    ("IL", "=0521234567"),
    ("IL", "''0521234567"),
    ("IL", "0521234567?"),
    ("IL", "*2700"),
    ("US", "1-202-555-HOME"),
    ("US", "1-800-UNKNOWN"),
    ("US", "1-202-555-Call"),
    ("US", "1-202-555-CALLS"),
    ("US", "1-202-555-CAL"),
    ("US", "1-202-CAL-LNOW"),
    ("US", "202-555 CALL"),
    ("IL", "1-202-555-CALL"),
    ("US", "1-202-555-CALL"),
    ("US", "+1-202-555-FAKE"),
    ("US", "+1-202-555-SOLD"),
    ("US", "+1-202-555-BUSY"),
    ("US", "+1-202-DONOTCA"),
    ("US", "+1-800-WRONGNO"),
    ("US", "+1-800-DECEASE"),
    ("US", "+1-800-NOTREAL"),
    ("US", "+1-800-DONTCAL"),
    ("US", "800-FLOWERS"),
    ("IL", "1-800-FLOWERS"),
    ("IL", "2024-01-05"),
    ("IL", "2024/01/05"),
    ("IL", "2024 01 05 08"),
    ("IL", "30 12 1990"),
    ("IL", "12-30-1990"),
    ("DE", "06.12.1984"),
    ("DE", "06/12/1984"),
    ("DE", "6.12.1984"),
    ("DE", "24.12.1985 08"),
    ("DE", "'24.12.1985"),
    ("IL", "٣٠-١٢-١٩٩٠"),
    ("DE", "030 123456 57"),
    ("DE", "+49 30 123456 57"),
    ("DE", "(030) 123456 57"),
    ("DE", "030 123456 7"),
    ("DE", "030 123456 030"),
    ("DE", "01511234567 2"),
    ("IT", "0612345678 9"),
    ("AT", "0664 1234567 12"),
    ("DE", "491711234567"),
    ("DE", "49 171 1234567"),
    ("DE", "49 (0)30 123456"),
    ("DE", "+49 49 171 1234567"),
    ("DE", "+49491711234567"),
    ("DE", "+49 49 30 123456"),
    ("DE", "33612345678"),
    ("DE", "2-0171-1234567"),
    ("DE", "3 0171 1234567"),
    ("DE", "2.0171 1234567"),
    ("DE", "030 1234567 2024"),
    ("DE", "030 1234567-2024"),
    ("DE", "030/1234567-0 12"),
    ("DE", "2024 030 1234567"),
    ("DE", "01 0171 1234567"),
    ("DE", "030 123456 123"),
    ("DE", "24-01-05"),
    ("DE", "24.12.85"),
    ("DE", "5.1.24 0171"),
    ("DE", "30123456"),
    ("SE", "46 8 10 24 78"),
    ("IL", "2024- 01 -05"),
    ("IL", "2024 -01-05"),
    ("IL", "20240105"),
    ("IL", "20240105.0"),
    ("DK", "2024-13-01"),
    ("DK", "20241231"),
    ("DK", "24122024"),
    ("DK", "1445-06-23"),
    ("DK", "2567-01-05"),
    ("US", "2012-12-2024"),
    ("LU", "2-621 123 456"),
    ("IE", "1 (022) 64695"),
    ("IL", "\u202b052 123 4567\u202c"),
    ("IL", "\u2067052 123 4567\u2069"),
]


@pytest.mark.parametrize(("region", "cell"), MISREAD)
def test_a_cell_that_is_not_a_number_alone_is_rejected(region: str, cell: str) -> None:
    with pytest.raises(RefusedPhoneError):
        read_phone(cell, region)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("cell", [cell for _, cell in MISREAD if not re.fullmatch(r"[\d .()-]+|1-.*", cell, re.ASCII)])
def test_it_is_refused_in_every_region(region: str, cell: str) -> None:
    with pytest.raises(RefusedPhoneError):
        read_phone(cell, region)


@pytest.mark.parametrize(
    ("text", "region", "written"),
    [
        ("050-123-4567", "IL", "+972501234567"),
        ("0501234567", "IL", "+972501234567"),
        (" +972 (50) 123.4567 ", "IL", "+972501234567"),
        ("(+972)50-1234567", "IL", "+972501234567"),
        ("00972501234567", "IL", "+972501234567"),
        ("03-9123456", "IL", "+97239123456"),
        ("050\u20111234567", "IL", "+972501234567"),
        ("050\u00a01234567", "IL", "+972501234567"),
        ("+1 202 555 0123", "IL", "+12025550123"),
        ("(202) 555-0199", "US", "+12025550199"),
        ("1 (202) 555-0123", "US", "+12025550123"),
        ("1-202-555-0100", "US", "+12025550100"),
        ("+15555550123", "US", "+15555550123"),
        ("+447700900123", "IL", "+447700900123"),
        ("+972551234567", "US", "+972551234567"),
        ("1-800-123-456", "IL", "+9721800123456"),
        ("030/1234567", "DE", "+49301234567"),
        ("030 / 123 45 67", "DE", "+49301234567"),
        ("+49 (0)30 1234567", "DE", "+49301234567"),
        ("+49 30/123456-0", "DE", "+49301234560"),
        ("01.42.68.53.00", "FR", "+33142685300"),
        ("75.12.34", "NC", "+687751234"),
        ("+687 75.12.34", "US", "+687751234"),
        ("+39 (0)6 69821234", "US", "+390669821234"),
        ("+44 (0) 20 7946 0018", "US", "+442079460018"),
        ("08-123 456 78", "SE", "+46812345678"),
        ("030 123 45 67", "DE", "+49301234567"),
        ("030 123456-57", "DE", "+493012345657"),
        ("+20 12 1990 1234", "US", "+201219901234"),
        ("501234567", "IL", "+972501234567"),
        ("972 52 1234567", "IL", "+972521234567"),
        ("2025550123", "US", "+12025550123"),
        ("7911 123456", "GB", "+447911123456"),
        ("142685300", "FR", "+33142685300"),
        ("347 0123456", "IT", "+393470123456"),
        ("+49 491 5123456", "DE", "+494915123456"),
        ("0171 0234567", "DE", "+491710234567"),
        ("089/1234 5678", "DE", "+498912345678"),
        ("24.12.34", "NC", "+687241234"),
        ("20 24 01 05", "DK", "+4520240105"),
        ("8 029 491-19-11", "BY", "+375294911911"),
        ("972 052 1234567", "IL", "+972521234567"),
    ],
)
def test_numbers_as_people_write_them(text: str, region: str, written: str) -> None:
    assert read_phone(text, region) == PhoneReading(written)


@pytest.mark.parametrize(
    ("text", "region", "written"),
    [
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("+1.844.555.CALL", "IL", "+18445552255"),
        ("030123457.0", "DE", "+4930123457"),
        ("521234567.0", "IL", "+972521234567"),
        ("'0521234567", "IL", "+972521234567"),
        ('="0521234567"', "IL", "+972521234567"),
        ("\u200e0521234567", "IL", "+972521234567"),
        ("\u202a+972 52-123-4567\u202c", "US", "+972521234567"),
        ("\u2068052-1234567\u2069", "IL", "+972521234567"),
        ("\ufeff052\u200f-1234567\u200b", "IL", "+972521234567"),
        ("tel:+972-52-1234567", "US", "+972521234567"),
        ("٠٥٢١٢٣٤٥٦٧", "IL", "+972521234567"),
        ("۰۵۲۱۲۳۴۵۶۷", "IL", "+972521234567"),
        ("\uff0b\uff19\uff17\uff12\uff15\uff12\uff11\uff12\uff13\uff14\uff15\uff16\uff17", "US", "+972521234567"),
        ("011 15-2345-6789", "AR", "+5491123456789"),
        ("356-1234", "BS", "+12423561234"),
    ],
)
def test_adjusted_numbers_are_called_and_reported(text: str, region: str, written: str) -> None:
    assert read_phone(text, region) == PhoneReading(written, altered=True)


@pytest.mark.parametrize(
    ("text", "region", "refusal"),
    [
        (None, "IL", Refusal.MISSING_PHONE),
        ("", "IL", Refusal.MISSING_PHONE),
        ("  \u200f", "IL", Refusal.MISSING_PHONE),
        (501234567, "IL", Refusal.NOT_TEXT),
        (True, "IL", Refusal.NOT_TEXT),
        ("call me", "IL", Refusal.INVALID_PHONE),
        ("'; DROP TABLE leads; --", "IL", Refusal.INVALID_PHONE),
        ("\x00", "IL", Refusal.INVALID_PHONE),
        ("DNC 052-1234568", "IL", Refusal.NOT_ALONE),
        ("100", "IL", Refusal.EMERGENCY),
        ("911", "US", Refusal.EMERGENCY),
        ("112", "IL", Refusal.EMERGENCY),
        ("1201", "IL", Refusal.SHORT_NUMBER),
        ("*2700", "IL", Refusal.SHORT_NUMBER),
        ("7", "IL", Refusal.INVALID_PHONE),
        ("050-123-456", "IL", Refusal.UNASSIGNED),
        ("+1 202 555 012", "US", Refusal.TOO_SHORT),
        ("+1 202 555 01234", "US", Refusal.TOO_LONG),
        ("1" * 39, "IL", Refusal.TOO_LONG),
        ("1" * 500, "IL", Refusal.TOO_LONG),
        ("x" * 500, "IL", Refusal.INVALID_PHONE),
        ("1-900-555-1234", "US", Refusal.PREMIUM),
        ("1-900-123-456", "IL", Refusal.PREMIUM),
        ("+44 70 1234 5678", "IL", Refusal.PREMIUM),
        ("+88161234567", "IL", Refusal.SATELLITE),
        ("+870773111632", "IL", Refusal.SATELLITE),
        ("+97239123456 ext. 7", "IL", Refusal.EXTENSION),
        ("+12025550123;ext=4", "US", Refusal.EXTENSION),
        ("03-9123456 שלוחה 7", "IL", Refusal.EXTENSION),
        ("+19995550000", "US", Refusal.UNASSIGNED),
        ("+999123456789", "IL", Refusal.INVALID_PHONE),
        ("040 12345 040 12345", "DE", Refusal.TWO_NUMBERS),
        ("0501234568 / 0521234569", "IL", Refusal.TWO_NUMBERS),
        ("0501234581 0521234582", "IL", Refusal.TWO_NUMBERS),
        ("052-1234567 or 052-1234568", "IL", Refusal.TWO_NUMBERS),
        ("5.05E+08", "IL", Refusal.SHORTENED),
        ("9,72521234567E+11", "IL", Refusal.SHORTENED),
        ("050-123-XXXX", "IL", Refusal.MASKED),
        ("052-***-4567", "IL", Refusal.MASKED),
        ("491711234567", "DE", Refusal.AMBIGUOUS),
        ("2-0171-1234567", "DE", Refusal.NOT_ALONE),
        ("030 1234567 2024", "DE", Refusal.NOT_ALONE),
    ],
)
def test_numbers_that_are_not_called(text: object, region: str, refusal: Refusal) -> None:
    with pytest.raises(RefusedPhoneError) as refused:
        read_phone(text, region)
    assert refused.value.reason is refusal


@pytest.mark.parametrize(
    "text", ["+49 30 123456 Tom", "+1-202-555-CALL", "030 123456", "+49 30 123456 / 57", "+49 30 123456 57", "+49 30 XXXX", "", "+1212"]
)
def test_our_own_number_must_be_a_number_alone(text: str) -> None:
    with pytest.raises(RefusedPhoneError):
        read_international(text)


def test_our_own_number_may_be_missing_in_the_tables() -> None:
    assert read_international("+972 50-000-0001").national_number == 500000001


@settings(max_examples=600, deadline=None)
@given(cell=cells(), region=st.sampled_from(REGIONS))
@example(cell="050-123-XXXX", region="IL")
@example(cell="030123457.0", region="DE")
def test_what_is_dialled_is_what_the_cell_shows(cell: str, region: str) -> None:
    try:
        reading = read_phone(cell, region)
    except RefusedPhoneError:
        return
    assert not shows_more_than_a_number(cell), reading
    assert dialled_is_shown(cell, reading.e164, region), reading


@settings(max_examples=400, deadline=None)
@given(cell=cells())
def test_the_library_gets_only_digits(cell: str) -> None:
    try:
        dialled = read_cell(cell)
    except CellError:
        return
    assert re.fullmatch("[0-9]+", dialled.digits, re.ASCII)
    assert dialled.digits == shown_digits(cell)


@settings(max_examples=400, deadline=None)
@given(cell=cells(), region=st.sampled_from(MORE_REGIONS))
@example(cell="+19005551234", region="US")
@example(cell="1900123456", region="IL")
@example(cell="972501234567", region="IL")
@example(cell="(305) 200-0001", region="US")
@example(cell="(305)2002001", region="US")
@example(cell="305.200.0001", region="US")
@example(cell="(2001) 0521234567", region="IL")
def test_the_fast_path_agrees_with_the_full_parse(cell: str, region: str) -> None:
    plain = simple(cell)
    try:
        whole = read_cell(cell)
    except CellError:
        assert plain is None
        return
    assert plain is None or (plain.digits, plain.international, plain.altered) == (whole.digits, whole.international, whole.altered)
    certain = plain or whole
    usual = _usual(certain, region) if certain.plain else None
    if usual is not None:
        assert usual == judged(cell, region)


@settings(max_examples=400, deadline=None)
@given(
    text=st.one_of(
        st.text("0123456789", min_size=6, max_size=13),
        st.text("0123456789", min_size=6, max_size=13).map(lambda digits: f"+{digits}"),
        st.integers(0, 10**8).map(lambda n: f"05{n:08}"),
        st.integers(0, 10**8).map(lambda n: f"5{n:08}"),
        st.integers(0, 10**10 - 1).map(lambda n: f"+1{n:010}"),
        st.integers(0, 10**10 - 1).map(lambda n: f"{n:010}"),
        st.integers(0, 10**10 - 1).map(lambda n: f"1{n:010}"),
        st.integers(0, 10**10 - 1).map(lambda n: f"+44{n:010}"),
        st.integers(0, 10**10 - 1).map(lambda n: f"0{n:010}"),
    ).filter(lambda text: not is_date(text)),
    region=st.sampled_from(MORE_REGIONS),
)
def test_the_fast_path_agrees_on_digits_of_every_kind(text: str, region: str) -> None:
    usual = _usual(read_cell(text), region)
    if usual is not None:
        assert usual == judged(text, region)


def judged(text: str, region: str) -> str | None:
    dialled = read_cell(text)
    try:
        number, _ = _parsed_fully(dialled, region)
        _reject_doubtful(dialled, number, region)
    except RefusedPhoneError:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@settings(deadline=None)
@given(st.text(max_size=60), st.sampled_from(["IL", "US", "ZZ"]))
def test_no_text_causes_an_unexpected_error(text: str, region: str) -> None:
    try:
        written = read_phone(text, region).e164
    except RefusedPhoneError:
        return
    assert re.fullmatch(r"\+[0-9]+", written, re.ASCII)
