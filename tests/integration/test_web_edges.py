"""Edge cases of the web process: ids of any size, empty parameters, a PUBLIC_URL with a path, http instead of https, no account."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from twilio.request_validator import RequestValidator

from dialer.model import Reference
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of
from tests.rows import SECRET_KEY
from tests.web_site import ACCOUNT, AUTH_TOKEN, RUNS, callback, serving

if TYPE_CHECKING:
    from tests.rows import DatabaseFixture
    from tests.web_site import Response, Site

NUMBERS = [0, 1, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 10**19, 10**30, -1]
IDS = [*map(str, NUMBERS), "0" * 25 + "1", "²", "1.0", "1e3", " 1", "+1", "x" * 300, "\x00", "\u0661"]
PATHS = (
    "/api/outbound/runs/{}",
    "/api/outbound/runs/{}/jobs",
    "/api/outbound/runs/{}/jobs/{}",
    "/api/outbound/runs/{}/events",
    "/api/outbound/runs/{}/export.csv",
    "/api/outbound/runs?cursor={}",
    "/api/outbound/runs?limit={}",
    "/runs/{}",
    "/runs/{}/jobs/{}",
    "/runs?before={}",
    "/runs/1?after={}",
)
POSTS = (
    "/api/outbound/runs/{}/pause",
    "/api/outbound_calls/jobs/{}/cancel",
    "/api/outbound/runs/{}/jobs/{}/cancel",
    "/callbacks/{}-1-" + "0" * 32,
    "/callbacks/1-{}-" + "0" * 32,
    "/twiml/{}-{}-" + "f" * 32,
)


def with_id(path: str, text: str) -> str:
    return path.replace("{}", quote(text))


async def test_no_id_causes_a_server_error(site: Site) -> None:
    # A run that has ended, so that its event stream ends as well.
    assert (await site.post(f"/api/outbound_calls/jobs/{await site.load(1)}/cancel")).json["status"] == "cancelled"
    answers = {}
    for path, text in itertools.product(PATHS, IDS):
        answers[path, text] = (await site.get(with_id(path, text))).status
    for path, text in itertools.product(POSTS, IDS):
        answers[path, text] = (await site.post(with_id(path, text))).status
    for number in NUMBERS:
        answers["stop", str(number)] = (await site.post("/api/outbound/stop-queue", {"run_id": number})).status
        path = f"/api/outbound/runs/1/jobs/{number}/resolve"
        answers["resolve", str(number)] = (await site.post(path, {"as": "over"})).status
    assert {asked: status for asked, status in answers.items() if status >= 500} == {}


@pytest.mark.parametrize("query", ["status=", "limit=", "cursor=", "status=running&cursor="])
async def test_an_empty_parameter_is_rejected_by_name(site: Site, query: str) -> None:
    run_id = await site.load(1)
    for path in (RUNS, f"{RUNS}/{run_id}/jobs", f"{RUNS}/{run_id}/jobs"):
        response = await site.get(f"{path}?{query}")
        assert (response.status, response.code) == (422, "invalid")
        [detail] = response.json["details"]
        assert (f"{detail['field']}=" in query, detail["message"]) == (True, "must not be empty")
    assert (await site.get(f"{RUNS}/{run_id}/jobs?outcome=")).status == 422
    assert (await site.get(f"{RUNS}/{run_id}/export.csv?mark=")).status == 422


@pytest.mark.parametrize("path", ["/api/outbound_calls/jobs/{}/cancel", "/api/outbound/stop-queue"])
async def test_the_same_key_with_another_wait_is_another_request(site: Site, path: str) -> None:
    run_id = await site.load(2)
    asked = {"run_id": run_id} if "stop" in path else {}
    key = {"Idempotency-Key": "once"}
    first = await site.post(path.format(run_id), asked, headers=key)
    again = await site.post(path.format(run_id), asked, headers=key)
    assert (first.status, again.status, first.body) == (200, 200, again.body)
    other = await site.post(path.format(run_id), {**asked, "wait": True}, headers=key)
    assert (other.status, other.code) == (409, "idempotency_conflict")


PATH_URL = "https://example.com/ringing/dialer"


@pytest.mark.parametrize("stripped", [True, False])
async def test_a_public_url_with_a_path(database_url: str, redis_url: str, database: DatabaseFixture, stripped: bool) -> None:  # noqa: FBT001
    async with serving(database_url, redis_url, database, PUBLIC_URL=PATH_URL) as site:
        await site.load(1)
        [call], _ = await database.claim(site.business)

        async def report(kind: str, status: str) -> Response:
            path = f"/{kind}/{Reference(call.business_id, call.attempt_id, call.nonce)}"
            form = callback(call, status)
            signature = RequestValidator(AUTH_TOKEN).compute_signature(PATH_URL + path, form)
            asked = path if stripped else f"/ringing/dialer{path}"
            return await site.request("POST", asked, token=None, data=form, headers={"X-Twilio-Signature": signature})

        assert (await report("callbacks", "ringing")).status == 204
        greeted = await report("twiml", "in-progress")
        assert (greeted.status, b"<Say" in greeted.body) == (200, True)
        refused = await site.request("POST", "/ringing/dialer/callbacks/nonsense", token=None, data={})
        assert (refused.status, refused.code) == (403, "unsigned")


async def test_a_call_is_verified_by_the_account_that_placed_it(site: Site) -> None:
    await site.load(2)
    attempts, _ = await site.database.claim(site.business)
    theirs = "AC" + "7" * 32
    # The business now has its own account; the first call was placed with the default account, the second with its own.
    await site.database.own_account(site.business, theirs, "their own token")
    for attempt, account in zip(attempts, (ACCOUNT, theirs), strict=True):
        await site.database.pool.execute("UPDATE dialer.attempts SET account_sid = $2 WHERE id = $1", attempt.attempt_id, account)
    first, second = attempts
    assert (await site.post_callback(first, "ringing", auth_token="their own token")).status == 403
    assert (await site.post_callback(first, "ringing")).status == 204
    assert (await site.post_callback(second, "ringing")).status == 403
    assert (await site.post_callback(second, "ringing", auth_token="their own token")).status == 204


HTTP = {"Origin": "http://dialer.example.com", "Host": "dialer.example.com"}


@pytest.mark.parametrize("language", ["en", "he"])
async def test_a_page_opened_over_http_says_where_to_sign_in(site: Site, language: str) -> None:
    await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site, language)
    form = {"email": EMAIL, "password": PASSWORD, "next": "/runs/7"}
    response = await browser.post("/login", form, **HTTP)
    assert response.status == 400
    assert 'href="https://dialer.example.com/login?next=%2Fruns%2F7"' in response.body.decode()
    assert ("cannot sign in here" if language == "en" else "אי אפשר להתחבר כאן") in text_of(response)
    assert browser.cookies == {}
    response = await browser.get("/login", **{"X-Forwarded-Proto": "http", "Host": "dialer.example.com"})
    assert 'href="https://dialer.example.com/login"' in response.body.decode()
    # Over https, and on localhost, where browsers do not require it.
    for headers in (
        {"Origin": "https://dialer.example.com", "X-Forwarded-Proto": "http"},
        {"Origin": "http://localhost", "Host": "localhost"},
    ):
        assert (await BrowserSession(site).post("/login", form, **headers)).status == 303


async def signed_in_from(site: Site, forwarded: str) -> str:
    await BrowserSession(site).post("/login", {"email": EMAIL, "password": PASSWORD}, **{"X-Forwarded-For": forwarded})
    found: str = await site.database.pool.fetchval("SELECT address FROM dialer.sessions ORDER BY id DESC LIMIT 1")
    return found


async def test_the_client_address_comes_from_trusted_proxies(database_url: str, redis_url: str, database: DatabaseFixture) -> None:
    async with serving(database_url, redis_url, database, DIALER_TRUSTED_PROXIES="127.0.0.0/8, 10.1.0.7") as site:
        await site.user(EMAIL, PASSWORD)
        assert await signed_in_from(site, "203.0.113.5") == "203.0.113.5"
        assert await signed_in_from(site, "6.6.6.6, 203.0.113.5:4711, 10.1.0.7") == "203.0.113.5"
        assert await signed_in_from(site, "2001:db8::1") == "2001:db8::1"
        assert await signed_in_from(site, "nonsense") == "127.0.0.1"


async def test_the_client_cannot_choose_its_address(site: Site) -> None:
    await site.user(EMAIL, PASSWORD)
    assert await signed_in_from(site, "203.0.113.5") == "127.0.0.1"


@pytest.mark.parametrize("module", ["web", "actors"])
async def test_without_the_account_a_business_needs_a_process_does_not_start(
    module: str, database_url: str, redis_url: str, database: DatabaseFixture
) -> None:
    await database.business()
    names = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PUBLIC_URL": "https://dialer.example.com",
        "SECRET_KEY": SECRET_KEY,
        "PORT": "0",
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TWILIO_", "DIALER_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, env={**clean, **names}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    lines = out.decode().splitlines()
    assert process.returncode == 2, lines
    assert [line.split()[0] for line in lines] == ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"], lines


async def test_no_account_is_needed_while_every_business_has_its_own(database_url: str, redis_url: str, database: DatabaseFixture) -> None:
    await database.own_account(await database.business(), "AC" + "7" * 32, "their own token")
    async with serving(database_url, redis_url, database, TWILIO_ACCOUNT_SID="", TWILIO_AUTH_TOKEN="") as site:
        assert (await site.get("/readyz", token=None)).status == 200
