"""Authentication and authorization: tokens, sessions, roles, and requests sent by another site."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher

from dialer.config import Settings
from dialer.model import Role
from dialer.sealing import Seal
from tests.browser_session import BrowserSession
from tests.rows import SECRET_KEY
from tests.web_site import PUBLIC, RUNS, leads, serving
from web.access import auth
from web.access.passwords import CHECK_PATIENCE_SECONDS, CHECKS_WAITING_PER_CROWD, NOBODYS_HASH
from web.access.sign_in_delays import MAX_DELAY_SECONDS
from web.server import keys

if TYPE_CHECKING:
    from asyncpg import Record

    from tests.rows import DatabaseFixture
    from tests.web_site import Response, Site
    from web.access.passwords import Passwords

SAME = {"Sec-Fetch-Site": "same-origin"}


async def session(site: Site, email: str = "dana@example.com", role: Role = Role.OPERATOR) -> str:
    """The cookie of a signed-in user."""
    await site.user(email, "correct horse", role)
    browser = BrowserSession(site)
    response = await browser.sign_in(email, "correct horse")
    [cookie] = response.headers.getall("Set-Cookie")
    assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=Lax"))
    return browser.cookies[auth.COOKIE]


async def by_cookie(site: Site, method: str, path: str, cookie: str, headers: dict[str, str], body: object = None) -> Response:
    return await site.request(method, path, token=None, headers={"Cookie": f"{auth.COOKIE}={cookie}", **headers}, json=body)


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic b3BlcmF0b3I="}, {"Authorization": "Bearer"}, {"Cookie": "session=x"}],
)
async def test_a_request_without_valid_credentials_gets_401(site: Site, headers: dict[str, str]) -> None:
    for path in (RUNS, f"{RUNS}/1", f"{RUNS}/1/events"):
        response = await site.get(path, token=None, headers=headers)
        assert (response.status, response.code) == (401, "unauthorized")
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_revoked_token_is_rejected(site: Site) -> None:
    await site.database.pool.execute("UPDATE dialer.tokens SET revoked_at = now() WHERE hash = $1", hashlib.sha256(b"operator").digest())
    assert (await site.get(RUNS)).status == 401
    assert (await site.get(RUNS, token="viewer")).status == 200


async def test_a_viewer_can_read_but_not_change(site: Site) -> None:
    run_id = await site.load(1)
    [job] = (await site.get(f"{RUNS}/{run_id}/jobs", token="viewer")).json["items"]
    for path, body in (
        (RUNS, {"leads": leads(1)}),
        (f"{RUNS}/{run_id}/pause", None),
        (f"/api/outbound_calls/jobs/{run_id}/cancel", None),
        ("/api/outbound/stop-queue", {"run_id": run_id}),
        (f"{RUNS}/{run_id}/jobs/{job['job_id']}/cancel", None),
        (f"{RUNS}/{run_id}/jobs/{job['job_id']}/resolve", {"as": "over"}),
    ):
        response = await site.post(path, body, token="viewer")
        assert (response.status, response.code) == (403, "forbidden"), path
    assert (await site.database.checked_run(site.business, run_id)).status == "running"
    assert (await site.post(f"{RUNS}/{run_id}/pause", token="admin")).status == 200


async def test_a_session_reads_and_changes(site: Site) -> None:
    cookie = await session(site)
    run_id = await site.load(1)
    assert (await by_cookie(site, "GET", f"{RUNS}/{run_id}", cookie, {})).status == 200
    assert (await by_cookie(site, "POST", f"{RUNS}/{run_id}/pause", cookie, SAME)).status == 200
    [actor] = await site.database.pool.fetch("SELECT actor FROM dialer.audit_log WHERE action = 'run.pause'")
    assert actor["actor"].startswith("user:")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}],
)
async def test_another_site_cannot_use_the_session(site: Site, headers: dict[str, str]) -> None:
    cookie = await session(site)
    run_id = await site.load(1)
    response = await by_cookie(site, "POST", f"{RUNS}/{run_id}/pause", cookie, headers)
    assert (response.status, response.code) == (403, "cross_site")
    assert (await site.database.checked_run(site.business, run_id)).status == "running"


async def test_our_own_pages_may_use_it_in_an_older_browser(site: Site) -> None:
    cookie = await session(site)
    run_id = await site.load(1)
    assert (await by_cookie(site, "POST", f"{RUNS}/{run_id}/pause", cookie, {"Origin": PUBLIC})).status == 200


async def test_a_new_password_ends_the_sessions(site: Site) -> None:
    cookie = await session(site)
    assert (await by_cookie(site, "GET", RUNS, cookie, {})).status == 200
    await site.database.pool.execute("UPDATE dialer.users SET password_hash = 'another'")
    assert (await by_cookie(site, "GET", RUNS, cookie, {})).status == 401


async def test_a_session_sealed_for_another_purpose_is_rejected(site: Site) -> None:
    cookie = await session(site)
    settings = Settings.model_validate({"SECRET_KEY": SECRET_KEY})
    secret = settings.secret_key.get_secret_value()
    content = Seal(secret, "session").open(cookie.encode())
    forged = Seal(secret, "account").close(content).decode()
    assert (await by_cookie(site, "GET", RUNS, forged, {})).status == 401
    assert (await by_cookie(site, "GET", RUNS, cookie[:-2] + "xx", {})).status == 401


async def sessions_of(site: Site) -> list[Record]:
    found: list[Record] = await site.database.pool.fetch("SELECT * FROM dialer.sessions ORDER BY id")
    return found


async def test_a_session_row_records_address_and_user_agent(site: Site) -> None:
    await site.user("dana@example.com", "correct horse")
    browser = BrowserSession(site)
    await browser.post(
        "/login",
        {"email": "dana@example.com", "password": "correct horse"},
        **{"User-Agent": "Firefox " + "x" * 900, "X-Forwarded-For": "10.9.9.9"},
    )
    [row] = await sessions_of(site)
    assert (row["business_id"], row["address"], len(row["user_agent"])) == (site.business, "127.0.0.1", 200)
    assert row["ended_at"] is None


async def test_a_copied_cookie_does_not_outlive_the_sign_out(site: Site) -> None:
    await site.user("dana@example.com", "correct horse")
    browser = BrowserSession(site)
    await browser.sign_in("dana@example.com")
    copied = browser.cookies[auth.COOKIE]
    assert (await by_cookie(site, "GET", RUNS, copied, {})).status == 200
    assert (await browser.post("/logout")).status == 303
    assert (await by_cookie(site, "GET", RUNS, copied, {})).status == 401
    [row] = await sessions_of(site)
    assert row["ended_at"] is not None


async def test_a_session_expires_and_others_do_not(site: Site) -> None:
    cookie = await session(site)
    other = await session(site, "noa@example.com")
    await site.database.pool.execute("UPDATE dialer.sessions SET expires_at = now() WHERE id = (SELECT min(id) FROM dialer.sessions)")
    assert (await by_cookie(site, "GET", RUNS, cookie, {})).status == 401
    assert (await by_cookie(site, "GET", RUNS, other, {})).status == 200


async def test_a_session_with_a_locked_row_works(site: Site) -> None:
    cookie = await session(site)
    await site.database.pool.execute("UPDATE dialer.sessions SET last_seen_at = now() - interval '1 hour'")
    async with site.database.pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT FROM dialer.sessions FOR UPDATE")
        assert (await by_cookie(site, "GET", RUNS, cookie, {})).status == 200


async def test_the_right_password_signs_in_after_ten_wrong_ones_from_the_same_address(site: Site) -> None:
    await site.user("dana@example.com", "correct horse")
    passwords(site).delays.longest_seconds = 0.05
    waits_long(site)
    browser = BrowserSession(site)
    for _ in range(10):
        assert (await browser.sign_in("dana@example.com", "wrong")).status == 401
    assert (await BrowserSession(site).sign_in("dana@example.com", "correct horse")).status == 303
    # Concurrent wrong tries from the same address do not lock it out either.
    responses = await asyncio.gather(
        *(browser.sign_in("dana@example.com", "wrong") for _ in range(10)), BrowserSession(site).sign_in("dana@example.com")
    )
    assert responses[-1].status == 303


async def test_tries_on_other_accounts_from_the_same_address_lock_no_one_out(site: Site) -> None:
    await site.user("dana@example.com", "correct horse")
    passwords(site).delays.longest_seconds = 0.0
    waits_long(site)
    browser = BrowserSession(site)
    responses = await asyncio.gather(
        *(browser.sign_in(f"{number}@example.com", "wrong") for number in range(CHECKS_WAITING_PER_CROWD + 5)),
        BrowserSession(site).sign_in("dana@example.com"),
    )
    assert (responses[-1].status, {response.status for response in responses[:-1]}) == (303, {401})


async def test_a_recognized_browser_is_not_slowed_down_by_other_tries(site: Site) -> None:
    await site.user("dana@example.com", "correct horse")
    browser = BrowserSession(site)
    await browser.sign_in("dana@example.com")
    await site.database.pool.execute("UPDATE dialer.sessions SET expires_at = now()")
    delays = passwords(site).delays
    counted = [("address", "127.0.0.1"), ("account", "dana@example.com")]
    for _ in range(30):
        delays._add(counted[0])
        delays._add(counted[1])
    assert delays.seconds(counted) == MAX_DELAY_SECONDS
    delays.longest_seconds = 1e9  # a delayed try would never return
    assert (await browser.sign_in("dana@example.com")).status == 303


def waits_long(site: Site) -> None:
    """A busy machine takes longer than a try may wait to compute so many hashes; whether anyone is locked out does not depend on that."""
    passwords(site).checking.patience_seconds = CHECK_PATIENCE_SECONDS * 10


def passwords(site: Site) -> Passwords:
    found: Passwords = site.client.server.app[keys.PASSWORDS]  # type: ignore[attr-defined]
    return found


async def test_passwords_are_checked(site: Site) -> None:
    await site.user("dana@example.com", "correct horse")
    known = passwords(site)
    assert await known.check("::1", "Dana@Example.com ", "correct horse")
    assert await known.check("::1", "nobody@example.com", "correct horse") is None
    assert await known.check("::1", "dana\x00@example.com", "x\ud800") is None


def test_an_unknown_account_costs_what_a_known_one_costs() -> None:
    assert not PasswordHasher().check_needs_rehash(NOBODYS_HASH)


async def test_a_session_outlives_a_change_of_the_key(database_url: str, redis_url: str, database: DatabaseFixture) -> None:
    """While the former key is still behind the new one."""
    async with serving(database_url, redis_url, database) as site:
        cookie = await session(site)
    for key, status in ((f"{'n' * 40},{SECRET_KEY}", 200), ("n" * 40, 401)):
        await database.pool.execute("DELETE FROM dialer.tokens")
        async with serving(database_url, redis_url, database, SECRET_KEY=key) as site:
            assert (await by_cookie(site, "GET", RUNS, cookie, SAME)).status == status
