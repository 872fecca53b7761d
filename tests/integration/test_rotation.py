"""A token, a SECRET_KEY and an account are changed while calls are on the line, with a real web process, worker and simulator.

No callback is lost or refused, and nobody is called twice.
"""

from __future__ import annotations

import base64
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import pytest_asyncio
from aiohttp import web as http

from actors.bootstrap import open_services
from actors.duties.account_seals import renew_seals
from actors.worker import Worker
from dialer.config import Settings
from dialer.model import AttemptState
from ringmaster.local.ports import free_port
from telephony import simulator
from telephony.provider import Account
from tests.chaos import polling
from tests.rows import SECRET_KEY
from web.app import create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from actors.services import Services
    from telephony.simulator import Simulator
    from tests.rows import DatabaseFixture

OWN, TOKEN = "AC" + "5" * 32, "planted-token"
OTHER, OTHER_TOKEN = "AC" + "6" * 32, "planted-other-token"
NEW_TOKEN = "planted-new-token"
NEW_KEY = "a newer secret of forty characters - for a test"
BOUND_SECONDS = 20.0
LINES = 2


class Installation:
    """A web process and a worker, which can be started again with other settings, and a business with a run of two leads a line."""

    def __init__(self, database: DatabaseFixture, twilio: Simulator, urls: dict[str, str]) -> None:
        self.database = database
        self._twilio = twilio
        self._settings: dict[str, object] = {
            **urls,
            "PUBLIC_URL": f"http://127.0.0.1:{free_port()}",
            "SECRET_KEY": SECRET_KEY,
            "TWILIO_ACCOUNT_SID": simulator.TEST_ACCOUNT,
            "TWILIO_AUTH_TOKEN": simulator.TEST_TOKEN,
            "TWILIO_API_URL": twilio.url,
            "DIALER_CALLS_PER_SECOND": 0,
            "DIALER_PROVIDER_LAG_SECONDS": 1,
        }
        self._running = AsyncExitStack()
        self.business = self.run = 0

    @property
    def services(self) -> Services:
        return self._services

    async def restart(self, **settings: object) -> None:
        """Start both again; the worker ends in order, the calls stay on the line."""
        await self.stop()
        self._settings |= settings
        read = Settings.model_validate(self._settings)
        web = http.AppRunner(create_app(read), access_log=None)
        await web.setup()
        self._running.push_async_callback(web.cleanup)
        await http.TCPSite(web, "127.0.0.1", int(str(self._settings["PUBLIC_URL"]).rpartition(":")[2])).start()
        self._services = await self._running.enter_async_context(open_services(read))
        worker = Worker(self._services, "worker")
        await worker.start()
        self._running.push_async_callback(worker.stop)

    async def stop(self) -> None:
        await self._running.aclose()

    async def dial(self) -> None:
        """Start the run; return when its first calls are answered and we know it."""
        self.run = await self.database.run(self.business, 2 * LINES, concurrency=LINES)
        await polling.until(partial(self._live, LINES), BOUND_SECONDS, "the calls are answered")

    async def finish(self) -> None:
        """End the calls on the line, let the other leads be called, and end those calls too."""
        await self.call_the_others()
        await self.end()

    async def call_the_others(self) -> None:
        """End the calls on the line; return when those to the other leads are answered and we know it."""
        await self._hang_up()
        await polling.until(partial(self._live, 2 * LINES), BOUND_SECONDS, "the other calls are answered")

    async def end(self) -> None:
        """End the last calls."""
        await self._hang_up()
        await polling.until(self._over, BOUND_SECONDS, "the run is over")

    async def check(self, *accounts: str) -> None:
        """Each lead was called once, by these accounts, and each call's callbacks arrived, to the last."""
        calls = list(self._twilio.call_log.calls.values())
        assert len(calls) == len({call.to for call in calls}) == 2 * LINES
        assert sorted({call.account for call in calls}) == sorted(accounts)
        await polling.until(self._last_ones_arrived, BOUND_SECONDS, "the last callback of each call")
        run = await self.database.checked_run(self.business, self.run)
        assert (run.status, run.completed) == ("completed", 2 * LINES)

    async def _hang_up(self) -> None:
        for call in [call for call in self._twilio.call_log.calls.values() if call.closed is None]:
            account = await polling.until(partial(self._account, call.account), BOUND_SECONDS, "its account is known")
            assert account
            assert await self._services.provider.hang_up(account, call.sid)

    async def _account(self, account_sid: str) -> Account | None:
        return self._services.accounts.of(self.business, account_sid)

    async def _live(self, placed: int) -> bool:
        """So many calls have been placed, and we know that the last ones are answered."""
        states = [attempt.state for attempt in await self._services.attempts.open_of_partitions(list(range(256)))]
        return len(self._twilio.call_log.calls) == placed and states == [AttemptState.LIVE] * LINES

    async def _over(self) -> bool:
        return (await self.database.checked_run(self.business, self.run)).status == "completed"

    async def _last_ones_arrived(self) -> bool:
        seen = "SELECT count(DISTINCT attempt_id) FROM dialer.callbacks WHERE fields ->> 'CallStatus' = 'completed'"
        return bool(await self.database.pool.fetchval(seen) == 2 * LINES)


@pytest_asyncio.fixture
async def twilio() -> AsyncIterator[Simulator]:
    accounts = {simulator.TEST_ACCOUNT: simulator.TEST_TOKEN, OWN: TOKEN, OTHER: OTHER_TOKEN}
    async with simulator.running(port=0, accounts=accounts, scenario="slow", speed=20) as running:
        yield running


@pytest_asyncio.fixture
async def place(
    database: DatabaseFixture, twilio: Simulator, database_url: str, redis_url: str, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Installation]:
    # The fixture owns every partition, for its own claims; here the worker is to have them.
    await database.workers.leave(database.incarnation)
    installation = Installation(database, twilio, {"DATABASE_URL": database_url, "REDIS_URL": redis_url})
    installation.business = await database.business()
    caplog.set_level(logging.DEBUG)
    yield installation
    await installation.stop()
    # The simulator sends a refused callback again, so that one which is refused for a moment would be noticed by nothing else.
    assert [record for record in caplog.records if "a callback" in record.getMessage()] == []
    logged = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    assert not [secret for secret in (TOKEN, OTHER_TOKEN, SECRET_KEY, NEW_KEY, NEW_TOKEN) if secret in logged]


@asynccontextmanager
async def also_taking(twilio: Simulator, new_token: str) -> AsyncIterator[str]:
    """The API of Twilio while a token is rotated: requests may use the new one already, callbacks are signed with the old one still."""
    new, old = (base64.b64encode(f"{OWN}:{token}".encode()).decode() for token in (new_token, TOKEN))

    async def forward(request: http.Request) -> http.Response:
        authorization = request.headers.get("Authorization", "").replace(new, old)
        headers = {"Authorization": authorization, "Content-Type": request.headers.get("Content-Type", "")}
        address = twilio.url + request.path_qs
        async with session.request(request.method, address, data=await request.read(), headers=headers) as answer:
            return http.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)

    app = http.Application()
    app.router.add_route("*", "/{path:.*}", forward)
    runner = http.AppRunner(app, access_log=None)
    async with aiohttp.ClientSession() as session:
        await runner.setup()
        port = free_port()
        await http.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()


async def test_a_token_is_rotated_with_calls_on_the_line(place: Installation, twilio: Simulator) -> None:
    async with also_taking(twilio, NEW_TOKEN) as address:
        await place.database.own_account(place.business, OWN, TOKEN)
        await place.restart(TWILIO_API_URL=address)
        await place.dial()
        await place.database.own_account(place.business, OWN, NEW_TOKEN)
        await polling.until(lambda: _secret_is(place, NEW_TOKEN), BOUND_SECONDS, "the worker has the new token")
        await place.finish()
        await place.check(OWN)
        await place.stop()


async def test_the_default_accounts_token_is_rotated_with_calls_on_the_line(place: Installation, twilio: Simulator) -> None:
    """As docs/operations.md says: the secondary token in front of the primary one, and then it is promoted at Twilio."""
    account, former = simulator.TEST_ACCOUNT, simulator.TEST_TOKEN
    await place.restart()
    await place.dial()
    twilio.accounts.declare({account: {"secondary_auth_token": NEW_TOKEN}})
    await place.restart(TWILIO_AUTH_TOKEN=f"{NEW_TOKEN},{former}")
    await place.call_the_others()
    twilio.accounts.declare({account: {"auth_token": NEW_TOKEN, "secondary_auth_token": None}})
    await place.end()
    await place.check(account)


async def test_a_secret_key_is_rotated_with_calls_on_the_line(place: Installation) -> None:
    """A new key in front of the old one; all sealed again; then the old one removed."""
    await place.database.own_account(place.business, OWN, TOKEN)
    await place.restart()
    await place.dial()
    await place.restart(SECRET_KEY=f"{NEW_KEY},{SECRET_KEY}")
    assert await renew_seals(place.services.account_rows, place.services.accounts) == (2, 0), "the business's and the default account's"
    await place.restart(SECRET_KEY=NEW_KEY)
    await place.finish()
    await place.check(OWN)


async def test_an_account_is_changed_with_calls_on_the_line(place: Installation) -> None:
    """The next leads are claimed with an account that the worker has not heard of yet."""
    await place.database.own_account(place.business, OWN, TOKEN)
    await place.restart()
    await place.dial()
    await place.database.own_account(place.business, OTHER, OTHER_TOKEN)
    await place.finish()
    await place.check(OWN, OTHER)


async def test_the_default_account_is_changed_with_calls_on_the_line(place: Installation) -> None:
    await place.restart()
    await place.dial()
    await place.restart(TWILIO_ACCOUNT_SID=OTHER, TWILIO_AUTH_TOKEN=OTHER_TOKEN)
    await place.finish()
    await place.check(simulator.TEST_ACCOUNT, OTHER)


async def _secret_is(place: Installation, token: str) -> bool:
    account = place.services.accounts.of(place.business, OWN)
    return isinstance(account, Account) and account.secret.get_secret_value() == token
