"""The pages of webhooks and their deliveries."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest_asyncio

from dialer.model import Role
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of
from tests.web_site import Site, serving
from tests.webhook_targets import post, target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.rows import DatabaseFixture

LIST = "/settings/webhooks"


@pytest_asyncio.fixture
async def hooked(database_url: str, redis_url: str, database: DatabaseFixture) -> AsyncIterator[Site]:
    """A web process that lets webhooks be on this machine, and an admin."""
    async with serving(database_url, redis_url, database, DIALER_WEBHOOK_ALLOWED_HOSTS="127.0.0.1") as site:
        await site.user(EMAIL, PASSWORD, Role.ADMIN)
        yield site


async def test_one_is_added_and_its_deliveries_are_shown_and_sent_again(hooked: Site) -> None:
    browser = BrowserSession(hooked)
    await browser.sign_in()
    async with post(hooked.database) as mail, target() as receiver:
        wrong = await browser.post(LIST, {"url": "https://10.0.0.1/<b>", "event:run.started": "1"})
        assert (wrong.status, 'aria-invalid="true"' in wrong.body.decode()) == (422, True)
        assert 'value="https://10.0.0.1/&lt;b&gt;"' in wrong.body.decode()
        assert (await browser.post(LIST, {"url": receiver.url})).status == 422, "without an event"
        added = await browser.post(LIST, {"url": receiver.url, "event:run.started": "1", "event:run.paused": "1"})
        assert (added.status, added.headers["Location"]) == (303, LIST)
        page = await browser.get(LIST)
        [key] = re.findall(r"whsec_[A-Za-z0-9+/=]+", page.body.decode())
        assert "whsec_" not in (await browser.get(LIST)).body.decode(), "it is shown once"
        [webhook] = await mail.webhooks.of(hooked.business)
        assert webhook.events == ["run.started", "run.paused"]
        receiver.answer = lambda request: 200 if request.event[0] == "run.started" else 500
        run = await hooked.load(1, start=False, name="Renewals")
        await mail.publish(hooked.business, ("run.started", run), ("run.paused", run))
        await mail.send()
        receiver.received[0].verify(key)
        place = f"{LIST}/{webhook.webhook_id}"
        shown = text_of(await browser.get(place))
        for sentence in (
            "· Renewals",
            "A campaign has started",
            "Delivered",
            "answered 200",
            "A campaign was paused",
            "Waiting",
            "answered 500 · 1 try · next try",
            "Failing",
        ):
            assert sentence in shown, sentence
        assert "Delivered" in text_of(await browser.get(f"{place}?status=delivered"))
        assert "A campaign has started" not in text_of(await browser.get(f"{place}?status=pending"))
        receiver.answer = lambda _: 200
        [newest, oldest] = await mail.webhooks.page(hooked.business, webhook.webhook_id, statuses=None, before=None, limit=9)
        for delivery in (newest, oldest):
            again = await browser.post(f"{place}/deliveries/{delivery.delivery_id}/redeliver")
            assert (again.status, again.headers["Location"]) == (303, place)
        assert "sent again now" in text_of(await browser.get(place))
        await mail.send()
        assert len(receiver.received) == 4
        assert "Waiting" not in text_of(await browser.get(place)).split("Given up")[1]
        assert "Delete this webhook?" in text_of(await browser.get(f"{place}/delete"))
        assert (await browser.post(f"{place}/delete")).headers["Location"] == LIST
        assert "There are no webhooks" in text_of(await browser.get(LIST))
        assert (await browser.get(place)).status == 404


async def test_only_an_admin_of_the_business_sees_them(hooked: Site) -> None:
    async with post(hooked.database) as mail:
        await hooked.user("op@example.com", PASSWORD, Role.OPERATOR)
        browser, admin = BrowserSession(hooked), BrowserSession(hooked)
        await browser.sign_in("op@example.com")
        await admin.sign_in()
        webhook, _ = await mail.add(hooked.rival, "https://example.com/")
        own, _ = await mail.add(hooked.business, "https://example.com/")
        for path in (LIST, f"{LIST}/{own}", f"{LIST}/{own}/delete"):
            assert (await browser.get(path)).status == 403
        assert (await browser.post(f"{LIST}/{own}/delete")).status == 403
        for path in (f"{LIST}/{webhook}", f"{LIST}/{webhook}/delete"):
            assert (await admin.get(path)).status == 404
        assert (await admin.post(f"{LIST}/{webhook}/delete")).status == 404
