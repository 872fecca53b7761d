"""Health of all businesses and rejected commands, for whoever operates the installation, and for a business."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest_asyncio
from redis.asyncio import from_url

from dialer.model import Role
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of
from tests.web_site import hash_of
from web.server import keys

if TYPE_CHECKING:
    from tests.web_site import Site

OPS = "ops@example.com"


@pytest_asyncio.fixture
async def ops(site: Site) -> BrowserSession:
    """A signed-in user of the installation."""
    await site.database.user(0, OPS, Role.ADMIN, hash_of(PASSWORD))
    browser = BrowserSession(site)
    await browser.sign_in(OPS)
    return browser


async def test_the_worst_business_comes_first(site: Site, ops: BrowserSession) -> None:
    database = site.database
    quiet = text_of(await ops.get("/health?only=trouble"))
    assert "Nothing is wrong with any business" in quiet
    run = await site.load(4)
    await database.pool.execute("UPDATE dialer.businesses SET stopped_at = now() WHERE business_id = $1", site.rival)
    await database.pool.execute(
        "UPDATE outbound_call_runs SET started_at = started_at - interval '5 minutes' WHERE id = $1 AND business_id = $2",
        run,
        site.business,
    )
    await database.business()
    page = await ops.get("/health")
    shown = text_of(page)
    assert shown.index("Ours") < shown.index("Theirs") < shown.index("Shop")
    assert "No worker drives its campaigns" in shown
    assert "256 of 256 shares" in shown
    wall = text_of(await ops.get("/health?only=trouble"))
    assert "Theirs" in wall
    assert "Shop" not in wall
    # Each of what else can be wrong.
    await database.claim(site.business)
    await database.pool.execute(
        "UPDATE dialer.attempts SET state = 'unknown', send_by = now() - interval '5 minutes' WHERE business_id = $1", site.business
    )
    await database.pool.execute("INSERT INTO dialer.stalls (business_id, reason) VALUES ($1, 'account')", site.rival)
    await database.pool.execute(
        "INSERT INTO dialer.inbox (business_id, id, digest, type, requested_by, received_at, expires_at)"
        " VALUES ($1, 'x', '', 'run.pause', 'crm', now() - interval '1 minute', now() + interval '1 day')",
        site.rival,
    )
    await database.pool.execute(
        "UPDATE outbound_call_runs SET status = 'paused', last_error = 'x',"
        " last_error_cause = jsonb_build_object('kind', 'account_refused', 'code', 20003) WHERE id = $1 AND business_id = $2",
        run,
        site.business,
    )
    wall = text_of(await ops.get("/health/fragment?only=trouble"))
    for sentence in ("has not confirmed: 3", "code 20003", "Commands are not carried out", "credentials"):
        assert sentence in wall, sentence
    assert "html lang" not in wall
    assert re.search(r"Theirs \d+ Trouble \d of 3 \d 1:\d\d ", wall), "the age of its oldest command"


async def test_rejected_commands_are_shown_to_whom_they_concern(site: Site, ops: BrowserSession) -> None:
    await site.user(EMAIL, PASSWORD, Role.OPERATOR)
    await site.user("viewer@example.com", PASSWORD, Role.VIEWER)
    operator, viewer = BrowserSession(site), BrowserSession(site)
    await operator.sign_in()
    await viewer.sign_in("viewer@example.com")
    url = site.client.server.app[keys.SETTINGS].redis_url  # type: ignore[attr-defined]
    async with from_url(url) as client:
        for business, reason in ((site.business, "invalid_state"), (site.rival, "its own <b>"), ("<i>", "malformed")):
            entry: dict[Any, Any] = {
                "id": f"id-{business}",
                "type": "run.pause",
                "business_id": str(business),
                "run_id": "7",
                "reason": reason,
                "entry": "1-1",
            }
            await client.xadd("dialer:commands:rejected", entry)
    own = text_of(await operator.get("/settings/rejected"))
    assert "The campaign's state does not allow it" in own.replace("&#39;", "'")
    assert "its own" not in own
    everything = await ops.get("/rejected")
    assert "its own &lt;b&gt;" in everything.body.decode()
    assert "&lt;i&gt;" in everything.body.decode()
    assert (await viewer.get("/settings/rejected")).status == 403
    for path in ("/health", "/health/fragment", "/health?only=trouble"):
        assert (await operator.get(path)).status == 403
    assert (await BrowserSession(site).get("/health")).status == 303


async def test_without_redis_the_page_says_so(site_without_redis: Site) -> None:
    site = site_without_redis
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    await browser.sign_in()
    page = await browser.get("/settings/rejected")
    assert (page.status, "Redis, which keeps them, is not responding" in text_of(page)) == (200, True)
