"""Loading a run: good rows are kept, bad ones reported, and what is no list of leads is refused."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.web_site import RUNS, leads

if TYPE_CHECKING:
    from tests.web_site import Said, Site

CSV = {"Content-Type": "text/csv"}


async def runs_of(site: Site) -> int:
    found: int = await site.shop.pool.fetchval("SELECT count(*) FROM public.outbound_call_runs WHERE business_id = $1", site.business)
    return found


def fields(said: Said) -> set[str]:
    return {detail["field"] for detail in said.json["details"]}


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
    said = await site.post(RUNS, {"name": "spring", "leads": rows})
    assert said.status == 201
    found = said.json
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
    said = await site.ask("POST", f"{RUNS}?name=file&start=true&concurrency=2", data=body, headers=CSV)
    assert said.status == 201
    assert (said.json["status"], said.json["accepted"]) == ("running", 2)
    assert [(bad["row"], bad["reason"]) for bad in said.json["rejected"]] == [(3, "missing_lead_id")]
    run = (await site.get(f"{RUNS}/{said.json['run_id']}")).json
    assert (run["name"], run["concurrency"], run["queued"]) == ("file", 2, 2)


async def test_an_upload_is_loaded(site: Site) -> None:
    form = aiohttp.FormData()
    form.add_field("name", "upload")
    form.add_field("file", "lead_id;phone\n1;0501234567\n".encode("utf-16"), filename="leads.csv", content_type="text/csv")
    said = await site.ask("POST", RUNS, data=form)
    assert said.status == 201
    assert said.json["accepted"] == 1
    assert (await site.get(f"{RUNS}/{said.json['run_id']}")).json["name"] == "upload"


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
async def test_wrong_settings_are_refused_by_name(site: Site, body: object, status: int, code: str, named: set[str] | None) -> None:
    said = await site.post(RUNS, body)
    assert (said.status, said.code) == (status, code)
    assert named is None or fields(said) == named
    assert await runs_of(site) == 0


async def test_a_run_without_a_good_row_is_refused_with_its_rows(site: Site) -> None:
    said = await site.post(RUNS, {"leads": [{"lead_id": 1, "phone": "12"}, {"lead_id": -5, "phone": "0501234567"}]})
    assert (said.status, said.code) == (422, "no_leads")
    assert [(bad["row"], bad["reason"]) for bad in said.json["details"]] == [(1, "short_number"), (2, "invalid_lead_id")]
    assert await runs_of(site) == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"phone,name\n0501234567,x\n", "missing_column"),
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
async def test_a_file_that_is_no_list_of_leads_is_refused(site: Site, body: bytes, code: str) -> None:
    said = await site.ask("POST", RUNS, data=body, headers=CSV)
    assert (said.status, said.code) == (422, code)
    assert said.json["details"]
    assert await runs_of(site) == 0


async def test_hebrew_excel_files_are_read(site: Site) -> None:
    said = await site.ask("POST", RUNS, data="lead_id,phone,name\n1,0501234567,דנה כהן\n".encode("cp1255"), headers=CSV)
    assert said.status == 201
    [job] = (await site.get(f"{RUNS}/{said.json['run_id']}/jobs")).json["items"]
    assert job["name"] == "דנה כהן"


async def test_bodies_that_are_not_what_they_say(site: Site) -> None:
    said = await site.ask("POST", RUNS, data=b'{"leads": [', headers={"Content-Type": "application/json"})
    assert (said.status, said.code) == (400, "malformed_json")
    said = await site.ask("POST", RUNS, data=b'{"leads": [NaN]}', headers={"Content-Type": "application/json"})
    assert (said.status, said.code) == (400, "malformed_json")
    said = await site.ask("POST", RUNS, data=b"[" * 100_000, headers={"Content-Type": "application/json"})
    assert (said.status, said.code) == (400, "malformed_json")
    said = await site.ask("POST", RUNS, data=b"<leads/>", headers={"Content-Type": "text/xml"})
    assert (said.status, said.code) == (415, "unsupported_media_type")
    said = await site.ask("POST", "/api/outbound/stop-queue", data=b"run_id=1", headers={"Content-Type": "text/plain"})
    assert (said.status, said.code) == (415, "unsupported_media_type")


async def test_a_body_of_50_mb_is_refused_with_a_sentence(site: Site) -> None:
    body = io.BytesIO(b'{"leads": ["' + b"x" * (50 * 1024 * 1024) + b'"]}')
    said = await site.ask("POST", RUNS, data=body, headers={"Content-Type": "application/json"})
    assert (said.status, said.code) == (413, "too_large")
    assert "32 MB" in said.json["error"]


async def test_a_body_of_unknown_length_is_bounded_too(site: Site) -> None:
    sent = 0

    async def endless() -> Any:  # noqa: ANN401 - an async generator
        nonlocal sent
        for _ in range(40):
            sent += 1
            yield b"x" * 1024 * 1024

    form = aiohttp.FormData()
    form.add_field("file", endless(), filename="leads.csv")
    for body, kind in ((endless(), "text/csv"), (form, None)):
        said = await site.ask("POST", RUNS, data=body, headers={"Content-Type": kind} if kind else {})
        assert (said.status, said.code) == (413, "too_large")


async def test_one_lead_too_many_is_refused(site: Site) -> None:
    body = "lead_id,phone\n" + "1,\n" * 200_001
    said = await site.ask("POST", RUNS, data=body, headers=CSV)
    assert (said.status, said.code) == (413, "too_many_leads")


async def test_other_requests_go_on_while_a_large_file_is_read(site: Site) -> None:
    body = "lead_id,phone\n" + "\n".join(f"{n},+9725{n:08}" for n in range(1, 30_001))
    loading = asyncio.ensure_future(site.ask("POST", RUNS, data=body, headers=CSV))
    answered = 0
    while not loading.done():
        assert (await site.get("/healthz")).status == 200
        answered += 1
    assert (await loading).json["accepted"] == 30_000
    assert answered > 10
