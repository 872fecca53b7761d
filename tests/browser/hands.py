"""How a user works: with a mouse, or with the keyboard alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

MOST_TABS = 120
HAS_FOCUS = "element => element === document.activeElement"
# About how many times Tab is pressed from where the focus is: asking after each of them would take most of the time.
DISTANCE = """target => {
  const stops = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
    .filter(each => each.checkVisibility() && !each.disabled && (each.type !== "radio" || each.checked));
  return stops.indexOf(target) - stops.indexOf(document.activeElement);
}"""


class Hands(Protocol):
    """Works on a page; an element is named by a selector of Playwright, the first that fits."""

    page: Page

    async def press(self, selector: str) -> None:
        """Press a link or a button, or choose a box."""
        ...

    async def write(self, selector: str, text: str) -> None:
        """Replace the text of a field."""
        ...

    async def choose(self, selector: str, value: str) -> None:
        """Choose an option of a list."""
        ...


class Mouse:
    """Clicks, and types into what was clicked."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def press(self, selector: str) -> None:
        await self.page.locator(selector).first.click()

    async def write(self, selector: str, text: str) -> None:
        await self.page.locator(selector).first.fill(text)

    async def choose(self, selector: str, value: str) -> None:
        await self.page.locator(selector).first.select_option(value)


class Keyboard:
    """Reaches every element by the tab key, from where it is."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def press(self, selector: str) -> None:
        target = await self.focus(selector)
        await self.page.keyboard.press("Space" if await target.get_attribute("type") in {"checkbox", "radio"} else "Enter")

    async def write(self, selector: str, text: str) -> None:
        await self.focus(selector)
        await self.page.keyboard.press("Control+a")
        await self.page.keyboard.insert_text(text)

    async def choose(self, selector: str, value: str) -> None:
        target = await self.focus(selector)
        await self.page.keyboard.press("Home")
        for _ in range(await target.locator("option").count()):
            if await target.input_value() == value:
                return
            await self.page.keyboard.press("ArrowDown")
        pytest.fail(f"{selector} has no {value}")

    async def focus(self, selector: str) -> Locator:
        """Press Tab until this element has the focus."""
        target = self.page.locator(selector).first
        await target.wait_for()
        for _ in range(await target.evaluate(DISTANCE) - 1):
            await self.page.keyboard.press("Tab")
        for _ in range(MOST_TABS):
            if await target.evaluate(HAS_FOCUS):
                return target
            await self.page.keyboard.press("Tab")
        pytest.fail(f"no way to {selector} by the keyboard")
