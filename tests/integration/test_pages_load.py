"""The form for a new run: what is imported, what is reported, and that a mistake loses no input."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from aiohttp import FormData

from dialer.model import RunStatus
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of

if TYPE_CHECKING:
    from tests.web_site import Response, Site

GOOD = "lead_id,phone,name\n1,0500000001,נועה\n2,0500000002,Ada\n"
MIXED = GOOD + "3,12,Short\n4,0500000001,Twice\n,0500000005,Nobody\n"


@pytest_asyncio.fixture
async def browser(site: Site) -> BrowserSession:
    """A signed-in operator."""
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    assert (await browser.sign_in()).status == 303
    return browser


async def key_of(browser: BrowserSession) -> str:
    found = re.search(r'name="key" value="([0-9a-f]+)"', (await browser.get("/runs/new")).body.decode())
    assert found
    return found[1]


async def send(
    browser: BrowserSession, *, file: bytes | None = None, file_name: str = "leads.csv", fields: dict[str, str] | None = None, **more: str
) -> Response:
    form = FormData()
    for field, value in {"key": "k", "name": "Trial", "text": "", "concurrency": "2", "start": "0", **more, **(fields or {})}.items():
        form.add_field(field, value)
    form.add_field("file", file or b"", filename=file_name if file is not None else "", content_type="text/csv")
    return await browser.post("/runs/new", form)


async def runs_of(site: Site) -> list[tuple[str, str, int]]:
    return [(run.name or "", run.status, run.total_leads) for run in await site.database.runs.page(site.business)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1255"])
async def test_a_file_is_loaded_in_any_of_its_encodings(browser: BrowserSession, site: Site, encoding: str) -> None:
    response = await send(browser, file=GOOD.replace("Ada", "Ada").encode(encoding))
    assert response.status == 201, text_of(response)
    assert "2 leads are ready" in text_of(response)
    assert "All rows were accepted" in text_of(response)
    assert await runs_of(site) == [("Trial", RunStatus.PENDING, 2)]
    assert await site.database.pool.fetchval("SELECT lead_name FROM outbound_call_jobs WHERE lead_id = 1") == "נועה"


async def test_rejected_rows_are_reported_and_the_others_can_be_started(browser: BrowserSession, site: Site) -> None:
    response = await send(browser, text=MIXED)
    words = text_of(response)
    assert "2 rows were not accepted" in words
    assert re.search(r"4 3 12 Short numbers are not called", words)
    assert re.search(r"6 \S \S+ The lead_id is missing", words)
    assert "1 row repeats an earlier row and was left out" in words
    start = re.search(r'action="(/runs/\d+/start)"', response.body.decode())
    assert start
    assert (await browser.post(start[1])).status == 303
    assert await runs_of(site) == [("Trial", RunStatus.RUNNING, 2)]


async def test_adjusted_numbers_are_shown_before_any_call(browser: BrowserSession, site: Site) -> None:
    response = await send(browser, text="lead_id,phone\nA-1,'0500000001\n2,+1-800-FLOWERS\n3,050-123-XXXX\n4,050-0000004\n")
    words = text_of(response)
    assert "2 numbers were adjusted; please check how they will be dialled" in words
    assert re.search(r"2 A-1 (&#39;|')0500000001 \+972 50-000-0001", words)
    assert re.search(r"3 2 \+1-800-FLOWERS \+1 800-356-9377", words)
    assert re.search(r"4 3 050-123-XXXX Some digits of this number are hidden", words)
    assert await runs_of(site) == [("Trial", RunStatus.PENDING, 3)]


async def test_long_pasted_rows_and_a_file_are_kept_when_something_is_wrong(browser: BrowserSession) -> None:
    rows = "lead_id,phone\n" + "".join(f"{n},05{n:08}\n" for n in range(1, 1_000))
    for more in ({"text": rows}, {"file": rows.encode()}):
        response = await send(browser, concurrency="9", **more)
        assert response.status == 422
        assert "999,0500000999" in response.body.decode()


async def test_it_starts_at_once_when_asked_to(browser: BrowserSession, site: Site) -> None:
    response = await send(browser, text=GOOD, start="1")
    assert "Show the campaign" in text_of(response)
    assert await runs_of(site) == [("Trial", RunStatus.RUNNING, 2)]


async def test_the_same_form_sent_twice_is_one_run_and_another_file_another(browser: BrowserSession, site: Site) -> None:
    key = await key_of(browser)
    first, again = await send(browser, key=key, text=MIXED), await send(browser, key=key, text=MIXED)
    assert text_of(first) == text_of(again)
    assert len(await runs_of(site)) == 1
    await send(browser, key=key, text=GOOD)
    await send(browser, key=await key_of(browser), text=MIXED)
    assert len(await runs_of(site)) == 3


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (b"phone\n0500000001\n", "are missing: lead_id"),
        (b"lead_id,phone\n1,abc\n", "None of these leads can be called."),
        (b"lead_id,phone,name\n1,0500000001,Ren\xe9\n", "encoding of this file is not supported"),
        (b"PK\x03\x04", "This is an Excel workbook"),
        (b" \n", "Choose a file with leads"),
    ],
)
async def test_a_bad_file_is_explained_and_the_form_is_kept(browser: BrowserSession, site: Site, file: bytes, sentence: str) -> None:
    response = await send(browser, file=file, file_name="mine.csv", concurrency="1", start="1")
    assert 400 <= response.status < 500
    assert sentence in text_of(response)
    assert "mine.csv" in text_of(response)
    body = response.body.decode()
    assert 'name="name" type="text" maxlength="255" dir="auto" value="Trial"' in body
    assert 'value="1" required' in body
    assert 'name="start" value="1" checked' in body
    assert await runs_of(site) == []
    # A readable file can be corrected in place.
    if file.isascii() and not file.startswith(b"PK"):
        assert file.decode().strip() in body


async def test_wrong_settings_are_named_and_the_rows_stay_in_the_form(browser: BrowserSession, site: Site) -> None:
    for fields, message in (
        ({"concurrency": "9"}, "concurrency : must be at most 3"),
        ({"concurrency": "x"}, "concurrency : must be a whole number"),
        ({"name": "n" * 300}, "name : must have at most 255 characters"),
    ):
        response = await send(browser, fields={"text": GOOD, **fields})
        assert response.status == 422
        assert message in text_of(response)
        assert "0500000002" in response.body.decode()
    assert await runs_of(site) == []


async def test_the_report_is_translated(browser: BrowserSession) -> None:
    browser.language = "he"
    words = text_of(await send(browser, text=MIXED))
    assert "2 לידים מוכנים" in words
    assert "חסר lead_id." in words
