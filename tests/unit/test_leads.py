"""Leads: which numbers are called, which files are read, which rows are kept."""

from __future__ import annotations

import codecs
import contextlib

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from web.faults import ApiError
from web.leads import MAX_VARIABLES, check_rows
from web.phones import Refusal, RefusedPhoneError, _judged, _ordinary, e164
from web.tables import decoded, rows_of


@pytest.mark.parametrize(
    ("text", "region", "written"),
    [
        ("050-123-4567", "IL", "+972501234567"),
        ("0501234567", "IL", "+972501234567"),
        (" +972 (50) 123.4567 ", "IL", "+972501234567"),
        ("00972501234567", "IL", "+972501234567"),
        ("03-9123456", "IL", "+97239123456"),
        ("+1 202 555 0123", "IL", "+12025550123"),
        ("(202) 555-0199", "US", "+12025550199"),
        ("1-202-555-0100", "US", "+12025550100"),
        ("+15555550123", "US", "+15555550123"),
        ("+447700900123", "IL", "+447700900123"),
        ("+972551234567", "US", "+972551234567"),
        ("٠٥٠١٢٣٤٥٦٧", "IL", "+972501234567"),
        ("tel:+972501234567", "US", "+972501234567"),
        ("1-800-123-456", "IL", "+9721800123456"),
    ],
)
def test_numbers_that_are_called(text: str, region: str, written: str) -> None:
    assert e164(text, region) == written


@pytest.mark.parametrize(
    ("text", "region", "refusal"),
    [
        ("", "IL", Refusal.MISSING_PHONE),
        ("  ", "IL", Refusal.MISSING_PHONE),
        ("call me", "IL", Refusal.INVALID_PHONE),
        ("'; DROP TABLE leads; --", "IL", Refusal.INVALID_PHONE),
        ("\x00", "IL", Refusal.INVALID_PHONE),
        ("100", "IL", Refusal.EMERGENCY),
        ("911", "US", Refusal.EMERGENCY),
        ("112", "IL", Refusal.EMERGENCY),
        ("1201", "IL", Refusal.SHORT_NUMBER),
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
        ("+19995550000", "US", Refusal.UNASSIGNED),
        ("+999123456789", "IL", Refusal.INVALID_PHONE),
        ("*2700", "IL", Refusal.TOO_SHORT),
    ],
)
def test_numbers_that_are_not_called(text: str, region: str, refusal: Refusal) -> None:
    with pytest.raises(RefusedPhoneError) as refused:
        e164(text, region)
    assert refused.value.reason is refusal


def judged(text: str, region: str) -> str | None:
    try:
        return _judged(text, region)
    except RefusedPhoneError:
        return None


DIGITS = st.text("0123456789", min_size=6, max_size=13)


@given(
    text=st.one_of(
        DIGITS,
        DIGITS.map(lambda digits: f"+{digits}"),
        DIGITS.map(lambda digits: f"0{digits}"),
        st.integers(0, 10**8).map(lambda n: f"05{n:08}"),
        st.integers(0, 10**8).map(lambda n: f"+9725{n:08}"),
        st.integers(0, 10**10 - 1).map(lambda n: f"+1{n:010}"),
        st.integers(0, 10**10 - 1).map(lambda n: f"1{n:010}"),
        st.integers(0, 10**10 - 1).map(lambda n: f"+44{n:010}"),
        st.integers(0, 10**10 - 1).map(lambda n: f"0{n:010}"),
    ),
    region=st.sampled_from(["IL", "US", "GB", "DE", "FR", "IT", "BR", "MX", "AR", "RU", "CA", "AU", "HU"]),
)
@example(text="+19005551234", region="US")
@example(text="1900123456", region="IL")
def test_the_short_way_finds_what_the_whole_judgement_finds(text: str, region: str) -> None:
    quick = _ordinary(text, region)
    if quick is not None:
        assert quick == judged(text, region)


@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
def test_every_region_s_example_is_called_as_it_is_written_there(region: str) -> None:
    for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
        number = phonenumbers.example_number_for_type(region, kind)
        if number is None:
            continue
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        assert e164(written, "US") == written
        national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
        assert e164(national, region) == judged(national, region)


@given(st.text(max_size=60), st.sampled_from(["IL", "US", "ZZ"]))
def test_no_text_makes_it_stumble(text: str, region: str) -> None:
    try:
        written = e164(text, region)
    except RefusedPhoneError:
        return
    assert written.startswith("+")
    assert written[1:].isascii()
    assert written[1:].isdigit()


HEBREW = "lead_id,phone,name\n1,0501234567,דנה לוי\n"


@pytest.mark.parametrize(
    "body",
    [
        HEBREW.encode(),
        HEBREW.encode("utf-8-sig"),
        codecs.BOM_UTF16_LE + HEBREW.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + HEBREW.encode("utf-16-be"),
        HEBREW.encode("cp1255"),
        HEBREW.replace(",", ";").encode("cp1255"),
        HEBREW.replace(",", "\t").encode(),
        HEBREW.replace("\n", "\r\n").encode(),
        HEBREW.replace("lead_id,phone,name", '"Lead ID","Phone","NAME"').encode(),
    ],
)
def test_files_in_their_encodings_and_delimiters(body: bytes) -> None:
    assert list(rows_of(body)) == [(2, {"lead_id": 1, "phone": "0501234567", "name": "דנה לוי"})]


@pytest.mark.parametrize(
    "body",
    [
        "lead_id,phone,name\n1,0501234567,José\n".encode("latin-1"),
        "lead_id,phone,name\n1,0501234567,Müller\n".encode("cp1252"),
        "lead_id,phone,name\n1,0501234567,Иван\n".encode("cp1251"),
        "lead_id,phone,name\n1,0501234567,דנה\n".encode("utf-16-le"),
        b"\xff\xfe\x00",
        bytes(range(256)),
    ],
)
def test_other_encodings_are_refused_with_what_to_do(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        decoded(body)
    assert refused.value.code == "wrong_encoding"
    assert "UTF-8" in refused.value.text.text


@pytest.mark.parametrize("name", ["ד״ר כהן", "₪ בע״מ", 'צה"ל', "בן-דוד", "Dana"])
def test_windows_hebrew_keeps_what_belongs_to_hebrew(name: str) -> None:
    body = f"lead_id,phone,name\n1,0501234567,{name}\n2,0501234568,משה\n"
    assert decoded(body.encode("cp1255")) == body


def test_empty_lines_and_spaces_do_not_shift_the_rows() -> None:
    body = b"lead_id,phone\n\n 1 , 0501234567 \n,\n2,0501234568\n"
    assert [(number, row["lead_id"]) for number, row in rows_of(body) if isinstance(row, dict)] == [(3, 1), (5, 2)]


def test_a_quoted_cell_may_have_lines_and_delimiters() -> None:
    body = b'lead_id,phone,name,note\n1,0501234567,"Levi, Dana","two\nlines"\n2,0501234568,x,\n'
    rows = list(rows_of(body))
    assert rows == [
        (2, {"lead_id": 1, "phone": "0501234567", "name": "Levi, Dana", "variables": {"note": "two\nlines"}}),
        (3, {"lead_id": 2, "phone": "0501234568", "name": "x"}),
    ]


def test_a_row_with_too_many_cells_is_rejected_and_shown() -> None:
    sheet = check_rows(rows_of(b"lead_id,phone\n1,0501234567,oops\n2,0501234568,\n"), "IL", "UTC")
    assert [(bad.row, bad.reason, bad.lead_id, bad.phone) for bad in sheet.rejected] == [(2, "wrong_columns", 1, "0501234567")]
    assert [lead.lead_id for lead in sheet.accepted] == [2]


def test_the_same_lead_and_the_same_phone_are_taken_once() -> None:
    rows = [
        {"lead_id": 1, "phone": "12"},
        {"lead_id": 1, "phone": "0501234567"},
        {"lead_id": 2, "phone": "+972-50-1234567"},
        {"lead_id": 1, "phone": "0501234568"},
        {"lead_id": 3, "phone": "0501234568"},
    ]
    sheet = check_rows(enumerate(rows, start=1), "IL", "UTC")
    assert [lead.lead_id for lead in sheet.accepted] == [1, 3]
    assert [(again.row, again.same_as, again.by) for again in sheet.duplicates] == [(3, 1, "phone"), (4, 1, "lead")]
    assert [bad.row for bad in sheet.rejected] == [1]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"lead_id": True}, "invalid_lead_id"),
        ({"lead_id": 0}, "invalid_lead_id"),
        ({"lead_id": 2**31}, "invalid_lead_id"),
        ({"lead_id": 1.0}, "invalid_lead_id"),
        ({"lead_id": None}, "missing_lead_id"),
        ({"phone": 501234567}, "invalid_phone"),
        ({"phone": ["0501234567"]}, "invalid_phone"),
        ({"name": 5}, "invalid_name"),
        ({"name": "x" * 256}, "invalid_name"),
        ({"name": "a\x00"}, "invalid_name"),
        ({"name": "\udfff"}, "invalid_name"),
        ({"timezone": "Jerusalem"}, "invalid_timezone"),
        ({"timezone": "../etc/passwd"}, "invalid_timezone"),
        ({"variables": []}, "invalid_variables"),
        ({"variables": {"a": "\x00"}}, "invalid_variables"),
        ({"variables": {"\ud800": 1}}, "invalid_variables"),
        ({"variables": {str(n): n for n in range(MAX_VARIABLES + 1)}}, "invalid_variables"),
        ({"variables": {"a": "x" * 5_000}}, "invalid_variables"),
        ({"age": 7}, "unknown_field"),
    ],
)
def test_rows_that_are_not_kept(more: dict[str, object], reason: str) -> None:
    sheet = check_rows([(1, {"lead_id": 1, "phone": "0501234567", **more})], "IL", "UTC")
    assert [bad.reason for bad in sheet.rejected] == [reason]
    assert sheet.accepted == []


def test_a_lead_has_the_business_s_zone_unless_it_says_its_own() -> None:
    rows = [{"lead_id": 1, "phone": "0501234567"}, {"lead_id": 2, "phone": "0501234568", "timezone": "Europe/Paris"}]
    sheet = check_rows(enumerate(rows), "IL", "Asia/Jerusalem")
    assert [(lead.zone, lead.timezone) for lead in sheet.accepted] == [("Asia/Jerusalem", None), ("Europe/Paris", "Europe/Paris")]


@given(st.binary(max_size=200))
@example(b"lead_id,phone\n1,\xff")
def test_no_bytes_make_the_reader_stumble(body: bytes) -> None:
    with contextlib.suppress(ApiError):
        check_rows(rows_of(body), "IL", "UTC")


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_no_row_makes_the_check_stumble(row: object) -> None:
    sheet = check_rows([(1, row)], "IL", "UTC")
    assert len(sheet.accepted) + len(sheet.rejected) == 1
