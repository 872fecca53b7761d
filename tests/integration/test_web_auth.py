"""Who may ask: tokens, sessions, roles, and requests that another site has sent."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from aiohttp import web as http

from dialer.config import Settings
from dialer.model import Role
from dialer.sealing import Seal
from tests.web_site import PUBLIC, RUNS, leads
from web import auth, keys
from web.passwords import MAX_FAILURES, Passwords

if TYPE_CHECKING:
    from tests.web_site import Said, Site

SAME = {"Sec-Fetch-Site": "same-origin"}


async def session(site: Site, email: str = "dana@example.com", role: Role = Role.OPERATOR) -> str:
    """The cookie of a signed-in user, as sign_in hands it out."""
    await site.user(email, "correct horse", role)
    user = await site.shop.businesses.user_by_email(email)
    assert user
    app = site.client.server.app  # type: ignore[attr-defined]
    request = _Request(app)
    response = http.Response()
    auth.sign_in(request, response, user)  # type: ignore[arg-type]
    cookie = response.cookies[auth.COOKIE]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "Lax")
    return cookie.value


class _Request:
    """As much of a request as sign_in looks at."""

    def __init__(self, app: http.Application) -> None:
        self.app = app


async def by_cookie(site: Site, method: str, path: str, cookie: str, headers: dict[str, str], body: object = None) -> Said:
    return await site.ask(method, path, token=None, headers={"Cookie": f"{auth.COOKIE}={cookie}", **headers}, json=body)


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic b3BlcmF0b3I="}, {"Authorization": "Bearer"}, {"Cookie": "session=x"}],
)
async def test_nobody_in_particular_gets_401(site: Site, headers: dict[str, str]) -> None:
    for path in (RUNS, f"{RUNS}/1", f"{RUNS}/1/events"):
        said = await site.get(path, token=None, headers=headers)
        assert (said.status, said.code) == (401, "unauthorized")
        assert said.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_revoked_token_is_no_token(site: Site) -> None:
    await site.shop.pool.execute("UPDATE dialer.tokens SET revoked_at = now() WHERE hash = $1", hashlib.sha256(b"operator").digest())
    assert (await site.get(RUNS)).status == 401
    assert (await site.get(RUNS, token="viewer")).status == 200


async def test_a_viewer_reads_and_changes_nothing(site: Site) -> None:
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
        said = await site.post(path, body, token="viewer")
        assert (said.status, said.code) == (403, "forbidden"), path
    assert (await site.shop.seen(site.business, run_id)).status == "running"
    assert (await site.post(f"{RUNS}/{run_id}/pause", token="admin")).status == 200


async def test_a_session_reads_and_changes(site: Site) -> None:
    cookie = await session(site)
    run_id = await site.load(1)
    assert (await by_cookie(site, "GET", f"{RUNS}/{run_id}", cookie, {})).status == 200
    assert (await by_cookie(site, "POST", f"{RUNS}/{run_id}/pause", cookie, SAME)).status == 200
    [actor] = await site.shop.pool.fetch("SELECT actor FROM dialer.audit_log WHERE action = 'run.pause'")
    assert actor["actor"].startswith("user:")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}],
)
async def test_another_site_cannot_use_the_session(site: Site, headers: dict[str, str]) -> None:
    cookie = await session(site)
    run_id = await site.load(1)
    said = await by_cookie(site, "POST", f"{RUNS}/{run_id}/pause", cookie, headers)
    assert (said.status, said.code) == (403, "cross_site")
    assert (await site.shop.seen(site.business, run_id)).status == "running"


async def test_our_own_pages_may_use_it_in_an_older_browser(site: Site) -> None:
    cookie = await session(site)
    run_id = await site.load(1)
    assert (await by_cookie(site, "POST", f"{RUNS}/{run_id}/pause", cookie, {"Origin": PUBLIC})).status == 200


async def test_a_new_password_ends_the_sessions(site: Site) -> None:
    cookie = await session(site)
    assert (await by_cookie(site, "GET", RUNS, cookie, {})).status == 200
    await site.shop.pool.execute("UPDATE dialer.users SET password_hash = 'another'")
    assert (await by_cookie(site, "GET", RUNS, cookie, {})).status == 401


async def test_a_session_sealed_for_something_else_is_none(site: Site) -> None:
    cookie = await session(site)
    settings = Settings.model_validate({"SECRET_KEY": "a secret of forty characters, for a test"})
    secret = settings.secret_key.get_secret_value()
    content = Seal(secret, "session").open(cookie.encode())
    forged = Seal(secret, "account").close(content).decode()
    assert (await by_cookie(site, "GET", RUNS, forged, {})).status == 401
    assert (await by_cookie(site, "GET", RUNS, cookie[:-2] + "xx", {})).status == 401


async def test_passwords_are_checked_and_guessing_is_slowed_down(site: Site) -> None:
    await site.user("dana@example.com", "correct horse")
    passwords: Passwords = site.client.server.app[keys.PASSWORDS]  # type: ignore[attr-defined]
    assert await passwords.check("::1", "Dana@Example.com ", "correct horse")
    assert await passwords.check("::1", "nobody@example.com", "correct horse") is None
    assert await passwords.check("::1", "dana\x00@example.com", "x\ud800") is None
    for _ in range(MAX_FAILURES):
        assert await passwords.check("::1", "dana@example.com", "wrong") is None
    with pytest.raises(Exception, match="too_many_attempts") as refused:
        await passwords.check("::1", "dana@example.com", "correct horse")
    assert 0 < int(refused.value.headers["Retry-After"]) <= 901  # type: ignore[attr-defined]
    assert await passwords.check("::2", "dana@example.com", "correct horse")
