"""What is asked of Twilio before an account or a caller id is stored: a definite no is an obstacle, anything else is none."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from aiohttp import BasicAuth
from aiohttp import web as http

from dialer.model import Role
from ringmaster.local.ports import free_port
from telephony import simulator
from telephony.twilio import account_reader
from tests.browser_session import EMAIL, PASSWORD, BrowserSession, text_of
from tests.web_site import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.rows import DatabaseFixture
    from tests.web_site import Response, Site

OWN, KEY = "AC" + "7" * 32, "SK" + "7" * 32
OURS, VERIFIED = "+972501110000", "+972501110001"
TOKEN = {"account_sid": OWN, "auth_token": "right"}
API_KEY = {"account_sid": OWN, "api_key_sid": KEY, "api_key_secret": "right", "signing_key": "x"}
PAGE = {"page": 0, "page_size": 1000, "next_page_uri": None}
UNUSABLE = {
    "missing": http.Response(status=404, body=b'{"code": 20404, "message": "x", "status": 404}', content_type="application/json"),
    "gateway": http.Response(status=401, body=b"<html>who are you?</html>", content_type="text/html"),
    "empty": http.Response(status=200, body=b"{}", content_type="application/json"),
    "nonsense": http.Response(status=200, body=b"[[[", content_type="application/json"),
}


class Twilio:
    """The resources of one account, in Twilio's own shapes; `fails` names what is answered in their place."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.status = "active"
        self.numbers, self.verified = [OURS], [VERIFIED]
        self.countries = {"IL", "US"}
        self.fails = ""
        self.hangs = False
        self.over = asyncio.Event()

    async def answer(self, request: http.Request) -> http.Response:
        if self.hangs:
            await self.over.wait()
        if self.fails:
            broken = UNUSABLE[self.fails]
            return http.Response(status=broken.status, body=broken.body, content_type=broken.content_type)
        who = BasicAuth.decode(request.headers["Authorization"])
        # An API key may not read its account.
        if who.password != "right" or (who.login == KEY and request.path.endswith(f"{OWN}.json")):
            return http.json_response({"code": 20003, "message": "Authenticate", "status": 401}, status=401)
        if "/DialingPermissions/Countries/" in request.path:
            country = request.path.rpartition("/")[2]
            return http.json_response({"iso_code": country, "low_risk_numbers_enabled": country in self.countries})
        match request.path.rpartition("/")[2]:
            case "IncomingPhoneNumbers.json":
                return http.json_response({"incoming_phone_numbers": [{"phone_number": number} for number in self.numbers], **PAGE})
            case "OutgoingCallerIds.json":
                return http.json_response({"outgoing_caller_ids": [{"phone_number": number} for number in self.verified], **PAGE})
        return http.json_response({"sid": OWN, "status": self.status, "type": "Full"})


@pytest_asyncio.fixture
async def twilio() -> AsyncIterator[Twilio]:
    found = Twilio()
    app = http.Application()
    app.router.add_get("/{path:.*}", found.answer)
    runner = http.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await http.TCPSite(runner, "127.0.0.1", int(found.url.rpartition(":")[2])).start()
    yield found
    found.over.set()
    await runner.cleanup()


@pytest_asyncio.fixture
async def asking(twilio: Twilio, database_url: str, redis_url: str, database: DatabaseFixture) -> AsyncIterator[Site]:
    async with _at(twilio.url, database_url, redis_url, database) as site:
        yield site


@asynccontextmanager
async def _at(url: str, database_url: str, redis_url: str, database: DatabaseFixture) -> AsyncIterator[Site]:
    async with serving(database_url, redis_url, database, TWILIO_API_URL=url) as site:
        yield site


async def patch(site: Site, **changes: Any) -> Response:  # noqa: ANN401 - any JSON
    return await site.request("PATCH", "/api/business", json=changes, token="admin")


def fault(answer: Response) -> tuple[int, list[str]]:
    return answer.status, [detail["field"] for detail in answer.json.get("details", [])]


async def test_a_definite_no_is_named(asking: Site, twilio: Twilio) -> None:
    refused = await patch(asking, provider_account={**TOKEN, "auth_token": "wrong"})
    assert fault(refused) == (422, ["provider_account.auth_token"])
    assert "check both" in refused.json["details"][0]["message"]
    wrong_key = {**API_KEY, "api_key_secret": "wrong"}
    assert fault(await patch(asking, provider_account=wrong_key)) == (422, ["provider_account.api_key_secret"])
    twilio.status = "suspended"
    suspended = await patch(asking, provider_account=TOKEN)
    assert fault(suspended) == (422, ["provider_account.account_sid"])
    assert "suspended" in suspended.json["details"][0]["message"]
    twilio.status, twilio.numbers = "active", ["+972501119999"]
    assert fault(await patch(asking, provider_account=TOKEN)) == (422, ["provider_account"])
    assert fault(await patch(asking, provider_account=TOKEN, caller_ids=[VERIFIED, OURS])) == (422, ["caller_ids.1"])
    assert (await asking.get("/api/business")).json["provider_account"] is None


@pytest.mark.parametrize("account", [TOKEN, API_KEY])
async def test_an_account_that_is_in_order_is_taken_and_its_numbers_are_watched(asking: Site, account: dict[str, Any]) -> None:
    assert (await patch(asking, provider_account=account, caller_ids=[VERIFIED, OURS])).status == 200
    assert fault(await patch(asking, caller_ids=[OURS, "+972501112222"])) == (422, ["caller_ids.1"])
    assert (await patch(asking, caller_ids=[OURS])).status == 200
    assert (await patch(asking, provider_account={"account_sid": OWN, "calls_per_second": 3})).status == 200


async def test_the_page_says_what_twilio_says_before_and_after_saving(asking: Site, twilio: Twilio) -> None:
    await asking.user(EMAIL, PASSWORD, Role.ADMIN)
    browser = BrowserSession(asking)
    await browser.sign_in()
    form = {**TOKEN, "caller_ids": f"{OURS}\n{VERIFIED}"}
    checking = "/settings/account/check"
    assert text_of(await browser.post(checking, {"account_sid": OWN})) == "", "it is incomplete"
    assert "Auth token: The provider refuses" in text_of(await browser.post(checking, {**form, "auth_token": "wrong"}))
    assert "nor verified there" in text_of(await browser.post(checking, {**form, "caller_ids": "+972501112222"}))
    accepted = "Twilio accepts this account. It has 2 numbers to call from."
    assert accepted in text_of(await browser.post(checking, form))
    assert (await asking.get("/api/business")).json["provider_account"] is None
    assert (await browser.post("/settings/account", form)).status == 303
    assert f"Saved. {accepted}" in text_of(await browser.get("/settings/account"))
    assert (await asking.get("/api/business")).json["caller_ids"] == [OURS, VERIFIED]
    twilio.fails = "gateway"
    assert "could not be asked" in text_of(await browser.post(checking, form))


async def test_a_country_that_the_account_may_not_call_is_named(asking: Site) -> None:
    await patch(asking, provider_account=TOKEN)
    assert fault(await patch(asking, allowed_countries=["IL", "FR", "US"])) == (422, ["allowed_countries.1"])
    assert (await patch(asking, allowed_countries=["IL", "US"])).status == 200


@pytest.mark.parametrize("fails", sorted(UNUSABLE))
async def test_what_is_not_known_is_no_obstacle(asking: Site, twilio: Twilio, fails: str) -> None:
    twilio.fails = fails
    assert (await patch(asking, provider_account=TOKEN, caller_ids=["+972501112222"], allowed_countries=["FR"])).status == 200


async def test_an_answer_that_does_not_come_is_no_obstacle(asking: Site, twilio: Twilio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_reader, "READ_SECONDS", 0.2)
    twilio.hangs = True
    assert (await patch(asking, provider_account=TOKEN)).status == 200


async def test_a_provider_that_has_none_of_these_resources(database_url: str, redis_url: str, database: DatabaseFixture) -> None:
    async with simulator.running(port=0, accounts={OWN: "right"}) as twilio, _at(twilio.url, database_url, redis_url, database) as site:
        assert (await patch(site, provider_account=TOKEN)).status == 200
