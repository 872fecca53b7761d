"""Behind nginx and behind HAProxy, as ops/ configures them: streams flow, uploads pass, and nobody chooses an address."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import aiohttp
import psutil
import pytest
import pytest_asyncio

from ringmaster.local.ports import LOCALHOST
from tests.browser_session import EMAIL, PASSWORD, BrowserSession
from tests.chaos.polling import until
from tests.proxies import CLIENT, Proxy, PublicAddress, fronted
from tests.web_site import RUNS, Site, leads, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.rows import DatabaseFixture

MEGABYTE = 1 << 20
# Both ends of the one for requests, of those of the checks of health, and the listener.
KEPT = 15
READY_SECONDS = 30.0


@pytest_asyncio.fixture
async def direct(database_url: str, redis_url: str, database: DatabaseFixture) -> AsyncIterator[Site]:
    """A web process that believes a proxy on this machine."""
    async with serving(database_url, redis_url, database, DIALER_TRUSTED_PROXIES=LOCALHOST) as site:
        yield site


@pytest_asyncio.fixture(params=Proxy)
async def front(request: pytest.FixtureRequest, direct: Site, tmp_path: Path) -> AsyncIterator[PublicAddress]:
    async with fronted(request.param, int(direct.client.port or 0), tmp_path / "proxy") as front:
        yield front


@pytest_asyncio.fixture
async def site(direct: Site, front: PublicAddress) -> AsyncIterator[Site]:
    """The same web process, through the proxy."""
    async with aiohttp.ClientSession(front.url, connector=front.connector(), cookie_jar=aiohttp.DummyCookieJar()) as session:
        through = Site(cast("Any", session), direct.database)
        through.business, through.rival = direct.business, direct.rival
        yield through


async def test_the_main_job_its_signed_callbacks_and_its_stream(site: Site) -> None:
    run_id = await site.load(2)
    attempts, _ = await site.database.claim(site.business)
    async with site.listen(run_id) as listening:
        assert (await listening.next()).name == "reset"
        assert (await site.post_callback(attempts[0], "completed", auth_token="the token of somebody else")).status == 403
        assert (await site.post_callback(attempts[0], "completed")).status == 204
        # It arrives while the stream goes on: nothing waits for its end, or until a buffer is full.
        assert (await listening.until("job.changed"))[-1].data["run_id"] == run_id
        assert (await site.post(f"/api/outbound_calls/jobs/{run_id}/cancel", {"hang_up": True})).status == 200
        assert (await site.post_callback(attempts[1], "completed")).status == 204
        assert (await listening.until("end"))[-1].data["run"]["status"] == "cancelled"
        assert await listening.ended()


async def test_a_list_of_31_mb_passes_and_the_web_process_itself_refuses_33(site: Site) -> None:
    # White space costs nothing to read.
    body = json.dumps({"leads": leads(2), "start": False}).encode()
    headers = {"Content-Type": "application/json"}
    response = await site.request("POST", RUNS, data=BytesIO(body.ljust(31 * MEGABYTE)), headers=headers)
    assert (response.status, response.json["accepted"]) == (201, 2)
    response = await site.request("POST", RUNS, data=BytesIO(body.ljust(33 * MEGABYTE)), headers=headers)
    assert response.status == 413, response.body
    assert response.code == "too_large"


async def test_the_address_is_the_one_the_proxy_saw_and_http_leads_to_https(site: Site, front: PublicAddress) -> None:
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    response = await browser.post("/login", {"email": EMAIL, "password": PASSWORD}, **{"X-Forwarded-For": "203.0.113.5"})
    assert response.status == 303
    # The cookie is sent back over https only, and the page is not said to be opened over http.
    assert "Secure" in response.headers["Set-Cookie"]
    assert await site.database.pool.fetchval("SELECT address FROM dialer.sessions") == CLIENT
    plain = await site.get(f"{front.plain_url}/runs?only=running", token=None, allow_redirects=False)
    assert plain.status == 301
    there = urlsplit(plain.headers["Location"])
    assert (there.scheme, there.hostname, there.path, there.query) == ("https", LOCALHOST, "/runs", "only=running")
    assert (await site.get("/metrics", token=None)).status == 404
    assert (await site.get("/readyz", token=None)).status == 200


async def test_connections_to_the_web_process_are_kept(site: Site, direct: Site) -> None:
    for _ in range(20):
        assert (await site.get(RUNS)).status == 200
    # Those that were closed stay with the kernel for a minute.
    ends = [end for connection in psutil.net_connections("tcp") for end in (connection.laddr, connection.raddr) if end]
    assert sum(end.port == direct.client.port for end in ends) <= KEPT


@pytest.mark.parametrize("front", [Proxy.HAPROXY], indirect=True)
async def test_callbacks_reach_a_web_process_that_is_not_ready(site: Site) -> None:
    await site.load(1)
    attempts, _ = await site.database.claim(site.business)
    version = await site.database.pool.fetchrow("DELETE FROM dialer.schema_migrations RETURNING *")

    async def is_out() -> bool:
        return (await site.get("/", token=None)).status == 503

    await until(is_out, READY_SECONDS, "the process is left out")
    assert version
    assert (await site.post_callback(attempts[0], "completed")).status == 204
