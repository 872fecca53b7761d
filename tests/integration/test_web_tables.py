"""Tables over HTTP: workbooks, columns by their headings or by a mapping, and leads without ids."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import xlsxwriter

from tests.web_site import RUNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.web_site import Response, Site

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ROWS: list[list[object]] = [["לקוח", "נייד", "עיר"], ["דנה לוי", 521234567, "חיפה"], ["אבי כהן", "052-123-4568", "לוד"], ["Bo", "none", ""]]


def workbook(rows: Sequence[Sequence[object]]) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        page = book.add_worksheet("לידים")
        for number, row in enumerate(rows):
            page.write_row(number, 0, row)
    return file.getvalue()


async def sent(site: Site, path: str, body: bytes, content_type: str = XLSX, **query: str) -> Response:
    return await site.request("POST", path, data=body, headers={"Content-Type": content_type}, params=query)


async def jobs_of(site: Site, run_id: int) -> list[tuple[Any, str, str | None]]:
    found = (await site.get(f"{RUNS}/{run_id}/jobs")).json["items"]
    return [(job["lead_id"], job["phone"], job["name"]) for job in found]


async def test_a_workbook_is_loaded_mapped_and_added_to(site: Site) -> None:
    mapping = json.dumps({"לקוח": "name"})
    loaded = await sent(site, RUNS, workbook(ROWS), mapping=mapping, name="book")
    assert loaded.status == 201, loaded.body
    assert [(bad["row"], bad["lead_id"], bad["phone"], bad["reason"]) for bad in loaded.json["rejected"]] == [
        (4, 4, "none", "invalid_phone")
    ]
    run_id = loaded.json["run_id"]
    assert await jobs_of(site, run_id) == [(2, "+972521234567", "דנה לוי"), (3, "+972521234568", "אבי כהן")]
    # Rows of another table have the same numbers: they are other leads, unless their phone is known.
    more = workbook([["שם", "טלפון"], ["גל", "0521234569"], ["אבי", "0521234568"]])
    added = await sent(site, f"{RUNS}/{run_id}/leads", more)
    assert (added.status, added.json["accepted"], [again["by"] for again in added.json["duplicates"]]) == (201, 1, ["phone"])
    assert await jobs_of(site, run_id) == [(2, "+972521234567", "דנה לוי"), (3, "+972521234568", "אבי כהן"), (5, "+972521234569", "גל")]


async def test_the_content_tells_what_a_file_is_and_a_form_may_have_a_mapping(site: Site) -> None:
    for content_type, body in (
        ("text/tab-separated-values", b"name\tmobile\nDana\t0521234567\n"),
        ("text/csv", workbook([["name", "mobile"], ["Dana", 521234567.0]])),
        (XLSX, b"name,mobile\nDana,0521234567\n"),
    ):
        checked = await sent(site, f"{RUNS}/preflight", body, content_type)
        assert (checked.status, checked.json["will_call"]) == (200, 1), checked.body
    form = aiohttp.FormData()
    form.add_field("mapping", '{"a": "phone", "b": "ignore"}')
    form.add_field("file", workbook([["a", "b"], [521234567, "x"]]), filename="leads.xlsx", content_type=XLSX)
    response = await site.request("POST", RUNS, data=form)
    assert (response.status, response.json["accepted"]) == (201, 1), response.body


async def test_what_cannot_be_read_is_said_and_nothing_is_loaded(site: Site) -> None:
    body = workbook(ROWS)
    for wrong, query, fields in (
        (body, {"mapping": '{"nobody": "phone"}'}, ["mapping.nobody"]),
        (body, {"mapping": "{"}, ["mapping"]),
        (workbook([["a"], ["b"]]), {}, ["phone"]),
        (body[:-40], {}, ["file"]),
        (b"\xd0\xcf\x11\xe0" + bytes(600), {}, ["file"]),
    ):
        response = await sent(site, RUNS, wrong, **query)
        assert (response.status, [detail["field"] for detail in response.json["details"]]) == (422, fields), response.body
    assert (await site.get(RUNS)).json["items"] == []
