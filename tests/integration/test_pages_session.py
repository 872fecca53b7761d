"""Signing in on the page, the choice of language, and access to the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dialer.model import Role
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of

if TYPE_CHECKING:
    from tests.web_site import Site


async def test_a_page_leads_to_the_sign_in_and_back(site: Site) -> None:
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    response = await browser.get("/runs?status=running")
    assert (response.status, response.headers["Location"]) == (303, "/login?next=/runs?status%3Drunning")
    page = await browser.get(response.headers["Location"])
    assert 'value="/runs?status=running"' in page.body.decode()
    response = await browser.sign_in(there="/runs?status=running")
    assert (response.status, response.headers["Location"]) == (303, "/runs?status=running")
    page = await browser.get("/runs?status=running")
    assert page.status == 200
    assert "Ours" in text_of(page)
    assert EMAIL in text_of(page)


async def test_a_wrong_password_keeps_the_address_in_the_form(site: Site) -> None:
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    for email, password in ((EMAIL, "wrong"), ("nobody@example.com", PASSWORD)):
        response = await browser.sign_in(email, password)
        assert response.status == 401
        assert "Wrong e-mail address or password" in text_of(response)
        assert f'value="{email}"' in response.body.decode()
        assert password not in response.body.decode()
    response = await browser.sign_in(" ", "")
    assert (response.status, "Enter your e-mail" in text_of(response)) == (422, True)
    assert browser.cookies == {}


@pytest.mark.parametrize(
    "there", ["https://evil.example/", "//evil.example/", "/\\evil.example", "/\t/evil.example", "evil", "/" + "x" * 2000]
)
async def test_the_sign_in_redirects_only_within_the_site(site: Site, there: str) -> None:
    await site.user(EMAIL, PASSWORD)
    response = await BrowserSession(site).sign_in(there=there)
    assert (response.status, response.headers["Location"]) == (303, "/")


async def test_signing_out_ends_it(site: Site) -> None:
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    await browser.sign_in()
    assert (await browser.get("/")).status == 200
    assert (await browser.post("/logout")).headers["Location"] == "/login"
    assert (await browser.get("/")).status == 303


@pytest.mark.parametrize(
    ("form", "page"),
    [
        ("/do-not-call", "/do-not-call"),
        ("/runs/{run}/pause", "/runs/{run}"),
        ("/runs/{run}/leads/again", "/runs/{run}"),
        ("/language", "/"),
    ],
)
async def test_a_form_sent_after_the_end_of_a_session_says_that_it_was_lost(site: Site, form: str, page: str) -> None:
    await site.user(EMAIL, PASSWORD)
    form, page = form.format(run=(run_id := await site.load())), page.format(run=run_id)
    browser = BrowserSession(site)
    if form != "/language":
        response = await browser.post(form, {"phones": "0501234567"})
        assert (response.status, response.headers["Location"]) == (303, f"/login?ended=1&next={page}")
        shown = await browser.get(response.headers["Location"])
        assert "what you sent was not saved" in text_of(shown)
        assert f'value="{page}"' in shown.body.decode()
    await browser.sign_in()
    if form != page:
        # The same address loaded, as a browser does after a choice of language or from its history.
        assert (await browser.get(form)).headers["Location"] == page


async def test_another_site_cannot_press_a_button(site: Site) -> None:
    await site.user(EMAIL, PASSWORD)
    run_id = await site.load()
    browser = BrowserSession(site)
    await browser.sign_in()
    response = await browser.post(f"/runs/{run_id}/end", {"how": "finish"}, **{"Sec-Fetch-Site": "cross-site"})
    assert (response.status, "another site" in text_of(response)) == (403, True)
    assert (await site.database.checked_run(site.business, run_id)).cancel_requested is False


async def test_a_viewer_has_no_buttons(site: Site) -> None:
    await site.user(EMAIL, PASSWORD, Role.VIEWER)
    run_id = await site.load()
    browser = BrowserSession(site)
    await browser.sign_in()
    page = (await browser.get(f"/runs/{run_id}")).body.decode()
    assert 'action="/runs' not in page.replace(f'action="/runs/{run_id}#leads"', "")
    assert "/runs/new" not in (await browser.get("/")).body.decode()
    for path in (f"/runs/{run_id}/pause", f"/runs/{run_id}/end", "/runs/new"):
        assert (await browser.post(path)).status == 403
    assert (await browser.get("/runs/new")).status == 403
    assert (await browser.get(f"/runs/{run_id}/end")).status == 403


async def test_the_language_comes_from_the_browser_until_it_is_chosen(site: Site) -> None:
    browser = BrowserSession(site, "he-IL,he;q=0.9,en;q=0.5")
    page = await browser.get("/login")
    assert '<html lang="he" dir="rtl">' in page.body.decode()
    assert "התחברות" in text_of(page)
    response = await browser.post("/language", {"language": "en", "back": "/login?next=/runs"})
    assert (response.status, response.headers["Location"]) == (303, "/login?next=/runs")
    assert '<html lang="en" dir="ltr">' in (await browser.get("/login")).body.decode()
    await browser.post("/language", {"language": "xx", "back": "//evil.example"})
    assert '<html lang="en"' in (await browser.get("/login")).body.decode()


async def test_api_errors_are_translated(site: Site) -> None:
    response = await site.get("/api/outbound/runs/99999", headers={"Accept-Language": "he"})
    assert response.json == {"error": "לא נמצא דבר עם המזהה הזה.", "code": "not_found"}


async def test_a_broken_form_is_rejected(site: Site) -> None:
    browser = BrowserSession(site)
    for body, kind in (
        (b"\xff\xfe=1", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"a=%ff", "application/x-www-form-urlencoded"),
    ):
        response = await browser.post("/login", body, **{"Content-Type": kind})
        assert (response.status, "could not be read" in text_of(response)) == (400, True), body
    response = await browser.post("/login", b"email=" + b"x" * 70_000, **{"Content-Type": "application/x-www-form-urlencoded"})
    assert response.status == 413
