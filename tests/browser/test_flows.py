"""A working day: from signing in to ending another session, in Hebrew and in English, by the keyboard alone and by mouse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from dialer.model import AttemptState
from tests.browser.conftest import PATIENCE_MILLISECONDS, open_window
from tests.browser.hands import Keyboard, Mouse
from tests.browser.test_live import publish_progress
from tests.browser_session import EMAIL, PASSWORD, BrowserSession
from tests.web_site import RUNS
from web.server import i18n

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Browser, Page

    from tests.browser.conftest import BrowserUser
    from tests.browser.hands import Hands
    from tests.web_site import Site
    from web.server.i18n import Language

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MILLISECONDS)
# Headings in Hebrew, no ids, a column of no use, and one number that is too short.
PEOPLE = ["דנה", "משה", "נעמה", "שרה", "אברהם"]
LIST = "".join(
    f"{row}\n"
    for row in ["שם הלקוח,נייד,עיר,הערה", *(f"{name},050000000{n},חיפה,דחוף" for n, name in enumerate(PEOPLE, start=1)), "קצר,12,לוד,x"]
)
STATUS = "h1 + .status"
MAIN = ".step-open button.main-action"


@dataclass(frozen=True, slots=True)
class Day:
    """Who works, on what, and in which language."""

    site: Site
    user: BrowserUser
    hands: Hands
    language: Language

    @property
    def page(self) -> Page:
        return self.user.page

    def said(self, text: str, **values: object) -> str:
        """A sentence in the language of the day."""
        return i18n.translate(self.language, text, **values)

    async def is_now(self, status: str) -> None:
        """The page of the run shows this status."""
        await expect(self.page.locator(f"{STATUS}.tone-{status}")).to_be_visible()

    async def shown_run(self) -> int:
        """The run whose page is open."""
        await self.page.wait_for_url(re.compile(r"/runs/\d+(#\w+)?$"))
        return int(self.page.url.split("#")[0].rsplit("/", 1)[1])


@pytest.mark.parametrize("kind", [Keyboard, Mouse])
@pytest.mark.parametrize("language", ["he", "en"])
async def test_a_day_of_work(site: Site, browser: Browser, language: Language, kind: type[Keyboard | Mouse], tmp_path: Path) -> None:
    await site.database.pool.execute("UPDATE dialer.users SET role = 'admin'")
    context, user = await open_window(site, browser, locale="he-IL" if language == "he" else "en-US")
    day = Day(site, user, kind(user.page), language)
    await sign_in(day)
    run_id = await load_and_start(day, as_file=kind is Mouse)
    await watch(day, run_id)
    await pause_resume_and_end(day, run_id)
    await call_back_search_and_never_call(day)
    await export(day, run_id, tmp_path)
    await change_hours(day)
    await make_and_revoke_a_token(day)
    await end_another_session(day)
    await context.close()
    assert user.console_errors == []


async def sign_in(day: Day) -> None:
    await day.page.context.clear_cookies()
    await day.user.open("/login")
    await expect(day.page.locator("html")).to_have_attribute("lang", day.language)
    await day.hands.write("#email", EMAIL)
    await day.hands.write("#password", PASSWORD)
    await day.hands.press("form.panel button.main-action")
    await expect(day.page.locator("#overview")).to_be_visible()
    await day.page.keyboard.press("Tab")
    await expect(day.page.locator(".skip")).to_be_focused()


async def load_and_start(day: Day, *, as_file: bool) -> int:
    page, hands = day.page, day.hands
    await hands.press('.menu a[href="/runs"]')
    await hands.press('main a[href="/runs/new"]')
    if as_file:
        file = {"name": "november.csv", "mimeType": "text/csv", "buffer": LIST.encode()}
        await page.locator("#file").set_input_files(file)  # type: ignore[arg-type]
    else:
        await hands.write("#text", LIST)
    await hands.press(MAIN)
    await expect(page.locator("#step-columns")).to_be_visible()
    await expect(page.locator('select[name="column-0"]')).to_have_value("name")
    await expect(page.locator('select[name="column-1"]')).to_have_value("phone")
    await hands.choose('select[name="column-3"]', "ignore")
    await hands.press(MAIN)
    await expect(page.locator("#group-call b")).to_have_text(str(len(PEOPLE)))
    await hands.press("#group-cannot")
    await expect(page.locator("#rows tbody tr")).to_have_count(1)
    await hands.press(MAIN)
    await hands.write("#name", "Renewals")
    await hands.press("#call-now")
    run_id = await day.shown_run()
    started = day.said("The campaign has started; people to call: {people}.", people=len(PEOPLE))
    await expect(page.locator("#notice")).to_contain_text(started)
    return run_id


async def watch(day: Day, run_id: int) -> None:
    page, database = day.page, day.site.database
    await expect(page.locator(".live[data-state=live]")).to_be_visible()
    attempts, _ = await database.claim(day.site.business)
    for n, attempt in enumerate(attempts):
        await database.record(attempt, AttemptState.RINGING, sid=f"CA{n:032}")
    await publish_progress(day.site, "call.progress", run_id)
    await expect(page.locator("[id^=call-]")).to_have_count(3)
    for attempt, outcome in zip(attempts, ("completed", "busy", "no-answer"), strict=True):
        await database.record(attempt, AttemptState.OVER, outcome=outcome)
    for group in ("person", "busy", "no-answer"):
        await expect(page.locator(f"#count-{group} b")).to_have_text("1")
    run = await database.checked_run(day.site.business, run_id)
    assert (run.status, run.queued) == ("running", 2)


async def pause_resume_and_end(day: Day, run_id: int) -> None:
    page, hands = day.page, day.hands
    await hands.press("#do-pause")
    await day.is_now("paused")
    await hands.press("#do-resume")
    await day.is_now("running")
    await hands.press("#do-end")
    await expect(page.locator("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog")).to_have_count(0)
    await expect(page.locator("#do-end")).to_be_focused()
    await hands.press("#do-end")
    await hands.press("dialog .danger-action")
    await day.is_now("cancelled")
    run = await day.site.database.checked_run(day.site.business, run_id)
    assert (run.status, run.cancelled) == ("cancelled", 2)


async def call_back_search_and_never_call(day: Day) -> None:
    """Those who did not answer are called back: one of two, since the other is put on the do-not-call list."""
    page, hands, site = day.page, day.hands, day.site
    await hands.press("#call-back button")
    await expect(page.locator("#count-queued b")).to_have_text("2")
    run = await site.database.checked_run(site.business, await day.shown_run())
    assert (run.status, run.total_leads) == ("running", 2)
    await hands.write("#search", PEOPLE[2])
    await hands.press("form.search button")
    await expect(page.locator("#leads tbody tr")).to_have_count(1)
    await expect(page.locator("#leads tbody tr")).to_contain_text(PEOPLE[2])
    await hands.press('.menu a[href="/do-not-call"]')
    await hands.write("#phones", "050-000-0003")
    await hands.press("form.panel button.main-action")
    await expect(page.locator("tbody tr")).to_have_count(1)
    attempts, _ = await site.database.claim(site.business)
    assert [attempt.phone for attempt in attempts] == ["+972500000002"]


async def export(day: Day, run_id: int, folder: Path) -> None:
    page, hands = day.page, day.hands
    await hands.press('.menu a[href="/runs"]')
    await hands.press(f"#run-{run_id} a")
    await hands.press("#export summary")
    async with page.expect_download() as begun:
        await hands.press('#export a[href*="for=people"]')
    await (await begun.value).save_as(folder / "people.csv")
    rows = (folder / "people.csv").read_text("utf-8-sig").splitlines()
    assert rows[0].split(",")[:4] == [day.said(heading) for heading in ("Lead", "Name", "Phone", "Result")]
    assert sorted(row.split(",")[1] for row in rows[1:]) == sorted(PEOPLE)


async def change_hours(day: Day) -> None:
    page, hands = day.page, day.hands
    await hands.press('.menu a[href="/settings"]')
    await hands.press('.side a[href="/settings/hours"]')
    await hands.press('[name="always"]')
    await hands.write("#sunday_0_from", "9:00")
    await hands.write("#sunday_0_to", "17:00")
    await hands.press("form.panel button.main-action")
    await expect(page.locator("#notice.note-good")).to_be_visible()
    await expect(page.locator("#sunday_0_from")).to_have_value("09:00")
    business = await day.site.database.businesses.get(day.site.business)
    assert business
    assert (business.calling_hours or {})["sunday"] == [["09:00", "17:00"]]


async def make_and_revoke_a_token(day: Day) -> None:
    page, hands = day.page, day.hands
    await hands.press('.side a[href="/settings/tokens"]')
    await hands.write("#name", "Till")
    await hands.press("form.panel button.main-action")
    secret = await page.locator(".secret").inner_text()
    assert (await day.site.get(RUNS, token=secret)).status == 200
    await hands.press('tr:has-text("Till") a.danger')
    await hands.press("button.danger-action")
    await expect(page.locator("#notice.note-good")).to_be_visible()
    assert (await day.site.get(RUNS, token=secret)).status == 401


async def end_another_session(day: Day) -> None:
    page, hands = day.page, day.hands
    other = BrowserSession(day.site)
    await other.sign_in()
    assert (await other.get("/runs")).status == 200
    # The first sign-in of this user is still open too: its cookie is gone.
    await hands.press('.side a[href="/settings/sessions"]')
    for left in (1, 0):
        await hands.press('form[action$="/end"] button')
        await expect(page.locator('form[action$="/end"]')).to_have_count(left)
    assert "/login" in (await other.get("/runs")).headers["Location"]
    await hands.press(".account summary")
    await hands.press('form[action="/logout"] button')
    await expect(page.locator("#email")).to_be_visible()
