"""A listing is read whole, or says that it is not."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from dialer.clock import SystemClock
from telephony import simulator
from telephony.provider import Account, CallFacts, CallRequest, NoSuchCall, PlacedCall
from telephony.simulator import Faults
from telephony.twilio import client
from telephony.twilio.client import TwilioProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

TO: Final = "+97250000001"
REQUEST: Final = CallRequest(TO, "+97237000000", "http://127.0.0.1:9/t", "http://127.0.0.1:9/c", 30, 600)


@asynccontextmanager
async def simulated() -> AsyncIterator[tuple[simulator.Simulator, TwilioProvider, Account]]:
    account = Account(simulator.TEST_ACCOUNT, SecretStr(simulator.TEST_TOKEN))
    async with simulator.running(speed=50) as sim:
        twilio = TwilioProvider(sim.url, SystemClock())
        yield sim, twilio, account
        await twilio.close()


async def test_every_page_of_a_listing_is_read_back_to_the_time_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 2)
    async with simulated() as (sim, twilio, account):
        since = sim.clock.now() - timedelta(seconds=1)
        sids = [
            result.sid
            for _ in range(7)
            if isinstance(result := await twilio.place(account, REQUEST, deadline=sim.clock.boot() + 5), PlacedCall)
        ]
        listing = await twilio.list_calls(account, TO, REQUEST.from_, since)
        assert listing.complete
        assert [call.sid for call in listing.calls] == sids[::-1]
        pages = sim.listings
        assert pages == 4
        later = await twilio.list_calls(account, TO, REQUEST.from_, since + timedelta(hours=1))
        assert (later.complete, later.calls, sim.listings - pages) == (True, (), 1), "one page is enough to see that all are older"


async def test_a_listing_with_more_pages_than_are_read_is_not_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 1)
    monkeypatch.setattr(client, "LISTING_PAGES", 2)
    async with simulated() as (sim, twilio, account):
        for _ in range(3):
            await twilio.place(account, REQUEST, deadline=sim.clock.boot() + 5)
        listing = await twilio.list_calls(account, TO, REQUEST.from_, sim.clock.now() - timedelta(minutes=1))
        assert (listing.complete, len(listing.calls)) == (False, 2)


async def test_a_call_of_the_second_asked_for_is_listed() -> None:
    async with simulated() as (sim, twilio, account):
        since = sim.clock.now()
        await twilio.place(account, REQUEST, deadline=sim.clock.boot() + 5)
        assert len((await twilio.list_calls(account, TO, REQUEST.from_, since)).calls) == 1, "created_at has no fractions of a second"


async def test_a_provider_that_lags_shows_a_call_later() -> None:
    async with simulated() as (sim, twilio, account):
        sim.set_faults(Faults(listing_lag_seconds=3600))
        placed = await twilio.place(account, REQUEST, deadline=sim.clock.boot() + 5)
        assert isinstance(placed, PlacedCall)
        since = sim.clock.now() - timedelta(seconds=1)
        assert await twilio.fetch(account, placed.sid) == NoSuchCall()
        hidden = await twilio.list_calls(account, TO, REQUEST.from_, since)
        assert (hidden.complete, hidden.calls) == (True, ())
        sim.set_faults(Faults())
        assert isinstance(await twilio.fetch(account, placed.sid), CallFacts)
        assert len((await twilio.list_calls(account, TO, REQUEST.from_, since)).calls) == 1
