"""Importing a run: good rows are kept, bad ones are reported, and anything but a list of leads is rejected."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.web_site import RUNS, leads

if TYPE_CHECKING:
    from tests.web_site import Response, Site

CSV = {"Content-Type": "text/csv"}


async def runs_of(site: Site) -> int:
    found: int = await site.database.pool.fetchval("SELECT count(*) FROM public.outbound_call_runs WHERE business_id = $1", site.business)
    return found


def fields(response: Response) -> set[str]:
    return {detail["field"] for detail in response.json["details"]}


async def test_a_run_keeps_the_good_rows_and_reports_the_bad_ones(site: Site) -> None:
    rows: list[Any] = [
        {"lead_id": 1, "phone": "050-123-4567", "name": "דנה", "timezone": "Europe/Paris", "variables": {"debt": 17}},
        {"lead_id": 2, "phone": "+972 50 123 4567"},
        {"lead_id": 1, "phone": "0521234567"},
        {"lead_id": 3, "phone": "100"},
        {"lead_id": "4", "phone": "0521234568"},
        {"lead_id": 5, "phone": "0521234569", "timezone": "Mars/Olympus"},
        {"lead_id": 6},
        "seven",
        {"lead_id": 8, "phone": "0521234570", "shoe_size": 43},
    ]
    response = await site.post(RUNS, {"name": "spring", "leads": rows})
    assert response.status == 201
    found = response.json
    assert (found["status"], found["total_leads"], found["accepted"]) == ("pending", 2, 2)
    assert [(bad["row"], bad["reason"]) for bad in found["rejected"]] == [
        (4, "emergency"),
        (6, "invalid_timezone"),
        (7, "missing_phone"),
        (8, "not_an_object"),
        (9, "unknown_field"),
    ]
    assert [(again["row"], again["same_as"], again["by"]) for again in found["duplicates"]] == [(2, 1, "phone"), (3, 1, "lead")]
    jobs = (await site.get(f"{RUNS}/{found['run_id']}/jobs")).json["items"]
    assert {(job["lead_id"], job["phone"], job["name"], job["status"]) for job in jobs} == {
        (1, "+972501234567", "דנה", "queued"),
        ("4", "+972521234568", None, "queued"),
    }


async def test_a_csv_is_loaded_with_its_settings_in_the_query(site: Site) -> None:
    body = "lead_id,phone,name,timezone,city\n1,050-1234567,Dana,,Haifa\n,0521234567,Nobody,,\n3,0521234568,,,\n"
    response = await site.request("POST", f"{RUNS}?name=file&start=true&concurrency=2", data=body, headers=CSV)
    assert response.status == 201
    assert (response.json["status"], response.json["accepted"]) == ("running", 2)
    assert [(bad["row"], bad["reason"]) for bad in response.json["rejected"]] == [(3, "missing_lead_id")]
    run = (await site.get(f"{RUNS}/{response.json['run_id']}")).json
    assert (run["name"], run["concurrency"], run["queued"]) == ("file", 2, 2)


async def test_an_upload_is_loaded(site: Site) -> None:
    form = aiohttp.FormData()
    form.add_field("name", "upload")
    form.add_field("file", "lead_id;phone\n1;0501234567\n".encode("utf-16"), filename="leads.csv", content_type="text/csv")
    response = await site.request("POST", RUNS, data=form)
    assert response.status == 201
    assert response.json["accepted"] == 1
    assert (await site.get(f"{RUNS}/{response.json['run_id']}")).json["name"] == "upload"


@pytest.mark.parametrize(
    ("body", "status", "code", "named"),
    [
        ({}, 422, "invalid", {"leads"}),
        ({"leads": "many"}, 422, "invalid", {"leads"}),
        ({"leads": leads(1), "colour": "red"}, 422, "invalid", {"colour"}),
        ({"leads": leads(1), "concurrency": 4}, 422, "invalid", {"concurrency"}),
        ({"leads": leads(1), "concurrency": 0}, 422, "invalid", {"concurrency"}),
        ({"leads": leads(1), "concurrency": "2"}, 422, "invalid", {"concurrency"}),
        ({"leads": leads(1), "start": "yes"}, 422, "invalid", {"start"}),
        ({"leads": leads(1), "name": 17}, 422, "invalid", {"name"}),
        ({"leads": leads(1), "name": "x" * 300}, 422, "invalid", {"name"}),
        ({"leads": leads(1), "name": "a\x00b"}, 422, "invalid", {"name"}),
        ({"leads": leads(1), "name": "\ud800"}, 422, "invalid", {"name"}),
        ({"leads": leads(1), "machine_detection": "Maybe"}, 422, "invalid", {"machine_detection"}),
        ({"leads": []}, 422, "no_leads", {"leads"}),
        ([1, 2], 400, "malformed_json", None),
    ],
)
async def test_wrong_settings_are_rejected_by_name(site: Site, body: object, status: int, code: str, named: set[str] | None) -> None:
    response = await site.post(RUNS, body)
    assert (response.status, response.code) == (status, code)
    assert named is None or fields(response) == named
    assert await runs_of(site) == 0


async def test_a_run_without_a_good_row_is_rejected_with_its_rows(site: Site) -> None:
    response = await site.post(RUNS, {"leads": [{"lead_id": 1, "phone": "12"}, {"lead_id": -5, "phone": "0501234567"}]})
    assert (response.status, response.code) == (422, "no_leads")
    assert [(bad["row"], bad["reason"]) for bad in response.json["details"]] == [(1, "short_number"), (2, "invalid_lead_id")]
    assert await runs_of(site) == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"lead_id,name\n0501234567,x\n", "missing_column"),
        (b"", "missing_column"),
        (b"lead_id,phone,phone\n1,0501234567,2\n", "wrong_header"),
        (b"lead_id,phone,name\n1,0501234567,Jos\xe9\n", "wrong_encoding"),
        (b"lead_id,\x00phone\n1,0501234567\n", "wrong_encoding"),
        (b"lead_id,phone\n1,\x00\n", "no_leads"),
        (b"PK\x03\x04rest of a workbook", "unreadable_file"),
        (b'lead_id,phone\n1,"0501234567\n', "no_leads"),
        (b"lead_id,phone\n", "no_leads"),
    ],
)
async def test_a_file_that_is_not_a_list_of_leads_is_rejected(site: Site, body: bytes, code: str) -> None:
    response = await site.request("POST", RUNS, data=body, headers=CSV)
    assert (response.status, response.code) == (422, code)
    assert response.json["details"]
    assert await runs_of(site) == 0


async def test_hebrew_excel_files_are_read(site: Site) -> None:
    response = await site.request("POST", RUNS, data="lead_id,phone,name\n1,0501234567,דנה כהן\n".encode("cp1255"), headers=CSV)
    assert response.status == 201
    [job] = (await site.get(f"{RUNS}/{response.json['run_id']}/jobs")).json["items"]
    assert job["name"] == "דנה כהן"


async def test_malformed_bodies_are_rejected(site: Site) -> None:
    response = await site.request("POST", RUNS, data=b'{"leads": [', headers={"Content-Type": "application/json"})
    assert (response.status, response.code) == (400, "malformed_json")
    response = await site.request("POST", RUNS, data=b'{"leads": [NaN]}', headers={"Content-Type": "application/json"})
    assert (response.status, response.code) == (400, "malformed_json")
    response = await site.request("POST", RUNS, data=b"[" * 100_000, headers={"Content-Type": "application/json"})
    assert (response.status, response.code) == (400, "malformed_json")
    response = await site.request("POST", RUNS, data=b"<leads/>", headers={"Content-Type": "text/xml"})
    assert (response.status, response.code) == (415, "unsupported_media_type")
    response = await site.request("POST", "/api/outbound/stop-queue", data=b"run_id=1", headers={"Content-Type": "text/plain"})
    assert (response.status, response.code) == (415, "unsupported_media_type")


async def test_a_body_of_50_mb_is_rejected_with_a_sentence(site: Site) -> None:
    body = io.BytesIO(b'{"leads": ["' + b"x" * (50 * 1024 * 1024) + b'"]}')
    response = await site.request("POST", RUNS, data=body, headers={"Content-Type": "application/json"})
    assert (response.status, response.code) == (413, "too_large")
    assert "32 MB" in response.json["error"]


async def test_a_body_of_unknown_length_is_bounded(site: Site) -> None:
    sent = 0

    async def endless() -> Any:  # noqa: ANN401 - an async generator
        nonlocal sent
        for _ in range(40):
            sent += 1
            yield b"x" * 1024 * 1024

    form = aiohttp.FormData()
    form.add_field("file", endless(), filename="leads.csv")
    for body, kind in ((endless(), "text/csv"), (form, None)):
        response = await site.request("POST", RUNS, data=body, headers={"Content-Type": kind} if kind else {})
        assert (response.status, response.code) == (413, "too_large")


async def test_one_lead_too_many_is_rejected(site: Site) -> None:
    body = "lead_id,phone\n" + "1,\n" * 200_001
    response = await site.request("POST", RUNS, data=body, headers=CSV)
    assert (response.status, response.code) == (413, "too_many_leads")


async def test_other_requests_go_on_while_a_large_file_is_read(site: Site) -> None:
    body = "lead_id,phone\n" + "\n".join(f"{n},+9725{n:08}" for n in range(1, 30_001))
    loading = asyncio.ensure_future(site.request("POST", RUNS, data=body, headers=CSV))
    answered = 0
    while not loading.done():
        assert (await site.get("/healthz")).status == 200
        answered += 1
    assert (await loading).json["accepted"] == 30_000
    assert answered > 10
