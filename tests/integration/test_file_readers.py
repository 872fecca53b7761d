"""The process that reads a file: it finds what a thread finds, and its end is never the end of more than one upload."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.web_site import RUNS
from web.intake.encoding import FileSource, pieces
from web.intake.readers.lead_check import checked_rows
from web.intake.readers.lead_file import FileKind, LeadFile, RowRules
from web.intake.readers.reader_limits import ReadResult
from web.intake.readers.reader_process import ReaderProcess
from web.intake.received import SMALL_BYTES, in_a_file
from web.intake.tables.headings import Role
from web.intake.tables.layout import Layout
from web.server import keys
from web.server.bodies import UPLOAD_PACE, BodyPace
from web.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.web_site import Response, Site
    from web.intake.rows import CheckedRows

CSV = {"Content-Type": "text/csv"}
RULES = RowRules("IL", "Asia/Jerusalem", frozenset({"city"}), 2**63 - 1)
PROGRAM = "web.intake.readers"
# Good rows in two zones, with and without variables, and a row for every way to be refused that has values of its own.
ROWS = [
    "1,050-1234567,Dana,Asia/Jerusalem,Haifa",
    "two,0521234567,נועה,Europe/Paris,",
    "3,+1-800-FLOWERS,x,,x",
    "1,0521234568,again,,x",
    "5,0501234567,same phone,,x",
    "6,100,emergency,,x",
    "7,0521234569,few",
    "8,0521234569,zone,Mars/Olympus,x",
    '9,0521234570,"not closed,,x',
    ",0521234570,no id,,x",
    '10,0521234571,"back\\slash ""and"" tab\tin it",,"two\nlines"',
]
FILLING = "\n".join(f"{n},0533{n:06},Lead {n},,Haifa" for n in range(1_000, 3_000))
TABLE = "lead_id,phone,name,timezone,city\n" + "\n".join(ROWS) + "\n" + FILLING
PEOPLE = [{"lead_id": n, "phone": f"0533{n:06}", "variables": {"city": "Haifa", f"v{n % 7}": n}} for n in range(1, 1_500)]


def sent(body: bytes, closing: ExitStack) -> FileSource:
    assert len(body) > SMALL_BYTES
    return in_a_file(pieces(body), closing)


@pytest.mark.parametrize(
    ("file", "body"),
    [
        (LeadFile(FileKind.CSV), TABLE.encode()),
        (LeadFile(FileKind.CSV), TABLE.encode("utf-16")),
        # Hebrew in Windows-1255: what is no UTF-8 comes only after thousands of rows.
        (LeadFile(FileKind.CSV), (TABLE.replace("נועה", "x") + "\n4,0541234567,נועה,,חיפה\n").encode("cp1255")),
        (LeadFile(FileKind.CSV, {"Name": Role.IGNORE}), TABLE.encode()),
        (
            LeadFile(
                FileKind.CSV,
                layout=Layout(("a", "b", "name", "c", "city"), tuple(map(Role, ("ignore", "phone", "name", "ignore", "variable"))), 1),
            ),
            TABLE.encode(),
        ),
        (
            LeadFile(FileKind.JSON),
            json.dumps({"leads": [*PEOPLE, "none", {"lead_id": 1}, {"lead_id": 2, "phone": "x", "\ud800": 1}]}).encode(),
        ),
        (LeadFile(FileKind.ROWS), "".join(json.dumps(line.split(",")) + "\n" for line in TABLE.split("\n")).encode()),
    ],
    ids=["csv", "utf-16", "cp1255", "mapping", "layout", "json", "workbook"],
)
async def test_a_process_finds_what_a_thread_finds(file: LeadFile, body: bytes) -> None:
    with ExitStack() as closing:
        source = sent(body, closing)
        expected = file.check(source, RULES)
        assert expected.accepted
        assert expected.rejected
        found = await checked_rows(file, source, RULES, closing)
        assert found == expected
        loadable = await checked_rows(file, source, RULES, closing, loadable=True)
        assert loadable.loadable
        assert report_of(loadable) == report_of(expected)
        jobs = b"".join(loadable.loadable.jobs()).decode().splitlines()
        assert sorted(job.split("\t")[3] for job in jobs) == sorted(lead.phone for lead in expected.accepted)


def report_of(rows: CheckedRows) -> list[Any]:
    return [rows.count, rows.rejected, rows.duplicates, rows.read_as, rows.unknown_variables, rows.is_numbered, rows.columns]


@pytest.mark.parametrize(
    "body", [b"name\n" + b"Dana\n" * 20_000, TABLE.encode() + b"\nJos\xe9", b"\x89PNG" * 20_000], ids=["header", "encoding", "kind"]
)
async def test_a_process_refuses_what_a_thread_refuses(body: bytes) -> None:
    with ExitStack() as closing:
        source = sent(body, closing)
        with pytest.raises(ApiError) as expected:
            LeadFile(FileKind.CSV).check(source, RULES)
        with pytest.raises(ApiError) as found:
            await checked_rows(LeadFile(FileKind.CSV), source, RULES, closing, loadable=True)
    assert vars(found.value) == vars(expected.value)


async def test_a_large_list_is_loaded_as_a_small_one_is(site: Site) -> None:
    tables = [TABLE.replace("\n" + FILLING, ""), TABLE]
    answers = [(await site.request("POST", RUNS, data=table.encode(), headers=CSV)).json for table in tables]
    small, large = answers
    assert (small["accepted"], large["accepted"]) == (4, 2_004)
    for name in ("rejected", "duplicates", "read_as"):
        assert small[name] == large[name]
    stored = [await people_of(site, answer["run_id"]) for answer in answers]
    assert stored[0] == [lead for lead in stored[1] if lead[1] not in range(1_000, 3_000)]
    assert stored[0][-1][3:] == ('back\\slash "and" tab\tin it', "two\nlines")
    zones = "SELECT zone, count(*) FROM dialer.run_zones WHERE run_id = $1 GROUP BY zone"
    found = {answer["run_id"]: [row["zone"] for row in await site.database.pool.fetch(zones, answer["run_id"])] for answer in answers}
    assert len({*map(tuple, map(sorted, found.values()))}) == 1


async def test_a_large_list_without_a_good_row_says_what_is_wrong_with_each(site: Site) -> None:
    bad = "lead_id,phone\n" + "\n".join(f"{n},12" for n in range(1, 10_000))
    assert len(bad) > SMALL_BYTES
    found = [await site.request("POST", RUNS, data=table.encode(), headers=CSV) for table in (bad[: bad.index("\n3,")], bad)]
    assert [(response.status, response.json["code"]) for response in found] == [(422, "no_leads")] * 2
    assert found[1].json["details"][:2] == found[0].json["details"]


async def people_of(site: Site, run_id: int) -> list[tuple[Any, ...]]:
    rows = await site.database.pool.fetch(
        """SELECT j.external_id, j.lead_id, j.phone, j.lead_name, v.variables FROM public.outbound_call_jobs j
           LEFT JOIN dialer.lead_variables v ON v.business_id = j.business_id AND v.run_id = j.run_id AND v.position = j.position
           WHERE j.business_id = $1 AND j.run_id = $2 ORDER BY j.lead_id""",
        site.business,
        run_id,
    )
    return [(*list(row)[:4], (row["variables"] or {}).get("city")) for row in rows]


async def test_a_killed_process_refuses_its_upload_alone(site: Site) -> None:
    loading = asyncio.ensure_future(site.request("POST", RUNS, data=many(), headers=CSV))
    await until_read(site, loading)
    readers()[0].kill()
    response = await loading
    assert (response.status, response.code) == (413, "too_large")
    assert response.json["details"][0]["field"] == "leads"
    assert not readers()
    assert await runs_of(site) == 0
    assert (await site.request("POST", RUNS, data=TABLE.encode(), headers=CSV)).status == 201


class Upload:
    """A list that is sent piece by piece; goes on when it is let go."""

    def __init__(self, first: bytes, rest: bytes) -> None:
        self._parts = first, rest
        self.go_on = asyncio.Event()
        self.is_sent = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._parts[0]
        await self.go_on.wait()
        self.is_sent = True
        yield self._parts[1]


async def until_read(site: Site, loading: asyncio.Future[Any]) -> None:
    while not readers():
        assert not loading.done()
        assert (await site.get("/healthz")).status == 200


async def loads(site: Site, *uploads: Upload, query: str = "") -> list[Response]:
    """The answers to lists of one business, the first of which is read before its end is sent."""
    loading = [asyncio.ensure_future(site.request("POST", f"{RUNS}?{query}", data=aiter(upload), headers=CSV)) for upload in uploads]
    try:
        await until_read(site, loading[0])
        assert not any(upload.is_sent for upload in uploads)
    finally:
        for upload in uploads:
            upload.go_on.set()
    return list(await asyncio.gather(*loading))


async def test_a_list_is_read_while_it_arrives_and_the_next_one_when_it_has(site: Site) -> None:
    table = TABLE.encode()
    half = SMALL_BYTES + 1_000
    hebrew = (TABLE.replace("נועה", "x") + "\n4,0541234567,נועה,,חיפה\n").encode("cp1255")
    answers = await loads(site, Upload(hebrew[:half], hebrew[half:]), Upload(table[:half], table[half:]))
    assert [answer.json["accepted"] for answer in answers] == [2_005, 2_004]
    assert answers[0].json["rejected"] == answers[1].json["rejected"]
    assert not readers()


@pytest.mark.parametrize(("query", "head", "code"), [("colour=red", "lead_id,phone", "invalid"), ("", "name", "missing_column")])
async def test_what_is_wrong_is_answered_when_all_has_arrived(site: Site, query: str, head: str, code: str) -> None:
    upload = Upload(f"{head}\n{FILLING}\n{FILLING}\n".encode(), FILLING.encode())
    loading = asyncio.ensure_future(site.request("POST", f"{RUNS}?{query}", data=aiter(upload), headers=CSV))
    following = site.client.server.app[keys.UPLOADS].following  # type: ignore[attr-defined]
    while not following._users:
        assert (await site.get("/healthz")).status == 200
    upload.go_on.set()
    assert (await loading).code == code
    assert upload.is_sent
    assert not readers()


async def test_an_upload_that_is_cut_off_leaves_no_process_and_no_rows(site: Site) -> None:
    upload = Upload(TABLE[:70_000].encode(), b"")
    loading = asyncio.ensure_future(site.request("POST", RUNS, data=aiter(upload), headers=CSV))
    await until_read(site, loading)
    loading.cancel()
    uploads = site.client.server.app[keys.UPLOADS]  # type: ignore[attr-defined]
    while readers() or uploads.receiving._users or uploads.following._users:
        assert (await site.get("/healthz")).status == 200
    assert await runs_of(site) == 0


async def test_an_upload_that_is_too_slow_leaves_no_process_and_no_rows(site: Site) -> None:
    app = site.client.server.app  # type: ignore[attr-defined]
    app._state[UPLOAD_PACE] = BodyPace(pause_seconds=1.0)
    upload = Upload(TABLE[:70_000].encode(), b"")
    with contextlib.suppress(ConnectionError):
        assert (await site.request("POST", RUNS, data=aiter(upload), headers=CSV)).status == 408
    assert not readers()
    assert await runs_of(site) == 0


async def runs_of(site: Site) -> int:
    found: int = await site.database.pool.fetchval("SELECT count(*) FROM public.outbound_call_runs WHERE business_id = $1", site.business)
    return found


def many() -> io.BytesIO:
    return io.BytesIO(("lead_id,phone\n" + "\n".join(f"{n},+9725{n:08}" for n in range(1, 60_001))).encode())


def readers() -> list[psutil.Process]:
    """The processes that read files for this one."""
    found = []
    for process in psutil.Process().children():
        try:
            if PROGRAM in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def order() -> dict[str, Any]:
    return {"lead_file": ["csv", {}, None], "rules": ["IL", "UTC", [], 9]}


@pytest.fixture
def reader() -> Iterator[ReaderProcess]:
    with ExitStack() as closing:
        source = in_a_file(pieces(b"lead_id,phone\n"), closing)
        output = in_a_file(pieces(b""), closing)
        process = ReaderProcess("check", source, {"checked": output.fileno}, order())
        closing.callback(process.stop)
        yield process


def ended(reader: ReaderProcess, end: Callable[[psutil.Process], object]) -> int:
    """How a process ends that waits for more of its file, when `end` is done to it."""
    results: list[int] = []
    waiting = Thread(target=lambda: results.append(reader.run()))
    waiting.start()
    while not (found := readers()):
        pass
    end(found[0])
    waiting.join(30)
    return results[0]


def test_a_process_ends_with_the_one_that_wants_its_rows(reader: ReaderProcess) -> None:
    with Path(os.devnull).open("wb") as nothing:
        # In its place: the end of the pipe is closed, as when this process is killed.
        assert ended(reader, lambda _: os.dup2(nothing.fileno(), reader._news)) == ReadResult.UNWANTED


def test_a_process_that_is_not_wanted_any_longer_is_ended(reader: ReaderProcess) -> None:
    assert ended(reader, lambda _: reader.stop()) == -signal.SIGKILL
    # One that was stopped before it was started never starts.
    assert reader.run() == ReadResult.UNWANTED
    assert not readers()


def test_a_fault_of_ours_is_no_fault_of_the_file(caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as closing:
        source, output = in_a_file(pieces(b"x"), closing), in_a_file(pieces(b""), closing)
        reader = ReaderProcess("check", source, {"checked": output.fileno}, {**order(), "rules": []})
        reader.tell(1, whole=True)
        with pytest.raises(RuntimeError):
            reader.run()
    assert "ValueError" in caplog.text


def test_a_process_has_no_secrets() -> None:
    with ExitStack() as closing:
        source, output = in_a_file(pieces(b"x"), closing), in_a_file(pieces(b""), closing)
        reader = ReaderProcess("check", source, {"checked": output.fileno}, order())
        variables: dict[str, str] = {}

        def look(process: psutil.Process) -> None:
            variables.update(process.environ())
            reader.stop()

        assert ended(reader, look) == -signal.SIGKILL
    assert not variables.keys() - {"LC_CTYPE"}
