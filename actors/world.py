"""Builds the real world from the settings: connections to PostgreSQL, Redis and the telephone company.

On the road of a call: under 3 and 4; everything they touch is opened and closed here.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from actors.ports import Held, Rules, World
from dialer.ports import SystemClock, SystemIds
from dialer.sealing import Seal
from dialer.streams import Streams
from sql.attempts import Attempts
from sql.commands import Commands
from sql.histories import Histories
from sql.ledger import Ledger
from sql.outbox import Outbox, Relay
from sql.pool import open_pool
from sql.runs import Runs
from sql.workers import Workers
from telephony.accounts import AccountBook
from telephony.twilio_provider import TwilioProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dialer.config import Settings

# A fact that was learned is kept until PostgreSQL is there to write it.
PATIENCE_SECONDS = 7 * 24 * 3600.0


@asynccontextmanager
async def open_world(settings: Settings) -> AsyncIterator[World]:
    """Connect to everything the settings name, and close it in the end.

    Raises:
        OSError, asyncpg.PostgresError: when PostgreSQL is not there at the start.
    """
    clock, ids = SystemClock(), SystemIds()
    async with AsyncExitStack() as open_things:
        connecting = open_pool(settings.database_url, name=f"ringmaster worker {settings.worker}", planned=True)
        pool = await open_things.enter_async_context(await connecting)
        streams = Streams(settings.redis_url, clock)
        open_things.push_async_callback(streams.close)
        provider = TwilioProvider(settings.twilio_api_url, clock)
        open_things.push_async_callback(provider.close)
        relay = await open_things.enter_async_context(Relay(Outbox(pool), streams))
        attempts = Attempts(pool)
        ledger = await open_things.enter_async_context(Ledger(attempts, patience_seconds=PATIENCE_SECONDS, wrote=relay.kick))
        yield World(
            attempts=attempts,
            ledger=ledger,
            fleet=Workers(pool),
            histories=Histories(pool),
            commands=Commands(pool),
            runs=Runs(pool),
            wire=streams,
            events=relay,
            provider=provider,
            accounts=AccountBook(
                settings.twilio_account_sid, settings.twilio_auth_token, Seal(settings.secret_key.get_secret_value(), "account")
            ),
            clock=clock,
            ids=ids,
            rules=_rules(settings),
            held=Held(ids.uuid(), {}),
        )


def _rules(settings: Settings) -> Rules:
    return Rules(
        public_url=settings.public_url,
        ring_seconds=settings.ring_timeout_seconds,
        limit_seconds=settings.call_time_limit_seconds,
        lag_seconds=settings.provider_lag_seconds,
        calls_per_second=settings.calls_per_second,
        default_account=settings.twilio_account_sid,
    )
