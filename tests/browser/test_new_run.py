"""A campaign in four steps in a real browser: a list dropped as a file, mapped, checked, heard and saved, in Hebrew and by keyboard too."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import xlsxwriter
from playwright.async_api import expect

from tests.browser.axe import violations
from tests.browser.conftest import open_window

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Route

    from tests.web_site import Site


MAIN = ".step-open button.main-action"


def workbook(people: int) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        page = book.add_worksheet("לידים")
        page.write_row(0, 0, ["שם הלקוח", "נייד", "עיר"])
        for n in range(people):
            page.write_row(n + 1, 0, [f"לקוח {n}", 500000000 + n, "חיפה"])
        page.write_row(people + 1, 0, ["קצר", 12, "לוד"])
    return file.getvalue()


async def hold_until_progress_is_shown(route: Route) -> None:
    await expect(route.request.frame.locator(".upload progress")).to_be_visible()
    await route.continue_()


async def next_step(page: Page, step: str) -> None:
    await page.locator(MAIN).first.click()
    await page.wait_for_url(re.compile(f"step={step}"))


async def test_a_campaign_is_made_in_four_steps_in_hebrew(site: Site, browser: Browser) -> None:
    context, user = await open_window(site, browser, locale="he-IL")
    page = user.page
    await user.open("/runs/new")
    # A mistake comes back without another page, whose script goes on working.
    await page.locator(MAIN).click()
    await expect(page.locator("#error")).to_be_focused()
    await page.route("**/runs/new", hold_until_progress_is_shown)
    file = {"name": "נובמבר.xlsx", "mimeType": "application/octet-stream", "buffer": workbook(300)}
    await page.locator("#file").set_input_files(file)  # type: ignore[arg-type]
    await next_step(page, "columns")
    await expect(page.locator("table.preview tbody tr")).to_have_count(5)
    assert await page.locator("table.preview select").evaluate_all("all => all.map(one => one.value)") == ["name", "phone", "variable"]
    await next_step(page, "check")
    await expect(page.locator("#group-call b")).to_have_text("300")
    await page.locator("#group-cannot").click()
    await expect(page.locator("#rows tbody tr")).to_have_count(1)
    await next_step(page, "calling")
    await expect(page.locator("#name")).to_have_value("נובמבר")
    await page.fill("#say", "שלום {name} מ{עיר}")
    await page.locator('button[value="show"]').click()
    await expect(page.locator("#spoken")).to_have_text("שלום לקוח 0 מחיפה")
    await page.reload()
    await expect(page.locator("#say")).to_have_value("שלום {name} מ{עיר}")
    await page.fill("#say", "שלום {nobody}")
    await page.locator('button[value="saved"]').click()
    await expect(page.locator("#error")).to_be_focused()
    await expect(page.locator("#say")).to_have_value("שלום {nobody}")
    await page.fill("#say", "שלום {name}")
    await page.locator('button[value="saved"]').focus()
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(r"/runs/\d+$"))
    await expect(page.locator("#notice")).to_contain_text("300")
    await page.locator('#results a[href$="/load-report"]').click()
    await expect(page.locator("tbody tr")).to_have_count(2)
    assert await violations(page) == []
    # An upload whose answer leads nowhere else stays on its page.
    await user.open("/do-not-call/import")
    await page.evaluate("window.untouched = true")
    await page.locator("#file").set_input_files({"name": "x.csv", "mimeType": "text/csv", "buffer": "שם\nדנה\n".encode()})
    await page.get_by_role("button", name="ייבוא").click()
    await expect(page.locator("#file-wrong")).to_be_visible()
    await page.locator("#file").set_input_files(file)  # type: ignore[arg-type]
    await page.get_by_role("button", name="ייבוא").click()
    await expect(page.locator("section:has(#result-title)")).to_be_focused()
    await expect(page.locator("section:has(#result-title) dd")).to_have_text(["301", "300", "0", "1"])
    assert await page.evaluate("window.untouched")
    assert await violations(page) == []
    await context.close()
    assert user.console_errors == []
