"""`python -m actors`: a worker process.

On the road of a call: it builds the world that 3 and 4 live in.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from actors.ports import Held, Rules, World
from actors.worker import Worker
from dialer import log as logs
from dialer.config import ConfigError, Settings, load
from dialer.ports import SystemClock, SystemIds
from dialer.sealing import Seal
from dialer.streams import Streams
from sql.attempts import Attempts
from sql.commands import Commands
from sql.ledger import Ledger
from sql.outbox import Outbox, Relay
from sql.pool import open_pool
from sql.runs import Runs
from sql.workers import Workers
from telephony.accounts import AccountBook
from telephony.twilio_provider import TwilioProvider

# A fact that was learned is kept until PostgreSQL is there to write it.
PATIENCE_SECONDS = 7 * 24 * 3600.0
REQUIRED = ("DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "SECRET_KEY", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN")

log = logging.getLogger(__name__)


async def work(settings: Settings) -> None:
    """Drive calls until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    clock, ids = SystemClock(), SystemIds()
    pool = await open_pool(settings.database_url, name=f"ringmaster worker {settings.worker}")
    streams = Streams(settings.redis_url, clock)
    provider = TwilioProvider(settings.twilio_api_url, clock)
    attempts = Attempts(pool)
    try:
        async with Relay(Outbox(pool), streams) as relay, Ledger(attempts, patience_seconds=PATIENCE_SECONDS, wrote=relay.kick) as ledger:
            world = World(
                attempts=attempts,
                ledger=ledger,
                fleet=Workers(pool),
                commands=Commands(pool),
                runs=Runs(pool),
                wire=streams,
                provider=provider,
                accounts=AccountBook(
                    settings.twilio_account_sid, settings.twilio_auth_token, Seal(settings.secret_key.get_secret_value(), "account")
                ),
                clock=clock,
                ids=ids,
                rules=Rules(
                    public_url=settings.public_url,
                    ring_seconds=settings.ring_timeout_seconds,
                    limit_seconds=settings.call_time_limit_seconds,
                    lag_seconds=settings.provider_lag_seconds,
                    calls_per_second=settings.calls_per_second,
                ),
                held=Held(ids.uuid(), {}),
            )
            worker = Worker(world, settings.worker)
            worker.start()
            await worker.say("started")
            await stopping.wait()
            await worker.stop()
            await worker.say("stopped")
    finally:
        await provider.close()
        await streams.close()
        await pool.close()


def main() -> int:
    """Run until stopped; 0 then, 2 when the settings are wrong."""
    try:
        settings = load(*REQUIRED)
    except ConfigError as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    logs.configure(settings)
    try:
        import uvloop  # noqa: PLC0415 - not on every platform

        uvloop.run(work(settings))
    except ImportError:
        asyncio.run(work(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
