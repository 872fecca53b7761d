"""Tables as people have them: columns found by their headings or by a mapping, and workbooks that cannot take the process with them."""

from __future__ import annotations

import datetime as dt
import io
import itertools
import json
import struct
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from web.intake.csv_file import rows_of
from web.intake.encoding import pieces
from web.intake.rows import CheckedRows, check_rows
from web.intake.tables import headings
from web.intake.tables.headings import Role, role_of
from web.intake.tables.layout import by_headings, by_mapping, mapping_of, roles_by
from web.intake.tables.unpacked_rows import rows_of_lines
from web.intake.tables.workbook import unpacked
from web.intake.tables.workbook_reader import MAX_UNPACKED_BYTES, text_of
from web.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCS = Path(__file__).parents[2] / "docs" / "headings.md"


def of_csv(text: str, mapping: object = None) -> CheckedRows:
    found = mapping_of(mapping) if mapping is not None else {}
    return check_rows(rows_of(pieces(text.encode()), by_mapping(found) if found else by_headings, found), "IL", "Asia/Jerusalem")


def workbook(rows: Sequence[Sequence[object]], *, name: str = "לידים") -> bytes:
    """A workbook with a hidden sheet before that of the rows; dates are dates."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"default_date_format": "dd/mm/yyyy"}) as book:
        hidden, page = book.add_worksheet("old"), book.add_worksheet(name)
        hidden.write_row(0, 0, ["lead_id", "phone"])
        hidden.write_row(1, 0, [99, "0509999999"])
        page.activate()
        hidden.hide()
        for number, row in enumerate(rows):
            page.write_row(number, 0, row)
    return file.getvalue()


def of_workbook(body: bytes, mapping: dict[str, Role] | None = None) -> CheckedRows:
    with ExitStack() as closing:
        source = unpacked(pieces(body), closing).source()
        return check_rows(rows_of_lines(source, by_mapping(mapping) if mapping else by_headings), "IL", "Asia/Jerusalem")


def kept(checked: CheckedRows) -> list[tuple[Any, str, str | None]]:
    return [(lead.external_id or lead.lead_id, lead.phone, lead.name) for lead in checked.accepted]


TWO = [(2, "+972521234567", "דנה לוי"), (3, "+972521234568", "אבי כהן")]


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("טלפון,שם", "{0},{1}"),
        ("שם הלקוח;מס' נייד", "{1};{0}"),
        ("שם פרטי\tשם משפחה\tטלפון", "{2}\t{3}\t{0}"),  # noqa: RUF001
        ("משפחה|פרטי|פלאפון", "{3}|{2}|{0}"),
        ("Full Name,Phone (mobile)", "{1},{0}"),
        ('"Mobile No.","Name"', '"{0}","{1}"'),
        ("الاسم,رقم الهاتف", "{1},{0}"),
        ("الإسم,رقم الجوّال", "{1},{0}"),
        ("Campaign of spring,,\nTel. 1,name,Tel. 2", "{0},{1},03-5555555"),
        ("name,mobile,phone number", "{1},{0},03-5555555"),
    ],
)
def test_columns_are_found_by_their_headings_and_leads_without_ids_are_numbered(header: str, rows: str) -> None:
    people = ("052-123-4567", "דנה לוי", "דנה", "לוי"), ("052-123-4568", "אבי כהן", "אבי", "כהן")
    checked = of_csv("\n".join([header, *(rows.format(*person) for person in people)]))
    assert checked.is_numbered
    above = header.count("\n")
    assert kept(checked) == [(row + above, phone, name) for row, phone, name in TWO]


def test_parts_of_a_name_are_variables_too_and_an_id_column_is_used() -> None:
    checked = of_csv("מזהה,שם משפחה,שם פרטי,נייד,עיר\nA7,לוי,דנה,0521234567,חיפה\n,כהן,אבי,0521234568,\n")
    [lead] = checked.accepted
    assert (lead.external_id, lead.name, lead.variables) == ("A7", "דנה לוי", {"שם_משפחה": "לוי", "שם_פרטי": "דנה", "עיר": "חיפה"})
    assert [(bad.row, bad.reason) for bad in checked.rejected] == [(3, "missing_lead_id")]


def test_a_mapping_says_what_a_column_is_and_what_is_ignored() -> None:
    text = "לקוח,phone,secret,Anruf,id\nדנה,03-5555555,x,0521234567,7\n"
    checked = of_csv(text, {"anruf": "phone", "לקוח": "name", "Secret": "ignore", "id": "variable"})
    [lead] = checked.accepted
    assert (lead.lead_id, lead.phone, lead.name, lead.variables) == (2, "+972521234567", "דנה", {"phone": "03-5555555", "id": "7"})


@pytest.mark.parametrize(
    ("mapping", "field"),
    [
        ({"nobody": "phone"}, "mapping.nobody"),
        ({"a": "phone", "b": "phone"}, "mapping.b"),
        ({"a": "telephone"}, "mapping.a"),
        ({"a": ["phone"]}, "mapping.a"),
        ({"A": "phone", "a": "name"}, "mapping.A"),
        ({"a": "name"}, "phone"),
        ("phone", "mapping"),
    ],
)
def test_a_wrong_mapping_is_named(mapping: object, field: str) -> None:
    with pytest.raises(ApiError) as error:
        of_csv("a,b\n0521234567,0521234568\n", mapping)
    assert error.value.status == 422
    assert [detail["field"] for detail in error.value.details] == [field]


@pytest.mark.parametrize(
    "text",
    [
        "טלפון,שם\n0521234567,דנה\nשם,טלפון\nאבי,0521234568\n",  # noqa: RUF001
        "Kundentelefon,Wer\n0521234567,x\nKundentelefon,Wer\n0521234568,y\n",
    ],
)
def test_a_second_header_is_refused_with_what_follows(text: str) -> None:
    checked = of_csv(text, {"Kundentelefon": "phone"} if text.startswith("K") else None)
    assert [lead.phone for lead in checked.accepted] == ["+972521234567"]
    assert [(bad.row, bad.reason) for bad in checked.rejected] == [(3, "second_header"), (4, "second_header")]


WORDS = [heading for heading in headings._table() if heading[0].isalnum()]
OTHERS = st.text(min_size=1, max_size=12).filter(lambda text: role_of(text) is None)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(WORDS) | OTHERS, min_size=1, max_size=8))
def test_whatever_the_headings_a_field_has_one_column_and_the_best_one(row: list[str]) -> None:
    try:
        roles = roles_by(row)
    except ApiError as error:
        assert error.code == "wrong_header"  # noqa: PT017 - either is right
        return
    assert len(roles) == len(row)
    ranks = [role_of(text) for text in row]
    for role in (Role.PHONE, Role.LEAD_ID, Role.TIMEZONE):
        there = [heading.rank for heading in ranks if heading and heading.role is role]
        chosen = [heading.rank for heading, own in zip(ranks, roles, strict=True) if own is role and heading]
        assert chosen == ([min(there)] if there else [])
    assert {role for text, role in zip(row, roles, strict=True) if role_of(text) is None} <= {Role.VARIABLE, Role.IGNORE}


@given(st.sampled_from(WORDS), st.sampled_from(["{}", " {} ", "\u200f{}:", '"{}"', "*{}*", "{} 1", "\ufeff{}"]))
def test_a_heading_is_known_whatever_is_around_it(word: str, dress: str) -> None:
    expected = role_of(word)
    assert expected
    assert role_of(dress.format(word.upper())) == expected


def test_the_page_of_headings_has_them_all() -> None:
    text = DOCS.read_text(encoding="utf-8")
    shown = {headings.comparable(part) for part in text.replace("·", ",").replace("|", ",").replace("\n", ",").split(",")}
    assert set(WORDS) <= shown


def test_a_workbook_is_read_as_people_have_it() -> None:
    body = workbook(
        [
            ["רשימת התקשרות נובמבר"],
            [],
            ["מס' לקוח", "שם מלא", "טלפון נייד", "תאריך", "", "סכום"],
            [1.0, "דנה לוי", 521234567.0, dt.date(2026, 1, 5), "", 1234.5],
            ["A-2", "כהן; אבי", "052-123-4568", dt.datetime.fromisoformat("2026-01-05T09:30"), "note", 3.0],
            [3, "Bo", dt.date(2026, 1, 5)],
            [],
            [4, "Ze", 5212345690000001],
            [4, "Zu", 100],
        ]
    )
    checked = of_workbook(body)
    assert kept(checked) == [(1, "+972521234567", "דנה לוי"), ("A-2", "+972521234568", "כהן; אבי")]
    assert checked.accepted[0].variables == {"תאריך": "2026-01-05", "סכום": "1234.5"}
    assert checked.accepted[1].variables == {"תאריך": "2026-01-05 09:30", "סכום": "3"}
    assert [(bad.row, bad.reason) for bad in checked.rejected] == [(6, "not_alone"), (8, "shortened"), (9, "emergency")]


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**18), 10**18))
def test_a_number_is_its_digits_or_shows_that_it_lost_some(number: float) -> None:
    text = text_of(number)
    if float(number).is_integer() and abs(number) < 10**15:
        assert text == str(int(number))
    else:
        assert not text.isdigit()
        assert abs(float(text) - number) <= abs(number) * 1e-5


def packed(name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED, entries: int = 1) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for number in range(entries):
            archive.writestr(f"{number or ''}{name}", content)
    return file.getvalue()


def lying(body: bytes, size: int) -> bytes:
    """The archive, whose only entry says that it unpacks to `size` bytes."""
    directory = body.rindex(b"PK\x01\x02")
    says = struct.pack("<I", size)
    body = body[: directory + 24] + says + body[directory + 28 :]
    return body[:22] + says + body[26:]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (packed("xl/workbook.xml", bytes(MAX_UNPACKED_BYTES + 1)), "too_large"),
        (packed("xl/workbook.xml", bytes(40_000_000)), "too_large"),
        (packed("a", b"x", entries=1_001), "too_large"),
        (lying(packed("xl/workbook.xml", bytes(40_000_000)), 1_000), "unreadable_file"),
        (packed("xl/workbook.xml", b"<a/>" * 9, zipfile.ZIP_LZMA), "unreadable_file"),
        (packed("readme.txt", b"no workbook"), "unreadable_file"),
        (b"PK\x03\x04", "unreadable_file"),
    ],
    ids=["much", "ratio", "entries", "lies", "method", "other", "cut"],
)
def test_an_archive_that_unpacks_to_too_much_or_lies_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(ApiError) as error:
        of_workbook(body)
    assert (error.value.status, error.value.code) == (413 if code == "too_large" else 422, code)


def test_two_far_cells_take_a_process_and_not_the_memory() -> None:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        page = book.add_worksheet()
        page.write(0, 0, "phone")
        page.write(1_048_575, 16_383, "x")
    assert len(file.getvalue()) < 10_000
    with pytest.raises(ApiError) as error:
        of_workbook(file.getvalue())
    assert (error.value.status, error.value.code) == (413, "too_large")


def test_rows_of_a_workbook_can_be_read_twice() -> None:
    with ExitStack() as closing:
        source = unpacked(pieces(workbook([["phone"], ["0521234567"]])), closing).source()
        first, again = (json.dumps(list(rows_of_lines(source))) for _ in itertools.repeat(None, 2))
    assert first == again == '[[2, {"lead_id": 2, "phone": "0521234567"}]]'
