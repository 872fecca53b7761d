"""Builds the real services from the settings: connections to PostgreSQL, Redis and the telephone company."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from actors.metrics import WorkerMetrics
from actors.services import CallPolicy, Ownership, Services
from actors.webhooks.webhook_client import WebhookClient
from dialer.clock import SystemClock, SystemIds
from dialer.config import require_default_account
from dialer.sealing import Seal
from dialer.streams.client import Streams
from dialer.tracing.opening import open_spans
from dialer.webhooks.signing import WebhookKeys
from dialer.webhooks.targets import AllowedHosts
from sql.accounts.account_rows import Accounts
from sql.adoption.old_runs import OldRuns
from sql.attempts.attempts import Attempts
from sql.attempts.fact_counts import counting
from sql.attempts.fact_spans import traced
from sql.attempts.fact_writer import FactWriter
from sql.bulk.bulk_operations import BulkOperations
from sql.businesses.businesses import Businesses
from sql.commands.commands import Commands
from sql.guards import report_guards
from sql.outbox.outbox import Outbox, Relay
from sql.pool import open_pool
from sql.runs.runs import Runs
from sql.timelines.timelines import Timelines
from sql.unusable import check_server
from sql.webhooks.deliveries import Deliveries
from sql.workers.workers import Workers
from telephony.accounts import AccountBook
from telephony.twilio.client import TwilioProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dialer.config import Settings

# A fact is kept in memory until PostgreSQL takes it.
PATIENCE_SECONDS = 7 * 24 * 3600.0


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Connect to everything the settings name, and close it at the end of the block.

    Raises:
        ConfigError: when a business needs the default account, and it is not set; or when REDIS_URL is that of a node of a cluster.
        OSError, asyncpg.PostgresError, UnfitServerError: when PostgreSQL does not answer at the start, is too old, or takes no writes.
    """
    clock, ids = SystemClock(), SystemIds()
    async with AsyncExitStack() as stack:
        name, size = f"ringmaster worker {settings.worker}", settings.database_connections
        metrics = WorkerMetrics()
        connecting = open_pool(settings.database_url, name=name, size=size, planned=True, waited=metrics.pool_waits.observe)
        pool = await stack.enter_async_context(await connecting)
        metrics.show_connections(lambda: pool.connections)
        await check_server(pool)
        await report_guards(pool)
        require_default_account(settings, await Businesses(pool).without_account())
        runs = Runs(pool)
        spans = await stack.enter_async_context(open_spans(settings, "worker", runs.leads_of, ids.span_id))
        stored = Accounts(pool)
        book = AccountBook(settings.twilio_account_sid, settings.twilio_auth_token, Seal(settings.secret_key.get_secret_value(), "account"))
        await stored.keep_default(book.default.sid, book.default_to_keep)
        await OldRuns(pool, book.default.sid).name_account()
        streams = Streams(settings.redis_url, clock, settings.redis_ca_file)
        stack.push_async_callback(streams.close)
        await streams.require_fit()
        provider = TwilioProvider(settings.twilio_api_url, clock)
        stack.push_async_callback(provider.close)
        webhook_client = WebhookClient(AllowedHosts(settings.webhook_allowed_hosts))
        stack.push_async_callback(webhook_client.close)
        relay = await stack.enter_async_context(Relay(Outbox(pool), streams))
        attempts = Attempts(pool)
        count = traced(counting(metrics), spans, clock)
        writer = FactWriter(attempts, patience_seconds=PATIENCE_SECONDS, wrote=relay.kick, count=count)
        facts = await stack.enter_async_context(writer)
        yield Services(
            attempts=attempts,
            facts=facts,
            workers=Workers(pool),
            timelines=Timelines(pool),
            commands=Commands(pool, book.default.sid),
            runs=runs,
            bulk_operations=BulkOperations(pool),
            streams=streams,
            relay=relay,
            provider=provider,
            accounts=book,
            account_rows=stored,
            deliveries=Deliveries(pool),
            webhook_client=webhook_client,
            webhook_keys=WebhookKeys(settings.secret_key.get_secret_value()),
            clock=clock,
            ids=ids,
            policy=_policy(settings),
            ownership=Ownership(ids.uuid(), {}),
            metrics=metrics,
            spans=spans,
        )


def _policy(settings: Settings) -> CallPolicy:
    return CallPolicy(
        public_url=settings.public_url,
        ring_seconds=settings.ring_timeout_seconds,
        limit_seconds=settings.call_time_limit_seconds,
        lag_seconds=settings.provider_lag_seconds,
        calls_per_second=settings.calls_per_second,
        default_account=settings.twilio_account_sid,
    )
