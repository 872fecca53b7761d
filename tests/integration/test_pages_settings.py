"""The pages of the settings and of the do-not-call list: what they show, change and refuse, and who may."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import aiohttp
import pytest_asyncio

from dialer.model import Role
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of
from tests.integration.test_web_tables import workbook
from tests.web_site import hash_of

if TYPE_CHECKING:
    from tests.web_site import Response, Site

VIEWER = "viewer@example.com"


@pytest_asyncio.fixture
async def admin(site: Site) -> BrowserSession:
    """A signed-in administrator."""
    await site.user(EMAIL, PASSWORD, Role.ADMIN)
    browser = BrowserSession(site)
    assert (await browser.sign_in()).status == 303
    return browser


async def test_the_business_and_its_rules_are_changed_in_forms(admin: BrowserSession, site: Site) -> None:
    assert (await admin.get("/settings")).headers["Location"] == "/settings/business"
    business = {
        "name": "Hummus & Sons",
        "region": "IL",
        "timezone": "Asia/Jerusalem",
        "caller_ids": "03-1234567\n+972 3 765 4321",
        "max_calls": "2",
    }
    assert (await admin.post("/settings/business", business)).status == 303
    page = await admin.get("/settings/business")
    assert ("Saved." in text_of(page), "Hummus &amp; Sons" in page.body.decode(), "+97231234567" in text_of(page)) == (True, True, True)
    hours = {"monday_0_from": "9:00", "monday_0_to": "13:00", "monday_1_from": "15:00", "monday_1_to": "20:00", "holidays": "open"}
    hours |= {"has_eves": "1", "holiday_eves_0_from": "09:00", "holiday_eves_0_to": "12:00", "dates": "2026-12-25\n2026-12-24 09:00-13:00"}
    assert (await admin.post("/settings/hours", hours)).status == 303
    rules = {"min_gap_hours": "12", "max_per_day": "2", "busy_times": "2", "busy_minutes": "5, 30"}
    assert (await admin.post("/settings/rules", rules)).status == 303
    stored = (await site.get("/api/business")).json
    assert (stored["caller_ids"], stored["max_calls"]) == (["+97231234567", "+97237654321"], 2)
    assert stored["calling_hours"]["monday"] == [["09:00", "13:00"], ["15:00", "20:00"]]
    assert stored["calling_hours"]["dates"] == {"2026-12-24": [["09:00", "13:00"]], "2026-12-25": []}
    assert (stored["calling_hours"]["holiday_eves"], stored["calling_hours"]["holidays"]) == ([["09:00", "12:00"]], "open")
    assert (stored["min_gap_hours"], stored["max_per_day"]) == (12, 2)
    assert stored["retries"] == {"busy": {"times": 2, "after_minutes": [5, 30]}}
    # What a form shows is what it sends back.
    shown = (await admin.get("/settings/hours")).body.decode()
    assert 'name="monday_1_to" id="monday_1_to" value="20:00"' in shown
    assert "2026-12-24 09:00-13:00" in shown
    assert (await admin.post("/settings/hours", {"always": "1"})).status == 303
    assert (await site.get("/api/business")).json["calling_hours"] is None


async def test_what_calls_say_is_heard_before_it_is_saved(admin: BrowserSession, site: Site) -> None:
    page = "/settings/script"
    assert "זוהי שיחה אוטומטית" in text_of(await admin.get(page)), "the greeting of a business in Israel"
    text = {"kind": "say", "say": "Hello {name} of {city & more}", "language": "en-US", "removes": "1"}
    shown = await admin.post(page, {**text, "action": "show"})
    assert "Hello Dana Levi of city &amp; more" in shown.body.decode()
    assert (await site.get("/api/business")).json["script"] is None
    called = await admin.post(page, {**text, "action": "test", "phone": "12"})
    assert (called.status, 'id="phone-wrong"' in called.body.decode()) == (422, True)
    assert (await admin.post(page, {**text, "action": "save"})).status == 303
    saved = {"say": text["say"], "language": "en-US", "keypress": {"9": "do_not_call"}}
    assert (await site.get("/api/business")).json["script"] == saved
    # A voice was set over the API: it stays while the language does.
    await site.request("PATCH", "/api/business", json={"script": {**saved, "voice": "Polly.Joanna"}}, token="admin")
    await admin.post(page, {**text, "action": "save", "removes": ""})
    assert (await site.get("/api/business")).json["script"] == {"say": text["say"], "language": "en-US", "voice": "Polly.Joanna"}
    for kind, address, field in (("say", "", "say"), ("play", "http://a.example/x.mp3", "address"), ("dial", "+97212", "address")):
        wrong = await admin.post(page, {"kind": kind, "say": "", "language": "en-US", "address": address, "action": "save"})
        assert (wrong.status, f'id="{field}-wrong"' in wrong.body.decode()) == (422, True), text_of(wrong)
    await admin.post(page, {"kind": "stream", "address": "wss://voice.example.com/calls", "action": "save"})
    assert (await site.get("/api/business")).json["script"] == {"stream": "wss://voice.example.com/calls"}
    assert 'value="wss://voice.example.com/calls"' in (await admin.get(page)).body.decode()
    await admin.post(page, {"kind": "greeting", "action": "save"})
    assert (await site.get("/api/business")).json["script"] is None
    # Whoever calls back is no lead of a list.
    page = "/settings/inbound-script"
    assert "קיבלת שיחה אוטומטית" in text_of(await admin.get(page))
    wrong = await admin.post(page, {**text, "action": "save"})
    assert (wrong.status, "no variables" in text_of(wrong)) == (422, True)
    await admin.post(page, {"kind": "say", "say": "Call 1700", "language": "en-US", "removes": "1", "action": "save"})
    stored = (await site.get("/api/business")).json
    assert (stored["inbound_script"], stored["script"]) == ({"say": "Call 1700", "language": "en-US"}, None)


async def test_what_is_wrong_stands_beside_its_field_and_nothing_is_lost(admin: BrowserSession, site: Site) -> None:
    before = (await site.get("/api/business")).json
    wrong = {"name": "", "region": "IL", "timezone": "Nowhere", "caller_ids": "12", "max_calls": "99", "retention_days": "soon"}
    page = await admin.post("/settings/business", wrong)
    assert page.status == 422
    body = page.body.decode()
    assert 'id="timezone-wrong"' in body
    assert 'value="Nowhere"' in body
    await admin.post("/settings/hours", {"always": "1"})
    before = (await site.get("/api/business")).json
    page = await admin.post("/settings/hours", {"monday_0_from": "20:00", "monday_0_to": "nine", "dates": "2026-13-01"})
    body = page.body.decode()
    assert (page.status, 'value="nine"' in body, 'id="dates-wrong"' in body) == (422, True, True)
    assert "Monday: must be times as 09:00" in text_of(page), "the day is named"
    assert 'name="always" value="1">' in body, "the box stays without its tick"
    page = await admin.post("/settings/rules", {"busy_times": "2", "busy_minutes": "5, soon"})
    assert (page.status, "Busy: after minutes: must be a number" in text_of(page)) == (422, True), text_of(page)
    page = await admin.post("/settings/account", {"account_sid": "AC12", "auth_token": "secret-token"})
    assert (page.status, 'id="account_sid-wrong"' in page.body.decode()) == (422, True)
    assert "secret-token" not in page.body.decode()
    assert (await site.get("/api/business")).json == before


async def test_numbers_are_put_on_the_list_found_and_taken_off(admin: BrowserSession) -> None:
    page = await admin.post("/do-not-call", {"phones": "050-123-4567\n12", "reason": "asked"})
    assert (page.status, "050-123-4567" in text_of(page)) == (422, True)
    # The line is named, and numbers apart from the sentence's direction.
    assert "\N{FIRST STRONG ISOLATE}12\N{POP DIRECTIONAL ISOLATE}: " in text_of(page)
    await admin.post("/do-not-call", {"phones": "050-123-4567\n052 765 4321", "reason": "asked"})
    shown = text_of(await admin.get("/do-not-call"))
    assert ("2 numbers were added to the list." in shown, "050-123-4567" in shown) == (True, True)
    assert ("asked" in shown, EMAIL in shown) == (True, True)
    found = text_of(await admin.get("/do-not-call?search=0527"))
    assert ("052-765-4321" in found, "050-123-4567" in found) == (True, False)
    assert "No number on the list matches." in text_of(await admin.get("/do-not-call?search=999"))
    assert "at least 3 digits" in text_of(await admin.get("/do-not-call?search=05"))
    await admin.post("/do-not-call/remove", {"phone": "+972501234567"})
    after = text_of(await admin.get("/do-not-call"))
    assert ("The number is off the list." in after, "050-123-4567" in after) == (True, False)


async def test_a_file_of_numbers_is_imported_and_what_became_of_it_is_shown(admin: BrowserSession, site: Site) -> None:
    assert "Import a file" in text_of(await admin.get("/do-not-call"))
    leads: list[list[object]] = [["דנה", 501234567, "ביקשה"], ["אבי", "052 765 4321"], ["אבי", "0527654321"], [], ["פקס", "12"]]
    answer = await imported(admin, workbook([["שם", "נייד", "סיבה"], *leads]), list="own", reason="by mail")
    shown = text_of(answer)
    assert "The numbers were added Rows read 4 New on the list 2 On the list before 1 Refused 1" in shown
    assert "6 12" in shown, "the refused row, as the sheet numbers it"
    [address] = re.findall(r'href="(/do-not-call/import/[^"]+/refused.csv)"', answer.body.decode())
    file = (await admin.get(address)).body.decode("utf-8-sig").splitlines()
    assert (file[0], file[1].startswith("6,12,"), len(file)) == ("Row,Phone,Reason", True, 2)
    theirs = BrowserSession(site)
    await site.database.user(site.rival, "theirs@example.com", Role.ADMIN, hash_of(PASSWORD))
    await theirs.sign_in("theirs@example.com")
    assert [(await theirs.get(address)).status, (await admin.get(address.replace("http", "x"))).status] == [404, 404]
    listed = [(entry["phone"], entry["reason"]) for entry in (await site.get("/api/outbound/do-not-call")).json["items"]]
    assert listed == [("+972501234567", "ביקשה"), ("+972527654321", "by mail")]
    admin.language = "he"
    shown = text_of(await imported(admin, b"0501234567\n0501234568\n", list="register", register="IL"))
    assert "המאגר IL הוחלף שורות שנקראו 2 במאגר עכשיו 2" in shown
    admin.language = "en"
    await site.request("PATCH", "/api/business", json={"required_registers": [{"name": "IL", "max_age_days": 15}]}, token="admin")
    page = text_of(await admin.get("/do-not-call"))
    assert "IL 2 numbers, imported" in page
    assert "older than 15 days" in page
    newer = await admin.get("/do-not-call/import?register=IL")
    assert 'value="register" checked' in newer.body.decode()
    assert 'value="IL"' in newer.body.decode()


async def test_a_file_that_cannot_be_imported_changes_nothing(admin: BrowserSession, site: Site) -> None:
    await imported(admin, b"0501234567\n", list="register", register="IL")
    for content, fields, field, said in (
        (b"", {}, "file", "Choose a file"),
        (b"name\nDana\n", {}, "file", "must name the columns"),
        (workbook([["phone"], ["052"]])[:-40], {}, "file", "no Excel workbook"),
        (b"0501234567\n", {"list": "register", "register": " "}, "register", "at least 1"),
        (b"phone\n12\n13\n", {"list": "register", "register": "IL"}, "", "stays as it was"),
    ):
        page = await imported(admin, content, **fields)
        assert (page.status, said in text_of(page)) == (422, True), text_of(page)
        assert not field or f'id="{field}-wrong"' in page.body.decode()
    operator = BrowserSession(site)
    await site.user(VIEWER, PASSWORD)
    await operator.sign_in(VIEWER)
    assert "official register" not in text_of(await operator.get("/do-not-call/import")).replace("Official registers", "")
    assert (await imported(operator, b"0501234568\n", list="register", register="IL")).status == 403
    listed = [(entry["phone"], entry["register"]) for entry in (await site.get("/api/outbound/do-not-call")).json["items"]]
    assert listed == [("+972501234567", "IL")]


async def imported(browser: BrowserSession, content: bytes, **fields: str) -> Response:
    """What the page shows after this file was sent with these fields; an empty one was not chosen."""
    form = aiohttp.FormData()
    for name, text in fields.items():
        form.add_field(name, text)
    form.add_field("file", content, filename="numbers.xlsx" if content else "", content_type="application/octet-stream")
    return await browser.post("/do-not-call/import", form)


async def test_those_who_may_not_change_see_and_cannot_send(site: Site) -> None:
    await site.user(VIEWER, PASSWORD, Role.VIEWER)
    viewer = BrowserSession(site)
    await viewer.sign_in(VIEWER)
    assert "Only an administrator can change this." in text_of(await viewer.get("/settings/business"))
    assert "Add numbers" not in text_of(await viewer.get("/do-not-call"))
    for path in (
        "/settings/business",
        "/settings/hours",
        "/settings/rules",
        "/settings/script",
        "/settings/account",
        "/do-not-call",
        "/do-not-call/remove",
        "/do-not-call/import",
    ):
        assert (await viewer.post(path, {"name": "x"})).status == 403, path
    assert (await viewer.get("/settings/account")).status == 403
    assert (await viewer.get("/settings/nothing")).status == 404
