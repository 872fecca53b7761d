"""The switch that stops all dialling, on the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.model import Role
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of

if TYPE_CHECKING:
    from tests.web_site import Site

REASON = "Wrong script <b>"


async def test_it_is_stopped_for_a_reason_and_every_page_says_so(site: Site) -> None:
    await site.user(EMAIL, PASSWORD)
    await site.user("viewer@example.com", PASSWORD, Role.VIEWER)
    browser, viewer, hebrew = BrowserSession(site), BrowserSession(site), BrowserSession(site, "he")
    await browser.sign_in()
    await viewer.sign_in("viewer@example.com")
    await hebrew.sign_in()
    assert "Stop all dialling?" in text_of(await browser.get("/dialling"))
    assert "<form" not in (await viewer.get("/dialling")).body.decode().split("<main")[1]
    assert (await viewer.post("/dialling/stop", {"reason": "x"})).status == 403
    answer = await browser.post("/dialling/stop", {"reason": REASON})
    assert (answer.status, answer.headers["Location"]) == (303, "/dialling")
    assert "Calls on the line finish" in text_of(await browser.get("/dialling"))
    assert (await site.post("/api/stop-dialling", {"reason": REASON})).json["stopped"]
    attempts, verdicts = await site.database.claim(site.business)
    assert (attempts, verdicts[site.business].code) == ([], "stopped")
    for reader, sentence in ((viewer, "All dialling is stopped"), (hebrew, "כל החיוגים נעצרו")):
        shown = await reader.get("/runs")
        assert sentence in text_of(shown)
        assert "Wrong script &lt;b&gt;" in shown.body.decode()
    run = await site.load(1)
    for path in (f"/runs/{run}", f"/runs/{run}/fragment", "/", "/overview/fragment"):
        body = (await browser.get(path)).body.decode()
        assert (body.count('id="stopped"'), "dialling of this business is stopped" in body) == (1, False), path
    assert (await browser.post("/dialling/resume", {})).status == 303
    assert "Dialling has resumed" in text_of(await browser.get("/dialling"))
    assert "stopped" not in text_of(await viewer.get("/runs"))
    assert len((await site.database.claim(site.business))[0]) == 1


async def test_a_stop_of_the_installation_is_shown_and_cannot_be_undone_here(site: Site) -> None:
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    await browser.sign_in()
    await site.database.pool.execute("UPDATE dialer.installation SET stopped_at = now(), stop_reason = 'Carrier away'")
    assert "Carrier away" in text_of(await browser.get("/runs"))
    page = text_of(await browser.get("/dialling"))
    assert "for all businesses" in page
    assert "Resume dialling" not in page
