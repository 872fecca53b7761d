"""The pages of the settings and of the do-not-call list: what they show, change and refuse, and who may."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from dialer.model import Role
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of

if TYPE_CHECKING:
    from tests.web_site import Site

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


async def test_what_is_wrong_stands_beside_its_field_and_nothing_is_lost(admin: BrowserSession, site: Site) -> None:
    before = (await site.get("/api/business")).json
    wrong = {"name": "", "region": "IL", "timezone": "Nowhere", "caller_ids": "12", "max_calls": "99", "retention_days": "soon"}
    page = await admin.post("/settings/business", wrong)
    assert page.status == 422
    body = page.body.decode()
    assert 'id="timezone-wrong"' in body
    assert 'value="Nowhere"' in body
    page = await admin.post("/settings/hours", {"monday_0_from": "20:00", "monday_0_to": "nine"})
    assert (page.status, 'value="nine"' in page.body.decode()) == (422, True)
    page = await admin.post("/settings/account", {"account_sid": "AC12", "auth_token": "secret-token"})
    assert (page.status, 'id="account_sid-wrong"' in page.body.decode()) == (422, True)
    assert "secret-token" not in page.body.decode()
    assert (await site.get("/api/business")).json == before


async def test_numbers_are_put_on_the_list_found_and_taken_off(admin: BrowserSession) -> None:
    page = await admin.post("/do-not-call", {"phones": "050-123-4567\n12", "reason": "asked"})
    assert (page.status, "050-123-4567" in text_of(page)) == (422, True)
    await admin.post("/do-not-call", {"phones": "050-123-4567\n052 765 4321", "reason": "asked"})
    shown = text_of(await admin.get("/do-not-call"))
    assert ("2 numbers are on the list now" in shown, "050-123-4567" in shown, "asked" in shown, EMAIL in shown) == (True, True, True, True)
    found = text_of(await admin.get("/do-not-call?search=0527"))
    assert ("052-765-4321" in found, "050-123-4567" in found) == (True, False)
    assert "No number on the list matches." in text_of(await admin.get("/do-not-call?search=999"))
    await admin.post("/do-not-call/remove", {"phone": "+972501234567"})
    after = text_of(await admin.get("/do-not-call"))
    assert ("The number is off the list." in after, "050-123-4567" in after) == (True, False)


async def test_those_who_may_not_change_see_and_cannot_send(site: Site) -> None:
    await site.user(VIEWER, PASSWORD, Role.VIEWER)
    viewer = BrowserSession(site)
    await viewer.sign_in(VIEWER)
    assert "Only an administrator can change this." in text_of(await viewer.get("/settings/business"))
    assert "Add numbers" not in text_of(await viewer.get("/do-not-call"))
    for path in ("/settings/business", "/settings/hours", "/settings/rules", "/settings/account", "/do-not-call", "/do-not-call/remove"):
        assert (await viewer.post(path, {"name": "x"})).status == 403, path
    assert (await viewer.get("/settings/account")).status == 403
    assert (await viewer.get("/settings/nothing")).status == 404
