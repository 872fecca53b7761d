"""Lists of phone numbers: every row is counted, so many are reported, and a number has the first reason it is given."""

from __future__ import annotations

import pytest

from web.intake.encoding import pieces
from web.intake.phone_lists import phone_list
from web.intake.phone_lists.phone_list import MAX_REASON_CHARACTERS, check_phones
from web.intake.phone_lists.phone_rows import PhoneRow, phone_rows
from web.server.errors import ApiError

A, B = "+972521234567", "+972521234568"


def test_every_bad_row_is_counted_and_so_many_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_list, "MAX_REJECTED", 2)
    phones = check_phones([PhoneRow(n, "x") for n in range(1, 6)] + [PhoneRow(6, A)], "IL")
    assert ([row.row for row in phones.rejected], phones.rejected_count, list(phones)) == ([1, 2], 5, [(A, None)])


def test_a_list_that_is_too_long_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        check_phones([PhoneRow(1, A), PhoneRow(2, B)], "IL", most=1)
    assert (refused.value.status, refused.value.code) == (413, "too_many_phones")
    assert len(check_phones([PhoneRow(1, A), PhoneRow(2, B)], "IL", most=None)) == 2


def test_a_number_has_its_own_reason_or_that_of_the_request() -> None:
    rows = [PhoneRow(1, A, " moved "), PhoneRow(2, A, "again"), PhoneRow(3, B, "x" * 300)]
    assert list(check_phones(rows, "IL", "by mail")) == [(A, "moved"), (A, "moved"), (B, "x" * MAX_REASON_CHARACTERS)]
    assert list(check_phones([PhoneRow(1, B)], "IL", "by mail")) == [(B, "by mail")]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("Register of July\n\nname,phone\nDana,0521234567\n", [(4, "0521234567", "")]),
        ("sep=;\nphone;reason\n0521234567;x\n;;\n", [(2, "0521234567", "x")]),
        ("0521234567", [(1, "0521234567", "")]),
        (",0521234567,\n,0521234568,\n", [(1, "0521234567", ""), (2, "0521234568", "")]),
        ("מספר,נייד,סיבה\n1,0521234567,ביקשה\n", [(2, "0521234567", "ביקשה")]),
        ("telephone,mobile\n031234567,0521234567\n", [(2, "0521234567", "")]),
        ("\n  \n0521234567\r\n\r\n0521234568\r\n", [(3, "0521234567", ""), (5, "0521234568", "")]),
    ],
)
def test_rows_are_numbered_as_a_spreadsheet_shows_them(text: str, rows: list[tuple[int, str, str]]) -> None:
    assert [tuple(row) for row in phone_rows(pieces(text.encode()), "IL")] == rows


@pytest.mark.parametrize("text", ["", "name\nDana\n", "0521234567,0521234568\n", "x\n" * 30 + "0521234567\n"])
def test_a_file_without_a_column_of_numbers_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        list(phone_rows(pieces(text.encode()), "IL"))
    assert refused.value.code == "missing_column"


def test_a_column_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        list(phone_rows(pieces(b"phone,phone\n0521234567,\n"), "IL"))
    assert refused.value.code == "wrong_header"
