"""Request bodies: malformed ones get an error, slow ones time out, and no business takes the turns of another."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import http_parser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web_site import RUNS, leads
from web.intake.limiter import TenantLimiter
from web.server import keys
from web.server.bodies import SMALL_BODY_PACE, UPLOAD_PACE, BodyPace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.web_site import Site

CSV = {"Content-Type": "text/csv"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
HURRIED = BodyPace(pause_seconds=0.2, grace_seconds=0.3, bytes_per_second=1_000_000)
SERVER_ERROR = 500


def hurry(site: Site) -> None:
    """Make the server time out on slow bodies almost at once."""
    app = site.client.server.app  # type: ignore[attr-defined]
    app._state[UPLOAD_PACE] = app._state[SMALL_BODY_PACE] = HURRIED


async def raw(site: Site, head: str, body: bytes, *, token: str = "operator") -> int:  # noqa: S107 - opens nothing
    """Send these bytes unchanged, and nothing after them; returns the status of the response."""
    reader, writer = await asyncio.open_connection(site.client.host, site.client.port)
    try:
        writer.write(f"{head}\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode() + body)
        await writer.drain()
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_the_response_lists_adjusted_numbers(site: Site) -> None:
    rows = [
        {"lead_id": 1, "phone": "050-123-4567"},
        {"lead_id": "two", "phone": "'0521234567"},
        {"lead_id": 3, "phone": "+1-800-FLOWERS"},
        {"lead_id": 4, "phone": "521234568.0"},
        {"lead_id": 5, "phone": "050-123-XXXX"},
        {"lead_id": 6, "phone": 521234569},
    ]
    found = (await site.post(RUNS, {"leads": rows})).json
    assert found["read_as"] == [
        {"row": 2, "lead_id": "two", "phone": "'0521234567", "read_as": "+972521234567"},
        {"row": 3, "lead_id": 3, "phone": "+1-800-FLOWERS", "read_as": "+18003569377"},
        {"row": 4, "lead_id": 4, "phone": "521234568.0", "read_as": "+972521234568"},
    ]
    assert [(bad["row"], bad["reason"], bad["message"]) for bad in found["rejected"]] == [
        (5, "masked", "Some digits of this number are hidden."),
        (6, "not_text", "The phone number must be text."),
    ]
    jobs = (await site.get(f"{RUNS}/{found['run_id']}/jobs")).json["items"]
    assert {job["lead_id"]: job["phone"] for job in jobs} == {
        1: "+972501234567",
        "two": "+972521234567",
        3: "+18003569377",
        4: "+972521234568",
    }


async def test_a_lead_with_a_repeated_key_is_rejected_and_the_key_named(site: Site) -> None:
    body = """{"leads": [{"lead_id": 5, "lead_id": 6, "phone": "0521234567", "phone": "0521234568"},
        {"lead_id": 7, "phone": "0521234569", "variables": {"a": 1, "a": 2}}, {"lead_id": 8, "phone": "0521234570"}]}"""
    found = (await site.request("POST", RUNS, data=body, headers={"Content-Type": "application/json"})).json
    assert [(bad["row"], bad["lead_id"], bad["reason"], bad["message"]) for bad in found["rejected"]] == [
        (1, None, "repeated_key", "The key lead_id is given twice."),
        (2, 7, "repeated_key", "The key a is given twice."),
    ]
    assert found["accepted"] == 1


async def test_a_field_or_key_that_cannot_be_stored_is_named_without_what_makes_it_so(site: Site) -> None:
    body = r"""{"leads": [{"lead_id": 1, "phone": "0521234567", "x\ud800\u0000": 1},
        {"lead_id": 2, "phone": "0521234568", "y\udc00": 1, "y\udc00": 2}, {"lead_id": 3, "phone": "0521234569"}]}"""
    response = await site.request("POST", RUNS, data=body, headers={"Content-Type": "application/json"})
    assert response.status == 201
    assert [(bad["row"], bad["message"]) for bad in response.json["rejected"]] == [
        (1, "Unknown field x?; put it under variables."),
        (2, "The key y? is given twice."),
    ]


async def test_a_duplicate_says_whether_its_lead_or_its_phone_came_before(site: Site) -> None:
    rows = [{"lead_id": 1, "phone": "0521234567"}, {"lead_id": 1, "phone": "0521234568"}, {"lead_id": 2, "phone": "052-1234567"}]
    found = (await site.post(RUNS, {"leads": rows})).json
    assert [(again["row"], again["by"], again["same_as"], again["phone"]) for again in found["duplicates"]] == [
        (2, "lead", 1, "+972521234568"),
        (3, "phone", 1, "+972521234567"),
    ]


@pytest.mark.parametrize(
    "part",
    [
        b"no header at all\r\n\r\nx",
        b": empty name\r\n\r\nx",
        b"Content-Disposition form-data\r\n\r\nx",
        b"Content-Disposition: form-data; name=file\r\nbroken\r\n\r\nx",
        b"Content-Disposition: attachment; name=file\r\n\r\nx",
        b"Content-Disposition: form-data\r\n\r\nx",
        b"Content-Transfer-Encoding: base64\r\nContent-Disposition: form-data; name=file\r\n\r\n!",
        b"X: " + b"y" * 20_000 + b"\r\n\r\nx",
        b"\xff\xfe\x00\r\n\r\nx",
        b"Content-Disposition: form-data; name=name\r\n\r\n\xff\xff",
        b"",
    ],
)
async def test_a_malformed_part_gets_400(site: Site, part: bytes) -> None:
    for path in (RUNS, "/runs/new"):
        response = await site.request("POST", path, data=b"--b\r\n" + part + b"\r\n--b--\r\n", headers=FORM)
        assert response.status == 400


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "b" * 80,
        'multipart/form-data; boundary="b',
        "multipart/form-data; charset=x; boundary=other",
    ],
)
async def test_a_malformed_boundary_gets_400(site: Site, kind: str) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n'
    assert (await site.request("POST", RUNS, data=body, headers={"Content-Type": kind})).status == 400


async def test_a_form_as_browsers_and_programs_send_it(site: Site) -> None:
    body = (
        b'preamble\r\n--a b\r\ncontent-disposition: form-data; name="name"\r\n\r\nspring\r\n'
        b'--a b\r\nContent-Disposition:form-data; name="file"; filename="x%22;name=\\"y.csv"; filename*=UTF-8\'\'%d7%90.csv\r\n'
        b"Content-Type: text/csv\r\n\r\nlead_id,phone\r\n1,0521234567\r\n\r\n--a b--\r\nepilogue"
    )
    response = await site.request("POST", RUNS, data=body, headers={"Content-Type": 'multipart/form-data; charset=utf-8; boundary="a b"'})
    assert (response.status, response.json["accepted"]) == (201, 1)
    assert (await site.get(f"{RUNS}/{response.json['run_id']}")).json["name"] == "spring"


async def test_a_long_hebrew_script_fits_beside_a_file(site: Site) -> None:
    said = {"say": "א" * 4096, "language": "he-IL"}
    machine = {"machine_detection": "DetectMessageEnd", "on_machine": "leave_message", "machine_message": "ב" * 4096}
    for script in (json.dumps(said), json.dumps(said, ensure_ascii=False)):
        fields = {"file": "lead_id,phone\n1,0521234567\n", "script": script, **machine}
        parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
        response = await site.request("POST", RUNS, data=("".join(parts) + "--b--").encode(), headers=FORM)
        assert response.status == 201, response.body
        assert (await site.get(f"{RUNS}/{response.json['run_id']}")).json["settings"]["script"] == said
    too_long = f'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n{"x" * 5000}\r\n--b--'
    refused = await site.request("POST", RUNS, data=too_long.encode(), headers=FORM)
    assert (refused.status, refused.json["details"][0]["field"]) == (422, "name")


BODIES = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from([
            b"--b", b"--b--", b"\r\n", b"\n", b"Content-Disposition: form-data; ", b'name="file"', b"name=leads", b'filename="x"', b": ",
            b"lead_id,phone", b"1,0521234567", b'{"leads":[', b"{", b'"lead_id":1', b',"phone":"0521234567"', b"}", b"]", b'"', b"\xff",
            b"\x00", b"[[[[", b"1e999", b"Content-Transfer-Encoding: base64", b"_charset_", b"utf-7",
        ]),
        max_size=14,
    ).map(b"".join),
)  # fmt: skip
KINDS = [
    "application/json",
    "text/csv",
    "text/csv; charset=utf-7",
    FORM["Content-Type"],
    "multipart/form-data",
    "x",
    "",
    "multipart/mixed; boundary=b",
]


async def test_no_body_causes_a_server_error(site: Site) -> None:
    loop = asyncio.get_running_loop()
    paths = [RUNS, "/runs/new", "/login", "/api/outbound/stop-queue", "/callbacks/x"]

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(BODIES, st.sampled_from(KINDS), st.sampled_from(paths), st.sampled_from([None, "deflate", "gzip", "br", "x"]))
    def fuzz(body: bytes, kind: str, path: str, encoding: str | None) -> None:
        headers = {"Content-Type": kind} | ({"Content-Encoding": encoding} if encoding else {})
        response = asyncio.run_coroutine_threadsafe(site.request("POST", path, data=body, headers=headers), loop).result(30)
        assert response.status < SERVER_ERROR, response.body

    await asyncio.to_thread(fuzz)


@pytest.mark.parametrize("path", [RUNS, "/runs/new", "/api/outbound/stop-queue", "/login", "/callbacks/1-1-00"])
async def test_a_compressed_body_is_refused_and_never_unpacked(site: Site, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of gzip is a gigabyte of work for the event loop that serves everybody."""
    unpacked: list[int] = []

    original = http_parser.ZLibDecompressor.decompress_sync  # type: ignore[attr-defined] # imported there

    def watched(*arguments: Any, **more: Any) -> Any:  # noqa: ANN401 - as in aiohttp
        found = original(*arguments, **more)
        unpacked.append(len(found))
        return found

    monkeypatch.setattr(http_parser.ZLibDecompressor, "decompress_sync", watched)  # type: ignore[attr-defined] # likewise
    body = gzip.compress(b"a" * 60_000_000)
    head = f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}"
    assert await raw(site, head, body) == 415
    assert unpacked == []


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Transfer-Encoding: chunked", b"zz\r\nno length\r\n0\r\n\r\n"),
    ],
)
async def test_a_body_that_contradicts_its_headers_gets_400(site: Site, headers: str, body: bytes) -> None:
    for path in (RUNS, "/runs/new", "/api/outbound/stop-queue"):
        assert await raw(site, f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\n{headers}", body) == 400


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (RUNS, "application/json"),
        (RUNS, FORM["Content-Type"]),
        ("/runs/new", FORM["Content-Type"]),
        ("/api/outbound/stop-queue", "application/json"),
        ("/login", "application/x-www-form-urlencoded"),
        ("/callbacks/x", "application/x-www-form-urlencoded"),
    ],
)
async def test_a_client_that_sends_nothing_times_out(site: Site, path: str, kind: str) -> None:
    hurry(site)
    async with asyncio.timeout(10):
        assert await raw(site, f"POST {path} HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: 1000", b"{") == 408


async def test_a_client_that_sends_too_slowly_times_out(site: Site) -> None:
    hurry(site)
    sent = 0

    async def drops() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            yield b"x"
            sent += 1
            await site.get("/healthz")

    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            assert (await site.request("POST", RUNS, data=drops(), headers=CSV)).status == 408
    assert sent


async def test_stalled_uploads_delay_no_business(site: Site) -> None:
    head = f"POST {RUNS} HTTP/1.1\r\nContent-Type: text/csv\r\nContent-Length: 1000"
    uploads = site.client.server.app[keys.UPLOADS]  # type: ignore[attr-defined]
    stuck = [asyncio.ensure_future(raw(site, head, b"lead_id")) for _ in range(3)]
    rivals = [asyncio.ensure_future(raw(site, head, b"lead_id", token="rival")) for _ in range(6)]
    while sum(uploads.receiving._users.values()) < 9:
        await asyncio.wait([asyncio.ensure_future(site.get("/healthz"))])
    async with asyncio.timeout(10):
        assert (await site.post(RUNS, {"leads": leads(3)})).status == 201
        assert (await site.request("POST", RUNS, data="lead_id,phone\n1,0521234567\n", headers=CSV)).status == 201
    for upload in (*stuck, *rivals):
        assert not upload.done()
        upload.cancel()
    await asyncio.gather(*stuck, *rivals, return_exceptions=True)


async def test_each_business_has_its_share_of_the_turns() -> None:
    turns = TenantLimiter(in_all=3, for_one=2, wait_seconds=10)
    order: list[str] = []
    leave, entered = asyncio.Event(), asyncio.Semaphore(0)

    async def hold(business_id: int, name: str) -> None:
        async with turns.hold(business_id):
            order.append(name)
            entered.release()
            await leave.wait()

    async with asyncio.TaskGroup() as tasks:
        for n in range(5):
            tasks.create_task(hold(1, f"greedy {n}"))
        await entered.acquire()
        await entered.acquire()
        tasks.create_task(hold(2, "other"))
        await entered.acquire()
        assert order == ["greedy 0", "greedy 1", "other"]
        leave.set()
    assert len(order) == 6
    assert not turns._users
    assert not turns._own


async def test_an_upload_without_a_free_turn_gets_503(site: Site) -> None:
    app = site.client.server.app  # type: ignore[attr-defined]
    app[keys.UPLOADS].checking = TenantLimiter(in_all=1, for_one=1, wait_seconds=0.1)
    async with app[keys.UPLOADS].checking.hold(site.rival):
        response = await site.post(RUNS, {"leads": leads(1)})
        assert (response.status, response.code) == (503, "busy")
        assert response.headers["Retry-After"]
    assert (await site.post(RUNS, {"leads": leads(1)})).status == 201
