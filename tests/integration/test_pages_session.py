"""Signing in by the page, the choice of language, and who is let into which page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dialer.model import Role
from tests.visitor import EMAIL, PASSWORD, BrowserSession, text_of

if TYPE_CHECKING:
    from tests.web_site import Site


async def test_a_page_leads_to_the_sign_in_and_back(site: Site) -> None:
    await site.user(EMAIL, PASSWORD)
    visitor = BrowserSession(site)
    said = await visitor.get("/runs?status=running")
    assert (said.status, said.headers["Location"]) == (303, "/login?next=/runs?status%3Drunning")
    page = await visitor.get(said.headers["Location"])
    assert 'value="/runs?status=running"' in page.body.decode()
    said = await visitor.sign_in(there="/runs?status=running")
    assert (said.status, said.headers["Location"]) == (303, "/runs?status=running")
    page = await visitor.get("/runs?status=running")
    assert page.status == 200
    assert "Ours" in text_of(page)
    assert EMAIL in text_of(page)


async def test_a_wrong_password_is_told_and_the_address_kept(site: Site) -> None:
    await site.user(EMAIL, PASSWORD)
    visitor = BrowserSession(site)
    for email, password in ((EMAIL, "wrong"), ("nobody@example.com", PASSWORD)):
        said = await visitor.sign_in(email, password)
        assert said.status == 401
        assert "do not belong together" in text_of(said)
        assert f'value="{email}"' in said.body.decode()
        assert password not in said.body.decode()
    said = await visitor.sign_in(" ", "")
    assert (said.status, "Enter your e-mail" in text_of(said)) == (422, True)
    assert visitor.cookies == {}


@pytest.mark.parametrize(
    "there", ["https://evil.example/", "//evil.example/", "/\\evil.example", "/\t/evil.example", "evil", "/" + "x" * 2000]
)
async def test_the_sign_in_leads_nowhere_else(site: Site, there: str) -> None:
    await site.user(EMAIL, PASSWORD)
    said = await BrowserSession(site).sign_in(there=there)
    assert (said.status, said.headers["Location"]) == (303, "/")


async def test_signing_out_ends_it(site: Site) -> None:
    await site.user(EMAIL, PASSWORD)
    visitor = BrowserSession(site)
    await visitor.sign_in()
    assert (await visitor.get("/")).status == 200
    assert (await visitor.post("/logout")).headers["Location"] == "/login"
    assert (await visitor.get("/")).status == 303


async def test_another_site_cannot_press_a_button(site: Site) -> None:
    await site.user(EMAIL, PASSWORD)
    run_id = await site.load()
    visitor = BrowserSession(site)
    await visitor.sign_in()
    said = await visitor.post(f"/runs/{run_id}/cancel", **{"Sec-Fetch-Site": "cross-site"})
    assert (said.status, "another site" in text_of(said)) == (403, True)
    assert (await site.shop.checked_run(site.business, run_id)).cancel_requested is False


async def test_a_viewer_looks_and_touches_nothing(site: Site) -> None:
    await site.user(EMAIL, PASSWORD, Role.VIEWER)
    run_id = await site.load()
    visitor = BrowserSession(site)
    await visitor.sign_in()
    page = (await visitor.get(f"/runs/{run_id}")).body.decode()
    assert 'action="/runs' not in page.replace(f'action="/runs/{run_id}#leads"', "")
    assert "/runs/new" not in (await visitor.get("/")).body.decode()
    for path in (f"/runs/{run_id}/pause", f"/runs/{run_id}/cancel", "/runs/new"):
        assert (await visitor.post(path)).status == 403
    assert (await visitor.get("/runs/new")).status == 403
    assert (await visitor.get(f"/runs/{run_id}/stop")).status == 403


async def test_the_language_is_asked_of_the_browser_and_kept_when_chosen(site: Site) -> None:
    visitor = BrowserSession(site, "he-IL,he;q=0.9,en;q=0.5")
    page = await visitor.get("/login")
    assert '<html lang="he" dir="rtl">' in page.body.decode()
    assert "התחברות" in text_of(page)
    said = await visitor.post("/language", {"language": "en", "back": "/login?next=/runs"})
    assert (said.status, said.headers["Location"]) == (303, "/login?next=/runs")
    assert '<html lang="en" dir="ltr">' in (await visitor.get("/login")).body.decode()
    await visitor.post("/language", {"language": "xx", "back": "//evil.example"})
    assert '<html lang="en"' in (await visitor.get("/login")).body.decode()


async def test_the_api_errs_in_hebrew_too(site: Site) -> None:
    said = await site.get("/api/outbound/runs/99999", headers={"Accept-Language": "he"})
    assert said.json == {"error": "אין כאן דבר עם המזהה הזה.", "code": "not_found"}


async def test_a_broken_form_is_refused(site: Site) -> None:
    visitor = BrowserSession(site)
    for body, kind in (
        (b"\xff\xfe=1", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"a=%ff", "application/x-www-form-urlencoded"),
    ):
        said = await visitor.post("/login", body, **{"Content-Type": kind})
        assert (said.status, "cannot be understood" in text_of(said)) == (400, True), body
    said = await visitor.post("/login", b"email=" + b"x" * 70_000, **{"Content-Type": "application/x-www-form-urlencoded"})
    assert said.status == 413
