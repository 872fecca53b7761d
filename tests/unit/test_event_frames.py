"""Any entry of dialer:events is read without an error, and never becomes something a browser cannot read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.events.frames import MAX_DATA_CHARACTERS, parse_id, read_entry, run_of_entry

GOOD = {"type": "job.changed", "business_id": "1", "run_id": "2", "job_id": "3", "at": "2025-01-02T03:04:05+00:00", "data": '{"a": 1}'}
DEEP = "[" * 10_000 + "]" * 10_000
ODD = st.one_of(
    st.text(),
    st.text(st.characters(categories=["Nd", "No", "Nl"])),
    st.integers().map(str),
    st.sampled_from(
        ["²", "٣", "1" * 41, "-1", "1.0", "NaN", '{"a": NaN}', '{"a": 1e999}', DEEP, f'{{"a": {DEEP}}}', '"\\ud800"', "\ud800"]
    ),
    st.binary().map(lambda raw: raw.decode(errors="replace")),
)
NAMES = st.sampled_from([*GOOD, "id", "v", "command_id"]) | st.text()


def lines_of(frame: bytes) -> dict[str, str]:
    text = frame.decode()
    assert text.endswith("\n\n")
    return dict(line.split(": ", 1) for line in text[:-2].split("\n"))


@given(st.dictionaries(NAMES, ODD), st.sampled_from(["1-0", "18446744073709551615-18446744073709551615"]) | ODD)
def test_no_entry_raises_and_each_frame_is_one_event(fields: dict[str, str], identity: str) -> None:
    for entry in (fields, {**GOOD, **fields}):
        event = read_entry((identity, entry))
        if event is None:
            continue
        assert run_of_entry(entry) == (event.business_id, event.run_id)
        lines = lines_of(event.frame)
        assert list(lines) == ["id", "event", "data"]
        assert parse_id(lines["id"]) == event.id
        assert lines["event"] not in {"reset", "end", "alive"}
        body = json.loads(lines["data"], parse_constant=pytest.fail)
        assert body["run_id"] == event.run_id
        assert isinstance(body["data"], dict | None)


@given(ODD)
def test_no_text_makes_an_id_that_raises(text: str) -> None:
    found = parse_id(text)
    assert found is None or len(found) == 2


@pytest.mark.parametrize(
    ("field", "value", "became"),
    [
        ("data", DEEP, None),
        ("data", f'{{"a": {DEEP}}}', None),
        ("data", json.dumps({"a": "x" * MAX_DATA_CHARACTERS}), None),
        ("data", '{"a": Infinity}', None),
        ("data", "[]", None),
        ("data", '{"a": [1]}', {"a": [1]}),
        ("job_id", "1" + "0" * 40, None),
        ("job_id", "²", None),
        ("at", "yesterday", None),
        ("at", "2025-01-02T03:04:05", None),
    ],
)
def test_a_malformed_field_is_null(field: str, value: str, became: object) -> None:
    event = read_entry(("1-0", {**GOOD, field: value}))
    assert event is not None
    assert json.loads(lines_of(event.frame)["data"])[field] == became


@pytest.mark.parametrize("fields", [{"business_id": "²"}, {"run_id": "1" + "0" * 40}, {"type": "reset"}, {"type": "end\n\n"}, {"type": ""}])
def test_an_entry_that_is_not_an_event_of_a_run_is_skipped(fields: dict[str, str]) -> None:
    assert read_entry(("1-0", {**GOOD, **fields})) is None
