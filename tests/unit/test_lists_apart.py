"""An account or a business whose lists hang does not delay the others."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web as http
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from actors import services
from actors.calls import orphaned_calls
from actors.calls.orphaned_calls import OrphanedCalls
from actors.keyed_semaphore import KeyedSemaphore
from dialer.clock import SystemClock
from telephony.provider import Account, Listing
from telephony.twilio import client
from telephony.twilio.client import TwilioProvider

if TYPE_CHECKING:
    from actors.services import Services
    from sql.workers.workers import ActiveBusiness

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HANGING, QUICK = (Account("AC" + digit * 32, SecretStr("x")) for digit in "12")
BOUND_SECONDS = 20.0


class Floor:
    """All businesses are on another timeline and must be compared; the lists of one account are never answered."""

    def __init__(self) -> None:
        self.requests: list[Account] = []
        self.held = asyncio.Event()

    async def list_calls(self, account: Account, _to: str | None, _from: str | None, _since: datetime) -> Listing:
        self.requests.append(account)
        if account is HANGING:
            await self.held.wait()
        return Listing((), complete=True, at=None)

    async def present(self, _business_id: int, _seconds: float) -> SimpleNamespace:
        return SimpleNamespace(wait_seconds=0.0, calls_from=NOW, as_of=NOW)

    async def adopt_calls(self, *_: Any, **__: Any) -> int:  # noqa: ANN401
        return 0

    def services(self) -> Services:
        there = SimpleNamespace(
            clock=SystemClock(),
            timelines=self,
            provider=self,
            policy=SimpleNamespace(lag_seconds=0.0, ring_seconds=30, max_minutes=10),
            ownership=SimpleNamespace(epochs={0: 1}, incarnation=None),
            list_limit=KeyedSemaphore(services.LISTS_AT_ONCE),
        )
        return cast("Services", there)


def driven(business_id: int) -> ActiveBusiness:
    return cast("ActiveBusiness", SimpleNamespace(business_id=business_id, partition=0, caller_ids=["+97237000000"]))


async def test_a_hanging_account_does_not_keep_the_calls_of_another_from_being_compared() -> None:
    floor = Floor()
    finding = OrphanedCalls(floor.services())
    async with asyncio.TaskGroup() as group:
        for business_id in range(1, 3 * orphaned_calls.LISTS_AT_ONCE):
            group.create_task(finding.search(HANGING, driven(business_id)))
        for _ in range(5):
            await asyncio.sleep(0)
        assert floor.requests == [HANGING] * orphaned_calls.LISTS_AT_ONCE
        async with asyncio.timeout(BOUND_SECONDS):
            assert await finding.search(QUICK, driven(1_000))
        floor.held.set()


async def test_live_calls_are_listed_while_every_list_for_one_call_hangs() -> None:
    hanging, held = asyncio.Event(), asyncio.Event()
    waiting = 0

    async def calls(request: http.Request) -> http.Response:
        nonlocal waiting
        if "From" in request.query:
            waiting += 1
            if waiting == client.LIST_CONNECTIONS:
                hanging.set()
            await held.wait()
        return http.json_response({"calls": [], "next_page_uri": None})

    app = http.Application()
    app.router.add_get("/{path:.*}", calls)
    async with TestServer(app) as server, asyncio.TaskGroup() as group:
        provider = TwilioProvider(str(server.make_url("")).rstrip("/"), SystemClock())
        for _ in range(client.LIST_CONNECTIONS + 1):
            group.create_task(provider.list_calls(HANGING, "+97250000001", "+97237000000", NOW))
        try:
            async with asyncio.timeout(BOUND_SECONDS):
                await hanging.wait()
            listing = await provider.list_live(QUICK)
        finally:
            held.set()
        assert listing.complete
    await provider.close()
