"""What the operations of the web need, for a command that performs them itself.

Redis may be away, as on the web: PostgreSQL decides, and workers that miss a hint look within seconds. Events are published by the web
processes and the workers: a command does not stay long enough to see to that.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web as http

from dialer.clock import SystemClock, SystemIds
from dialer.config import load
from dialer.sealing import Seal
from ringmaster.streams import configured
from sql.attempts.attempts import Attempts
from sql.attempts.fact_writer import FactWriter
from sql.audit.audit import Audit
from sql.businesses.businesses import Businesses
from sql.call_history.call_history import CallHistory
from sql.commands.commands import Commands
from sql.reports.reports import Reports
from sql.runs.runs import Runs
from telephony.accounts import AccountBook
from web.operations.commands import PendingCommands
from web.operations.owner_hints import OwnerHints
from web.operations.reports.provider_outage import OutageReader
from web.server import keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sql.pool import Pool

PATIENCE_SECONDS = 5.0


@asynccontextmanager
async def services(pool: Pool) -> AsyncIterator[http.Application]:
    """An application that serves nothing, with what the operations on runs use; hints are sent before the block ends, in a second at most.

    Raises:
        CommandError: when the address of Redis is configured nowhere.
        ConfigError: when the environment is wrong.
    """
    app, settings, clock = http.Application(), load(), SystemClock()
    app[keys.SETTINGS], app[keys.CLOCK], app[keys.IDS] = settings, clock, SystemIds()
    seal = Seal(settings.secret_key.get_secret_value(), "account")
    app[keys.ACCOUNTS] = AccountBook(settings.twilio_account_sid, settings.twilio_auth_token, seal)
    app[keys.BUSINESSES], app[keys.RUNS], app[keys.REPORTS] = Businesses(pool), Runs(pool), Reports(pool)
    app[keys.COMMANDS] = Commands(pool, app[keys.ACCOUNTS].default.sid)
    app[keys.PENDING_COMMANDS] = PendingCommands()
    app[keys.ATTEMPTS], app[keys.AUDIT], app[keys.CALL_HISTORY] = Attempts(pool), Audit(pool), CallHistory(pool)
    streams = configured()
    try:
        async with (
            OwnerHints(streams) as hints,
            OutageReader(streams, clock) as outages,
            FactWriter(app[keys.ATTEMPTS], patience_seconds=PATIENCE_SECONDS) as facts,
        ):
            app[keys.OWNER_HINTS], app[keys.OUTAGES], app[keys.FACTS] = hints, outages, facts
            yield app
    finally:
        await streams.close()
