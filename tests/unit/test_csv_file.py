"""Files as people have them: each is read, or the row that cannot be read is rejected and the others are kept."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web.intake import csv_records, encoding
from web.intake.csv_file import rows_of
from web.intake.encoding import pieces
from web.intake.row_shape import RowShape
from web.intake.rows import MAX_LEADS, CheckedRows, check_rows
from web.server.errors import ApiError, Text

if TYPE_CHECKING:
    from collections.abc import Iterable

A = "1,0521234567,Dana"
B = "2,0521234568,Avi"


def loaded(body: str | bytes) -> CheckedRows:
    return check_rows(rows_of(pieces(body.encode() if isinstance(body, str) else body)), "IL", "UTC")


def kept(checked: CheckedRows) -> list[tuple[Any, str]]:
    return [(lead.external_id or lead.lead_id, lead.phone) for lead in checked.accepted]


def rejected(checked: CheckedRows) -> list[tuple[int, str]]:
    return [(bad.row, bad.reason) for bad in checked.rejected]


def found_ids(checked: CheckedRows) -> set[object]:
    """Every lead in the report: accepted, rejected or a duplicate."""
    rejected = [bad.lead_id for bad in checked.rejected]
    shown = {int(lead.strip('"')) if isinstance(lead, str) and lead.strip('"').isdecimal() else lead for lead in rejected}
    return {lead for lead, _ in kept(checked)} | shown | {again.lead_id for again in checked.duplicates}


BOTH = [(1, "+972521234567"), (2, "+972521234568")]


@pytest.mark.parametrize(
    "body",
    [
        f"lead_id,phone,name\n{A}\n{B}\n",
        "sep=;\r\nlead_id;phone;name\r\n1;0521234567;Dana\r\n2;0521234568;Avi\r\n",
        '"sep=;"\r\nlead_id;phone\r\n1;0521234567\r\n2;0521234568\r\n',
        "\ufeffsep=\t\nlead_id\tphone\n1\t0521234567\n2\t0521234568\n",
        "SEP=^\nlead_id^phone\n1^0521234567\n2^0521234568\n",
        "sep=,,,\nlead_id,phone,name,\n" + A + ",\n" + B + ",\n",
        f"\n\r\n  \nlead_id,phone,name\n{A}\n{B}\n",
        f",,\nlead_id,phone,name\n{A}\n{B}\n",
        f"Leads of spring,,\nlead_id,phone,name\n{A}\n{B}\n",
        "lead_id|phone\n1|0521234567\n2|0521234568\n",
        f",lead_id,phone,name\n0,{A}\n1,{B}\n",
        "lead_id,phone,name" + "," * 89 + "\n" + A + "," * 89 + "\n" + B + "," * 89 + "\n",
        "lead_id,phone," + ",".join(f"field {n}" for n in range(90)) + "\n1,0521234567" + "," * 90 + "\n2,0521234568" + "," * 90 + "\n",
        "lead_id,phone\n1.0,521234567.0\n2.0,521234568.0\n",
        "\u200flead_id,\u200ephone\u200f\n\u200e1,0521234567\n\u200f2\u200e,\u200e0521234568\n",
        '\ufefflead_id,phone\n\'1,\'0521234567\n"=""2""","=""0521234568"""\n',
        f'lead_id,phone,name\n1,0521234567,"Dana"\r\n{B}\r',
        f"lead_id,phone,name\r{A}\r{B}\r",
        f"lead_id,phone,name\r\r\n{A}\r\r\n{B}\r\r\n",
        f"lead_id,phone,name,\n{A},\n{B}, \n",
        "lead_id,phone,name,city\n1,0521234567,,\n2,0521234568,Avi,\n",
        '"Lead\nID","Phone","Notes","Notes"\n1,0521234567,a,b\n2,0521234568,,\n',
        'lead_id,phone,name\n1,0521234567,ד"ר כהן\n2,0521234568,בע"מ\n',
        f"lead_id,phone,name\n{A}\n,,,,\n{B}\n,\n",
        f"LEAD-ID,Phone,name\t\n{A}\n{B}\n",
        "lead_id,phone,name\u00a0\n1\u00a0,0521234567\u00a0,Dana\n2,052\u00a01234568,Avi\n",
    ],
)
def test_the_file_is_read(body: str) -> None:
    checked = loaded(body)
    assert kept(checked) == BOTH
    assert checked.rejected == []


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (f'lead_id,phone,name\n{A}\n3,0521234569,"Dan "the man" Levi"\n{B}\n', [(3, "bad_quotes")]),
        (f'lead_id,phone,name\n{A}\n3,0521234569,"Dan\n{B}\n', [(3, "bad_quotes")]),
        (f'lead_id,phone,name\n{A}\n3,0521234569,"Dan\n{B}\n4,0521234570,"Bo\n', [(3, "bad_quotes"), (5, "bad_quotes")]),
        (f'lead_id,phone,name\n{A}\n{B}\n3,0521234569,"Dan\n', [(4, "bad_quotes")]),
        (f'lead_id,phone,name\n{A}\n3,0521234569,"Dan\n{B}\n4,"0521234570,Bo\n', [(3, "bad_quotes"), (5, "bad_quotes")]),
        (f"lead_id,phone,name\n{A}\n3,0521234569,{'x' * 140_000}\n{B}\n", [(3, "row_too_long")]),
        (f'lead_id,phone,name\n{A}\n3,0521234569,"{"x" * 140_000}"\n{B}\n', [(3, "row_too_long")]),
        (f"lead_id,phone,name\n{A}\n{',' * 700_000}\n{B}\n", [(3, "row_too_long")]),
        (f"lead_id,phone,name\n{A}\n3,0521234569,Da\x00na\n{B}\n", [(3, "nul_character")]),
        (f"lead_id,phone,name\n{A}\n3,0521234569,Dan,Levi,Haifa\n{B}\n", [(3, "wrong_columns")]),
        (f"lead_id,phone,name\n{A}\n3,,\n{B}\n", [(3, "missing_phone")]),
        (f"lead_id,phone,name\n{A}\n3\n{B}\n", [(3, "wrong_columns")]),
        (f"lead_id,phone,name\n{A}\n3,0521234569\n{B}\n", [(3, "wrong_columns")]),
        (f"lead_id,phone,name\n{A}\n3,0521234569,Dan,\n{B}\n", [(3, "wrong_columns")]),
        (f"lead_id,phone,name,\n{A},\n3,0521234569,Dan,Levi\n{B},\n", [(3, "wrong_columns")]),
        (f"lead_id,phone,name\n{A}\n{B}\nlead_id,name,phone\n3,0521234569,0521234570\n", [(4, "second_header"), (5, "second_header")]),
        (f"lead_id,phone,name\n{A}\n{B}\nPhone,Time zone,Name,x\n", [(4, "second_header")]),
        (f"lead_id,phone,name\n{A}\n3,0521234569\rLevi,x\n{B}\n", [(3, "wrong_columns"), (4, "wrong_columns")]),
        (f"lead_id,phone,name\n{A}\n1e5,5.21234569E+08,\n{B}\n", [(3, "shortened")]),
        (f"lead_id,phone,name\n{A}\n3,050-123-XXXX,\n{B}\n", [(3, "masked")]),
    ],
)
def test_the_row_is_rejected_and_the_others_are_kept(body: str, rows: list[tuple[int, str]]) -> None:
    checked = loaded(body)
    assert [lead for lead in kept(checked) if lead in BOTH] == BOTH
    assert rejected(checked)[-len(rows) :] == rows


TWO_STRAY = [
    '1,"Bob,0521234567\n2,Al,0521234568\n3,Carl",0521234569',  # short rows
    '1,"Bob,0521234567,\n2,Al,0521234568,,\n3,Carl",0521234569,',  # and long ones
    '1,"Bob,0521234567,x\n2,Al,\u200e0521234568,y\n3,Carl",0521234569,z',
    '1,"Bob,0521234567,x\n2,Al,tel:0521234568,y\n3,Carl",0521234569,z',
    '1,"Bob,0521234567,x\n2,Al,٠٥٢١٢٣٤٥٦٨,y\n3,Carl",0521234569,z',
    '1,"Bob,0521234567,x\n2,Al,1-800-FLOWERS,y\n3,Carl",0521234569,z',
    '1,"Bob,0521234567,x\n2,Al,no number,y\n3,Carl",0521234569,z',
    '1,"Bob,0521234567\n2,Al,no number\n3",0521234570,0521234569',
    '"1,Bob,0521234567\n2,Al,0521234568\n3",Carl,0521234569',
    '1,Bob,0521234567,"x\n2",Al,0521234568\n3,Carl,0521234569',
    '1,Bob,0521234567,"x\n2,Al,no number\n3",Carl,0521234569',
]


@pytest.mark.parametrize("rows", TWO_STRAY)
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_two_stray_quotation_marks_give_no_lead_the_phone_of_another(rows: str, delimiter: str) -> None:
    checked = loaded(f"lead_id,name,phone,note\n{rows}\n".replace(",", delimiter))
    assert {1, 2, 3} <= found_ids(checked)
    assert [lead for lead in kept(checked) if lead[0] == 1] in ([], [(1, "+972521234567")])


def test_two_marks_in_a_line_do_not_give_a_lead_its_second_phone() -> None:
    checked = loaded(
        'lead_id,name,phone,phone2\n1,"Bob,0521234567",0521234599\n2,"Levi, Al",0521234568\n3,"Herzl 5, 6100212",0521234569,\n'
    )
    assert kept(checked) == [(3, "+972521234569")]
    assert rejected(checked) == [(2, "bad_quotes"), (3, "wrong_columns")]


@pytest.mark.parametrize(
    "file",
    [
        "lead_id,name,fax,phone,city\n2,Cohen, Dana,03-9999998,052-1111112,\n",
        "lead_id,name,fax,phone,city\n1,Cohen, Dana,03-9999998,052-1111112,\n2,Levi, Noa,03-9999997,052-1111113,\n",
        "lead_id,name,fax,phone,city\n5,052-1111115,03-9999995,03-9999994\n",
        "lead_id,name,fax,phone,city\n4,052-1111114,03-9999996\n",
        "lead_id,name,fax,phone,\n2,Cohen, Dana,03-9999998,052-1111112\n",
        "lead_id,name,phone,fax\n7,0521111111,0399999999\n",
        "lead_id,phone,fax\n\nlead_id,fax,phone\n2,039999998,0521111112\n",
    ],
)
def test_no_cell_is_read_under_the_heading_of_another(file: str) -> None:
    checked = loaded(file)
    assert kept(checked) == []
    assert {bad.reason for bad in checked.rejected} <= {"wrong_columns", "second_header"}


def test_a_row_with_a_cell_too_many_says_how_many_are_expected() -> None:
    [bad] = loaded("lead_id,name,fax,phone,city\n2,Cohen, Dana,03-9999998,052-1111112,\n").rejected
    assert bad.text == Text("Cells in this row: {cells}. Columns in the header: {columns}.", {"cells": 6, "columns": 5})


def test_two_marks_in_the_header_and_after_it_hide_no_lead() -> None:
    for rows in ('"note\n1",0521234567,x', '"note\n1,0521234567,x"'):
        with pytest.raises(ApiError):
            loaded(f"lead_id,phone,{rows}\n")


@pytest.mark.parametrize(
    "body",
    [
        'lead_id,phone,note\n1,0521234567,"Called twice\n\nno answer; at work, they say\nagain"\n2,0521234568,\n',
        'lead_id,note,phone\n1,"Called twice\n""no answer""",0521234567\n2,"x\ny",0521234568\n',
        'lead_id,phone,address,city\n1,0521234567,"Herzl, corner\nflat three",Haifa\n2,0521234568,"a\nb","c\nd"\n',
    ],
)
def test_a_cell_of_several_lines_is_read(body: str) -> None:
    checked = loaded(body)
    assert (kept(checked), checked.rejected) == (BOTH, [])


def test_open_quotation_marks_have_no_line_read_many_times() -> None:
    # Each of these lines closes the cell of the one before it and opens another, which no line ends.
    lines = ['x,b,y","z'] * 5_000
    shape = Counting(",", 4, 0, 1)
    records = list(csv_records.Records(["lead,x,y,z", *lines, "1,2,3,4"], shape))
    assert records[0] == ["lead", "x", "y", "z"]
    assert records[-1] == ["1", "2", "3", "4"]
    assert all(isinstance(record, csv_records.UnreadableRecord) for record in records[1:-1])
    assert len(records) == len(lines) + 2
    first_budget = csv_records.REREAD_CHARACTERS // len(lines[0])
    assert shape.looked_at <= len(lines) * (csv_records.REREAD_TIMES + 2) + first_budget


class Counting(RowShape):
    """Counts the lines that are looked at within quotes."""

    looked_at = 0

    def hides_row(self, first: str, further: str) -> bool:
        Counting.looked_at += 1
        return super().hides_row(first, further)


def test_a_rejected_row_is_shown_as_far_as_it_was_read() -> None:
    [bad] = loaded(f'lead_id,phone,name\n{A}\n3,0521234569,"Dan "the man" Levi"\n').rejected
    assert (bad.row, bad.lead_id, bad.phone, bad.reason) == (3, 3, "0521234569", "bad_quotes")


def test_other_columns_become_variables_and_unnamed_ones_are_skipped() -> None:
    body = f",lead_id,phone,Notes,,Notes,{'x' * 120}\n0,1,0521234567,a,b,c,d\n"
    [lead] = loaded(body).accepted
    assert lead.variables == {"notes": "a", "notes_2": "c", "x" * 100: "d"}


def test_the_rows_are_numbered_as_a_spreadsheet_shows_them() -> None:
    for above, first in (("", 2), ("sep=,\n", 2), ("\n", 3), ("Title\n\n", 4)):
        assert [number for number, _ in rows_of(pieces(f"{above}lead_id,phone\n1,x\n\n2,y\n".encode()))] == [first, first + 2]


@pytest.mark.parametrize(
    ("cell", "lead_id"),
    [
        ("1", 1), ("9223372036854775807", 2**63 - 1), ("9223372036854775808", "9223372036854775808"), ("007", "007"), ("1.0", 1),
        ("1.5", "1.5"), ("9007199254740993.0", "9007199254740993.0"), ("0031x00000AbC", "0031x00000AbC"), ("'007", "007"),
        ('="007"', "007"), ("1e5", "1e5"), ("\u200e12", 12), ("-3", "-3"), ("\u0667", "\u0667"),
        ("f47ac10b-58cc-4372-a567-0e02b2c3d479", "f47ac10b-58cc-4372-a567-0e02b2c3d479"),
    ],
)  # fmt: skip
def test_an_id_without_leading_zeros_is_a_number_and_any_other_a_text(cell: str, lead_id: object) -> None:
    assert kept(loaded(f"lead_id,phone\n{cell},0521234567\n")) == [(lead_id, "+972521234567")]


def test_a_repeated_column_of_a_lead_is_an_error() -> None:
    with pytest.raises(ApiError) as error:
        loaded("lead_id,phone,Phone\n1,0521234567,0521234568\n")
    assert error.value.code == "wrong_header"


def test_rows_are_counted_and_blank_ones_are_not() -> None:
    assert kept(loaded("lead_id,phone\n" + ",\n" * (MAX_LEADS + 10) + "1,0521234567\n")) == BOTH[:1]
    with pytest.raises(ApiError) as error:
        loaded("lead_id,phone\n" + "1,\n" * (MAX_LEADS + 1))
    assert error.value.code == "too_many_leads"
    with pytest.raises(ApiError):
        loaded("lead_id,phone\n" + "\n" * 2_100_000)


def in_pieces(text: str, size: int) -> Iterable[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


@settings(deadline=None)
@given(st.text("a\r\n", max_size=40), st.integers(1, 5))
def test_lines_are_the_same_in_whatever_pieces_they_come(text: str, size: int) -> None:
    assert list(csv_records.lines_of(in_pieces(text, size))) == text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


@settings(deadline=None)
@given(st.text("ab\n", max_size=60), st.integers(1, 9))
def test_a_long_line_is_cut_out_in_whatever_pieces_it_comes(text: str, size: int) -> None:
    most, csv_records_most = 5, csv_records.MAX_RECORD_CHARACTERS
    long = text.replace("b", "b" * (csv_records_most // most))
    lines = long.split("\n")
    assert list(csv_records.lines_of(in_pieces(long, size * csv_records_most // 7))) == [
        line if len(line) <= csv_records_most else None for line in lines
    ]


@settings(deadline=None)
@given(st.lists(st.text(',;"ab\n1 0521234567', max_size=30), max_size=12))
def test_no_row_is_lost_without_a_report(lines: list[str]) -> None:
    body = f"lead_id,phone,name\n{A}\n" + "\n".join(lines) + f"\n{B}\n"
    checked = loaded(body)
    assert {1, 2} <= found_ids(checked)


PHONES = [
    ("0521234567", "0521234568", "0521234569", "0521234570"),
    ("\u200e0521234567", "tel:0521234568", "٠٥٢١٢٣٤٥٦٩", "'0521234570"),
    ("052 123 4567", "052-1234568", "(052) 1234569", "+972 52 123 4570"),
]
ROWS_READ = {number: f"+97252123456{6 + number}" if number < 4 else "+972521234570" for number in range(1, 5)}


@st.composite
def rows_with_stray_marks(draw: st.DrawFn) -> str:
    """Four leads: columns in any order, short, long, quoted and multi-line cells, and up to three stray quotation marks."""
    columns = draw(st.permutations(["lead_id", "phone", "name", "note"]))
    phones = draw(st.sampled_from(PHONES))
    text = st.sampled_from(["", "Al", "Bo", '"Levi, Dan"', "x y", '"first\nsecond"', '"say ""so"""'])
    lines = [",".join(columns)]
    for number, phone in enumerate(phones, start=1):
        row = {"lead_id": str(number), "phone": phone, "name": draw(text), "note": draw(text)}
        line = ",".join(row[column] for column in columns)
        ending = draw(st.sampled_from(["", ",", ",,", "short"]))
        lines.append(line.rstrip(",") if ending == "short" else line + ending)
    rows = "\n".join(lines[1:])
    for place in draw(st.lists(st.integers(0, len(rows)), max_size=3)):
        rows = rows[:place] + '"' + rows[place:]
    return f"{lines[0]}\n{rows}\n"


@settings(deadline=None, max_examples=500)
@given(rows_with_stray_marks())
def test_stray_quotation_marks_lose_no_lead_and_give_none_the_phone_of_another(body: str) -> None:
    checked = loaded(body)
    assert all(phone == ROWS_READ.get(lead, phone) for lead, phone in kept(checked)), kept(checked)
    found = found_ids(checked)
    # The marks may enclose the lead_id, or come before it in the row: then the row is rejected without its lead_id.
    unnamed = sum(not isinstance(bad.lead_id, int) for bad in checked.rejected)
    assert len(ROWS_READ.keys() - found) <= unnamed, found
    assert all(lead in ROWS_READ for lead, _ in kept(checked)), kept(checked)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_file_or_an_explained_error(body: bytes) -> None:
    for text in (body, b"lead_id,phone,name\n" + body):
        with contextlib.suppress(ApiError):
            loaded(text)


def test_a_file_of_many_pieces_is_decoded_as_one() -> None:
    rows = "".join(f"{n},05{n:08},דנה {n}\n" for n in range(1, 30_000))
    for codec in ("utf-8", "utf-8-sig", "utf-16", "cp1255"):
        body = ("lead_id,phone,name\n" + rows).encode(codec)
        assert len(body) > 2 * encoding.PIECE_BYTES
        assert [name for _, row in rows_of(pieces(body)) for name in [row["name"]]] == [f"דנה {n}" for n in range(1, 30_000)]  # type: ignore[index]
