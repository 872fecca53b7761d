"""Leads as JSON: read one by one with the same result as `json.loads`, with only one of them in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from web.intake import json_file
from web.intake.encoding import pieces
from web.intake.json_file import leads_of, settings_of
from web.intake.rows import MAX_LEADS, BadRowError
from web.server.errors import ApiError, Text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def read(body: bytes, size: int = 100_000) -> tuple[dict[str, Any], list[object]]:
    def source() -> Any:  # noqa: ANN401 - an iterator of bytes
        return (body[at : at + size] for at in range(0, len(body), size))

    return settings_of(source), [lead for _, lead in leads_of(source)]


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=4), st.lists(VALUES, max_size=6), st.integers(1, 40), st.data())
def test_it_reads_what_json_reads_in_any_pieces(beside: dict[str, Any], leads: list[Any], size: int, data: st.DataObject) -> None:
    names = data.draw(st.permutations([*beside, "leads"]))
    whole = {name: leads if name == "leads" else beside[name] for name in names}
    text = json.dumps(whole, indent=data.draw(st.sampled_from([None, 1])), ensure_ascii=data.draw(st.booleans()))
    encoding = data.draw(st.sampled_from(["utf-8", "utf-16", "utf-32", "utf-8-sig"]))
    settings, found = read(text.encode(encoding, "surrogatepass"), size)
    assert found == leads
    assert settings == {**whole, "leads": []}


@settings(deadline=None)
@given(st.text('{}[]:,"\\1e.-+ ntuflas\n\u20ac\ud800leads', max_size=40), st.integers(1, 9))
@example('{"leads":[1,]}', 3)
@example('{"leads":[],}', 3)
@example('{"leads":[01]}', 3)
@example('{"leads":[]}}', 3)
@example('{"leads":[NaN]}', 3)
@example('{"a":-}', 1)
def test_it_rejects_what_json_rejects(text: str, size: int) -> None:
    body = text.encode(errors="surrogatepass")
    try:
        whole = json.loads(body, parse_constant=json_file._no_constant)
    except ValueError:
        whole = None
    if isinstance(whole, dict) and text.count('"leads"') < 2:
        settings, leads = read(body, size)
        listed = isinstance(whole.get("leads"), list)
        assert {**settings, "leads": leads} == whole if listed else settings == whole
        return
    with pytest.raises(ApiError) as error:
        read(body, size)
    assert error.value.status in {400, 422}


@pytest.mark.parametrize(
    ("lead", "key"),
    [
        ('{"lead_id": 5, "lead_id": 6, "phone": "1"}', "lead_id"),
        ('{"lead_id": 5, "phone": "1", "phone": "1"}', "phone"),
        ('{"lead_id": 5, "variables": {"a": {"b": 1, "b": 2}}}', "b"),
        ('[{"a": 1, "a": 2}]', "a"),
    ],
)
def test_a_lead_that_has_a_key_twice_is_no_lead(lead: str, key: str) -> None:
    for size in (3, 1_000):
        _, [found, next_lead] = read(f'{{"leads": [{lead}, {{"lead_id": 7}}]}}'.encode(), size)
        assert isinstance(found, BadRowError)
        assert found.text == Text("The key {key} is given twice.", {"key": key})
        assert next_lead == {"lead_id": 7}


def test_each_of_thousands_of_keys_is_compared_with_few_others() -> None:
    compared = 0

    class Key(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str(self) == other

    text = json_file._Text(pieces(b"{}"))
    names = [*map(str, range(2_000)), "7", "9"]
    assert len(text._object([(Key(name), 0) for name in names])) == 2_000
    assert list(text.repeated) == ["7", "9"]
    assert compared < 20 * len(names)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"[1, 2]", 400, "malformed_json"),
        (b'{"leads": [', 400, "malformed_json"),
        (b'{"leads": [' + b"[" * 100_000, 400, "malformed_json"),
        (b"[" * 100_000, 400, "malformed_json"),
        (b'{"leads": [' + b"9" * 5_000 + b"]}", 400, "malformed_json"),
        (b'{"leads": ["' + b"x" * 1_000_000 + b'"]}', 422, "row_too_long"),
        (b'{"leads": [' + b"[1]," * 20 + b"[" + b"[]," * 300_000 + b"[]]]}", 422, "row_too_long"),
        (b'{"leads": [{"a": x}, ' + b" " * 1_000_000 + b"]}", 400, "malformed_json"),
        (b'{"leads": [],"name":"' + b"x" * 1_000_000 + b'"}', 422, "invalid"),
        (b'{"leads": [], "leads": []}', 422, "invalid"),
        (json.dumps({str(n): n for n in range(5_000)}).encode(), 422, "invalid"),
        (b'{"leads": [' + b"{}," * MAX_LEADS + b"{}]}", 413, "too_many_leads"),
        (b'{"leads": [], "name": "\xff"}', 400, "malformed_json"),
        (b'{"leads": []} {', 400, "malformed_json"),
    ],
)
def test_rejections(body: bytes, status: int, code: str) -> None:
    with pytest.raises(ApiError) as error:
        read(body)
    assert (error.value.status, error.value.code) == (status, code)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_cause_an_unexpected_error(body: bytes) -> None:
    for text in (body, b'{"leads":[' + body, b'{"leads":[{' + body + b"}]}"):
        try:
            settings_of(pieces(text))
        except ApiError:
            continue
        list(leads_of(pieces(text)))
