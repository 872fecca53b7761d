"""Leads: which encodings are read, which rows are kept, and how the others are reported."""

from __future__ import annotations

import codecs
import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sql.runs.new_lead import NewLead
from sql.scripts.scripts import CallScript
from web.intake.csv_file import rows_of
from web.intake.encoding import decoded, pieces
from web.intake.rows import MAX_VARIABLES, check_rows
from web.server.errors import ApiError

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
    assert list(rows_of(pieces(body))) == [(2, {"lead_id": 1, "phone": "0501234567", "name": "דנה לוי"})]


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
def test_other_encodings_are_rejected_with_advice(body: bytes) -> None:
    with pytest.raises(ApiError) as rejected:
        decoded(pieces(body))
    assert rejected.value.code == "wrong_encoding"
    assert "UTF-8" in rejected.value.text.text


@pytest.mark.parametrize("name", ["ד״ר כהן", "₪ בע״מ", 'צה"ל', "בן-דוד", "Dana"])
def test_windows_hebrew_keeps_what_belongs_to_hebrew(name: str) -> None:
    body = f"lead_id,phone,name\n1,0501234567,{name}\n2,0501234568,משה\n"
    assert "".join(decoded(pieces(body.encode("cp1255")))) == body


def test_empty_lines_and_spaces_do_not_shift_the_rows() -> None:
    body = b"lead_id,phone\n\n 1 , 0501234567 \n,\n2,0501234568\n"
    assert [(number, row["lead_id"]) for number, row in rows_of(pieces(body)) if isinstance(row, dict)] == [(3, 1), (5, 2)]


def test_a_quoted_cell_may_have_lines_and_delimiters() -> None:
    body = b'lead_id,phone,name,note\n1,0501234567,"Levi, Dana","two\nlines"\n2,0501234568,x,\n'
    rows = list(rows_of(pieces(body)))
    assert rows == [
        (2, {"lead_id": 1, "phone": "0501234567", "name": "Levi, Dana", "variables": {"note": "two\nlines"}}),
        (3, {"lead_id": 2, "phone": "0501234568", "name": "x"}),
    ]


def test_a_row_with_too_many_cells_is_rejected_and_shown() -> None:
    checked = check_rows(rows_of(pieces(b"lead_id,phone\n1,0501234567,oops\n2,0501234568\n")), "IL", "UTC")
    assert [(bad.row, bad.reason, bad.lead_id, bad.phone) for bad in checked.rejected] == [(2, "wrong_columns", 1, "0501234567")]
    assert [lead.lead_id for lead in checked.accepted] == [2]


def test_the_same_lead_and_the_same_phone_are_taken_once() -> None:
    rows = [
        {"lead_id": 1, "phone": "12"},
        {"lead_id": 1, "phone": "0501234567"},
        {"lead_id": 2, "phone": "+972-50-1234567"},
        {"lead_id": 1, "phone": "0501234568"},
        {"lead_id": 3, "phone": "0501234568"},
    ]
    checked = check_rows(enumerate(rows, start=1), "IL", "UTC")
    assert [lead.lead_id for lead in checked.accepted] == [1, 3]
    assert [(again.row, again.same_as, again.by) for again in checked.duplicates] == [(3, 1, "phone"), (4, 1, "lead")]
    assert [bad.row for bad in checked.rejected] == [1]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"lead_id": True}, "invalid_lead_id"),
        ({"lead_id": 0}, "invalid_lead_id"),
        ({"lead_id": 2**63}, "invalid_lead_id"),
        ({"lead_id": "x" * 256}, "invalid_lead_id"),
        ({"lead_id": "a\x00"}, "invalid_lead_id"),
        ({"lead_id": ["7"]}, "invalid_lead_id"),
        ({"lead_id": " "}, "missing_lead_id"),
        ({"lead_id": 1.0}, "invalid_lead_id"),
        ({"lead_id": None}, "missing_lead_id"),
        ({"phone": 501234567}, "not_text"),
        ({"phone": ["0501234567"]}, "not_text"),
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
def test_rejected_rows(more: dict[str, object], reason: str) -> None:
    checked = check_rows([(1, {"lead_id": 1, "phone": "0501234567", **more})], "IL", "UTC")
    assert [bad.reason for bad in checked.rejected] == [reason]
    assert checked.accepted == []


def test_an_id_is_an_integer_or_a_text_and_stays_what_it_is() -> None:
    ids = [2**63 - 1, "0031x00000abc", "7", 7, "x" * 255, " padded "]
    checked = check_rows(((n, {"lead_id": lead_id, "phone": f"05{n:08}"}) for n, lead_id in enumerate(ids)), "IL", "UTC")
    assert [lead.lead_id if lead.external_id is None else lead.external_id for lead in checked.accepted] == ids
    assert [lead.lead_id for lead in checked.accepted if lead.external_id is not None] == [None] * 4


def test_the_same_id_as_text_and_as_number_is_two() -> None:
    rows = [{"lead_id": lead_id, "phone": f"050000000{n}"} for n, lead_id in enumerate(["7", 7, "7", 7])]
    assert [(again.row, again.lead_id, again.by) for again in check_rows(enumerate(rows), "IL", "UTC").duplicates] == [
        (2, "7", "lead"),
        (3, 7, "lead"),
    ]


def test_a_lead_has_the_zones_of_its_number_unless_it_says_its_own() -> None:
    rows = [
        {"lead_id": 1, "phone": "0501234567"},
        {"lead_id": 2, "phone": "0501234568", "timezone": "Europe/Paris"},
        {"lead_id": 3, "phone": "+1 208 555 1234"},
        {"lead_id": 4, "phone": "+1 208 555 1235", "timezone": ""},
    ]
    checked = check_rows(enumerate(rows), "IL", "Asia/Jerusalem")
    idaho = "US:America/Boise,America/Los_Angeles"
    assert [lead.zone for lead in checked.accepted] == ["IL:Asia/Jerusalem", "IL:Europe/Paris", idaho, idaho]


@given(st.binary(max_size=200))
@example(b"lead_id,phone\n1,\xff")
def test_no_file_causes_an_unexpected_error(body: bytes) -> None:
    with contextlib.suppress(ApiError):
        check_rows(rows_of(pieces(body)), "IL", "UTC")


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_no_row_causes_an_unexpected_error(row: object) -> None:
    checked = check_rows([(1, row)], "IL", "UTC")
    assert len(checked.accepted) + len(checked.rejected) == 1


def test_nothing_that_is_known_of_a_person_is_in_a_repr() -> None:
    lead = NewLead(1, "+972501234567", "דנה", "IL:", variables={"city": "חיפה"})
    call = CallScript(
        run_id=1,
        phone="+972501234567",
        from_number="+972501110000",
        name="דנה",
        variables={"city": "חיפה"},
        region="IL",
        script={"stream": "wss://example.com", "parameters": {"key": "secret"}},
        on_machine=None,
        machine_message="secret",
        machine_detection=None,
    )
    assert not [known for known in ("+972", "דנה", "חיפה", "secret") if known in repr(lead) + repr(call)]
