"""The page "New campaign": four steps, each remembered; a mistake loses no input, and the same campaign sent twice is one run."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
import xlsxwriter
from aiohttp import FormData

from dialer.model import Role, RunStatus
from sql.drafts import drafts
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of

if TYPE_CHECKING:
    from tests.web_site import Response, Site

GOOD = "lead_id,phone,name\n1,0500000001,נועה\n2,0500000002,Ada\n"
MIXED = GOOD + "3,12,Short\n4,0500000001,Twice\n5,0500000005,Eve\n"
HEBREW = "טלפון,שם,עיר\n0500000001,נועה,חיפה\n050-000-0002,אבי,לוד\n"


@pytest_asyncio.fixture
async def browser(site: Site) -> BrowserSession:
    """A signed-in operator."""
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    assert (await browser.sign_in()).status == 303
    return browser


async def sent(
    browser: BrowserSession, *, file: bytes | None = None, file_name: str = "leads.csv", text: str = "", path: str = ""
) -> Response:
    form = FormData()
    form.add_field("text", text)
    form.add_field("file", file or b"", filename=file_name if file is not None else "", content_type="text/csv")
    return await browser.post(path or "/runs/new", form)


async def drafted(browser: BrowserSession, **what: str | bytes) -> str:
    """The address of a new draft."""
    response = await sent(browser, **what)  # type: ignore[arg-type]
    assert response.status == 303, text_of(response)
    return response.headers["Location"].partition("?")[0]


async def with_columns(browser: BrowserSession, path: str) -> None:
    """Take the columns as they seem to be."""
    page = (await browser.get(path)).body.decode()
    roles = re.findall(r'name="column-\d+".*?<option value="(\w+)" selected', page, re.DOTALL)
    response = await browser.post(f"{path}/columns", {f"column-{n}": role for n, role in enumerate(roles)})
    assert response.headers["Location"].endswith("step=check")


async def runs_of(site: Site) -> list[tuple[str, str, int]]:
    return [(run.name or "", run.status, run.total_leads) for run in await site.database.runs.page(site.business)]


def workbook() -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        page = book.add_worksheet("לידים")
        for number, row in enumerate([["נייד", "שם מלא"], [500000001, "נועה"], ["050-000-0002", "אבי"]]):
            page.write_row(number, 0, row)
    return file.getvalue()


async def test_four_steps_make_a_campaign(browser: BrowserSession, site: Site) -> None:
    await site.database.pool.execute("UPDATE dialer.businesses SET calling_hours = NULL WHERE business_id = $1", site.business)
    path = await drafted(browser, file=MIXED.replace("lead_id", "x").encode("cp1255"), file_name="נובמבר.csv")
    page = text_of(await browser.get(path))
    assert "This is how the first rows were read" in page
    await with_columns(browser, path)
    check = await browser.get(f"{path}?step=check&rows=cannot")
    assert re.search(r"3 Will be called 1 Cannot be called 1 Twice in the list", text_of(check)), text_of(check)
    assert re.search(r"4 Short 12 Short numbers are not called", text_of(check)), text_of(check)
    plain = text_of(await browser.get(f"{path}?step=check"))
    assert re.search(r"1 Short numbers .*? Short 1 Their phone number is in the list before\. Twice", plain), "the reasons stand openly"
    assert "Has the phone number of lead 2" in text_of(await browser.get(f"{path}?step=check&rows=twice"))
    await browser.post(f"{path}/check", {"recently": "skip"})
    calling = {"name": "Trial", "say": "Hello {name}!", "language": "en-US", "lines": "2", "retry_times": "2", "retry_minutes": "30"}
    await browser.post(f"{path}/calling", {**calling, "action": "show"})
    words = text_of(await browser.get(f"{path}?step=calling"))
    assert "Hello נועה!" in words
    assert re.search(r"Call 3 people, now; about \d+ min, ends (\w+ )?\d\d:\d\d", words), words
    wrong = await browser.post(f"{path}/calling", {**calling, "say": "Hello {nobody}", "lines": "9", "action": "now"})
    assert wrong.status == 422
    assert "Hello {nobody}" in wrong.body.decode()
    assert 'value="9"' in wrong.body.decode()
    assert "must be at most 3" in text_of(wrong)
    assert "concurrency" not in text_of(wrong), "a name of programs"
    first = await browser.post(f"{path}/calling", {**calling, "action": "now"})
    assert first.status == 303, text_of(first)
    shown = text_of(await browser.get(first.headers["Location"]))
    assert "The campaign has started; people to call: 3. Rows that were left out: 2;" in shown
    report = text_of(await browser.get(f"{first.headers['Location']}/load-report"))
    assert re.search(r"1 4 4 12 Cannot be called Short numbers are not called", report), report
    assert "Short numbers" not in text_of(await browser.get(f"{first.headers['Location']}/load-report?kind=duplicate"))
    assert (await browser.get("/runs/99999/load-report")).status == 404
    again = await browser.post(f"{path}/calling", {**calling, "action": "now"})
    assert again.headers["Location"] == first.headers["Location"]
    assert await runs_of(site) == [("Trial", RunStatus.RUNNING, 3)]
    [run] = await site.database.runs.page(site.business)
    assert run.settings["retries"]["busy"] == {"times": 2, "after_minutes": [30]}
    assert run.settings["script"]["say"] == "Hello {name}!"
    assert await site.database.pool.fetchval("SELECT count(*) FROM dialer.draft_pieces") == 0


@pytest.mark.parametrize(
    "what",
    [
        {"file": HEBREW.encode()},
        {"file": HEBREW.encode("utf-16"), "file_name": "רשימה.txt"},
        {"file": workbook(), "file_name": "leads.xlsx"},
        {"text": "\t".join(HEBREW.split(","))},
        {"text": "נועה\t0500000001\nAvi\t050-000-0002\n"},
        {"text": "Kundin,Rufnummer\nNoa,0500000001\nAvi,050-000-0002\n"},
    ],
)
async def test_a_list_is_understood_and_saved(browser: BrowserSession, site: Site, what: dict[str, str | bytes]) -> None:
    path = await drafted(browser, **what)
    await with_columns(browser, path)
    saved = await browser.post(f"{path}/calling", {"name": "Saved", "action": "saved", "lines": "1"})
    assert saved.status == 303, text_of(saved)
    assert await runs_of(site) == [("Saved", RunStatus.PENDING, 2)]
    phones = await site.database.pool.fetch("SELECT phone FROM outbound_call_jobs ORDER BY lead_id")
    assert [row["phone"] for row in phones] == ["+972500000001", "+972500000002"]


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ({"text": " \n"}, "Choose a file with leads"),
        ({"file": "lead_id,phone\n1,Ren\xe9\n".encode("latin-1")}, "encoding of this file is not supported"),
        ({"file": b"PK\x03\x04"}, "This is no Excel workbook"),
        ({"file": b"%PDF-1.7\n"}, "This is a PDF file. Lists can be Excel workbooks (.xlsx), CSV and TSV files."),
        ({"file": b"\x89PNG\r\n\x1a\n"}, "This is a picture."),
        ({"file": b"PK\x03\x04 word/document.xml"}, "This is a Word document."),
        ({"file": b"\xd0\xcf\x11\xe0" + "WordDocument".encode("utf-16-le")}, "This is a Word document."),
        ({"file": b"\xd0\xcf\x11\xe0"}, "This is an old Excel file (.xls)"),
        ({"file": b"<html><table>"}, "This is a web page"),
        ({"file": b"name,phone\n"}, "This list has headings, and no rows below them."),
        ({"file": b"\n\n"}, "There are no rows in this list."),
        ({"text": "name\tphone\n"}, "This list has headings, and no rows below them."),
    ],
)
async def test_a_bad_file_is_explained(browser: BrowserSession, site: Site, what: dict[str, str | bytes], sentence: str) -> None:
    response = await sent(browser, **what)  # type: ignore[arg-type]
    assert 400 <= response.status < 500
    assert sentence in text_of(response)
    assert await site.database.pool.fetchval("SELECT count(*) FROM dialer.drafts") == 0


async def test_columns_must_have_one_phone_and_keep_what_was_chosen(browser: BrowserSession) -> None:
    path = await drafted(browser, text=HEBREW)
    response = await browser.post(f"{path}/columns", {"column-0": "ignore", "column-1": "lead_id", "column-2": "variable"})
    assert response.status == 422
    assert "Choose the one column that has the phone numbers" in text_of(response)
    assert re.search(r'name="column-1".*?value="lead_id" selected', response.body.decode(), re.DOTALL)


async def test_a_draft_is_its_owner_s_alone_and_drafts_are_few_and_small(
    browser: BrowserSession, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await drafted(browser, text=GOOD)
    await site.user("other@example.com", PASSWORD, Role.ADMIN)
    other = BrowserSession(site)
    await other.sign_in("other@example.com")
    assert (await other.get(path)).status == 404
    assert (await other.post(f"{path}/calling", {"action": "now"})).status == 404
    assert (await browser.get("/runs/new/99999")).status == 404
    last = [await drafted(browser, text=GOOD) for _ in range(drafts.MAX_DRAFTS)][-1]
    assert (await browser.get(path)).status == 404
    assert (await browser.get("/runs/new")).body.count(b'href="/runs/new/') == drafts.MAX_DRAFTS + 1, "and the template"
    monkeypatch.setattr(drafts, "MAX_BYTES", 100)
    full = await sent(browser, text=GOOD)
    assert full.status == 409
    assert "2,0500000002,Ada" in full.body.decode()
    await browser.post(f"{last}/discard")
    assert (await browser.get(last)).status == 404
    await site.database.pool.execute("UPDATE dialer.drafts SET touched_at = now() - interval '3 days'")
    assert "Pasted list" not in text_of(await browser.get("/runs/new"))
    await site.database.pool.fetchval("SELECT dialer.forget_v1(100)")
    assert await site.database.pool.fetchval("SELECT count(*) FROM dialer.drafts") == 0


async def test_a_template_and_hebrew(browser: BrowserSession) -> None:
    browser.language = "he"
    template = await browser.get("/runs/new/template.csv")
    assert template.body.decode("utf-8-sig").strip() == "שם,טלפון,עיר"
    path = await drafted(browser, text=template.body.decode("utf-8-sig") + "דנה,0501234567,חיפה\n")
    await with_columns(browser, path)
    await browser.post(f"{path}/calling", {"say": "שלום {name}, מדברים מ{עיר}", "lines": "1", "action": "show"})
    words = text_of(await browser.get(f"{path}?step=calling"))
    assert "שלום דנה, מדברים מחיפה" in words
    assert "לחייג לאדם אחד" in words
