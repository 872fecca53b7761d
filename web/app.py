"""Builds the web application: opens what its handlers use in this order, and closes it in the reverse order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web as http

from dialer.addresses import networks
from dialer.clock import SystemClock, SystemIds
from dialer.config import require_default_account
from dialer.sealing import Seal
from dialer.shares import Use
from dialer.streams.client import Streams
from dialer.tracing.opening import open_spans
from dialer.webhooks.signing import WebhookKeys
from dialer.webhooks.targets import AllowedHosts
from sql.accounts.account_rows import Accounts
from sql.attempts.attempts import Attempts
from sql.attempts.fact_counts import counting
from sql.attempts.fact_writer import FactWriter
from sql.audit.audit import Audit
from sql.bulk.bulk_operations import BulkOperations
from sql.businesses.businesses import Businesses
from sql.call_history.call_history import CallHistory
from sql.commands.commands import Commands
from sql.dialling.dialling import Dialling
from sql.do_not_call.do_not_call import DoNotCall
from sql.guards import report_guards
from sql.installation.business_states import Installation
from sql.jobs.jobs import Jobs
from sql.outbox.outbox import Outbox, Relay
from sql.pool import open_pool
from sql.prices.price_table import Prices
from sql.reports.reports import Reports
from sql.resolutions.resolutions import Resolutions
from sql.runs.runs import Runs
from sql.scripts.scripts import Scripts
from sql.sessions.sessions import Sessions
from sql.shares import SharedPool, shares_of
from sql.test_calls.test_calls import TestCalls
from sql.tokens.tokens import Tokens
from sql.unusable import check_server
from sql.users.users import Users
from sql.webhooks.webhooks import Webhooks
from telephony.accounts import AccountBook
from telephony.twilio.account_reader import AccountReader
from telephony.twilio.client import TwilioProvider
from web import pages
from web.access.auth import identify
from web.access.credential_checks import CredentialChecks
from web.access.passwords import Passwords
from web.access.token_uses import TokenUses
from web.api import bulk_operations, business, dialling, do_not_call, docs, export, jobs, run_changes, runs
from web.api.access import audit, sessions, tokens, users
from web.api.lists import load_report
from web.api.webhooks import webhooks
from web.events import stream
from web.events.fanout import Fanout
from web.events.states import LiveStates
from web.intake.limiter import UploadLimiter
from web.intake.received import MAX_BODY_BYTES
from web.operations.commands import PendingCommands
from web.operations.owner_hints import OwnerHints
from web.operations.reports.provider_outage import OutageReader
from web.operations.reports.result_counts import ResultCounts
from web.server import health, i18n, keys, metrics
from web.server.bodies import SMALL_BODY_PACE, UPLOAD_PACE, BodyPace
from web.server.error_responses import answer_errors
from web.server.headers import protect
from web.server.metrics import Metrics, measure
from web.server.shared_read import SharedRead
from web.server.tenancy import KnownTokens
from web.server.tracing.request_spans import trace
from web.twilio import routes
from web.twilio.deferred import DeferredCallbacks
from web.twilio.key_presses import KeyPresses
from web.twilio.receiver import CallbackReceiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dialer.config import Settings

# Twilio waits 15 s for the answer to a callback, and retries if it gets none.
PATIENCE_SECONDS: Final = 5.0
# A connection may have to be opened first; a server that does not respond within this is unavailable.
ACQUIRE_SECONDS: Final = 5.0
# Work of this process for all businesses: each of these uses has a share as large as that of one business.
RELAY: Final = Use("relay", urgent=True)
FACTS: Final = Use("facts", urgent=True)
TOKEN_USES: Final = Use("token uses")
TRACES: Final = Use("traces")
# A web process places test calls only.
TEST_CALL_CONNECTIONS: Final = 4
# At most 64 KB arrive within this, plus the two seconds that 64 KB earn at the minimum pace.
SMALL_BODY_SECONDS: Final = 15.0

# A compressed body of a megabyte unpacks to a gigabyte, and the event loop would do nothing else meanwhile (web/server/bodies.py).
PLAIN_BODIES: Final = {"auto_decompress": False}


def create_app(settings: Settings) -> http.Application:
    """The application; it connects when it is started."""
    i18n.load()
    # Whoever has no collector pays nothing for it.
    tracing = [trace] if settings.traces else []
    middlewares = [*tracing, measure, answer_errors, identify]
    app = http.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES, handler_args=PLAIN_BODIES)
    app[keys.SETTINGS] = settings
    app[keys.CLOCK] = SystemClock()
    app[keys.IDS] = SystemIds()
    app[keys.METRICS] = Metrics()
    app[keys.PENDING_COMMANDS] = PendingCommands()
    app[keys.KNOWN_TOKENS] = KnownTokens()
    app[keys.TRUSTED_PROXIES] = networks(settings.trusted_proxies)
    app[keys.UPLOADS] = UploadLimiter()
    app[keys.EXPORTS] = export.limiter()
    app[UPLOAD_PACE] = BodyPace()
    app[SMALL_BODY_PACE] = BodyPace(grace_seconds=SMALL_BODY_SECONDS)
    secret = settings.secret_key.get_secret_value()
    app[keys.SESSION_SEAL] = Seal(secret, "session")
    app[keys.ANSWER_SEAL] = Seal(secret, "answer")
    app[keys.ACCOUNTS] = AccountBook(settings.twilio_account_sid, settings.twilio_auth_token, Seal(secret, "account"))
    app[keys.WEBHOOK_KEYS] = WebhookKeys(secret)
    app[keys.WEBHOOK_HOSTS] = AllowedHosts(settings.webhook_allowed_hosts)
    app.cleanup_ctx.extend([_postgresql, _spans, _redis, _hints, _relay, _facts, _callbacks, _fanout, _provider, metrics.watch])
    app.on_response_prepare.append(protect)
    app.on_shutdown.append(_end_streams)
    apis = (runs, run_changes, business, jobs, bulk_operations, dialling, do_not_call, export, load_report, webhooks, docs)
    of_access = (users, sessions, tokens, audit)
    for module in (*apis, *of_access, stream, health, metrics):
        app.add_routes(module.routes)
    routes.setup(app)
    pages.setup(app)
    return app


async def _postgresql(app: http.Application) -> AsyncIterator[None]:
    size = app[keys.SETTINGS].database_connections
    measures = app[keys.METRICS]
    opened = await open_pool(
        app[keys.SETTINGS].database_url,
        name=f"ringmaster web {app[keys.SETTINGS].process}",
        size=size,
        planned=True,
        acquire_seconds=ACQUIRE_SECONDS,
        waited=measures.pool_waits.observe,
    )
    pool = SharedPool(opened, shares_of(size), refused=measures.pool_refusals.inc)
    measures.show_connections(lambda: pool.connections)
    app[keys.POOL] = pool
    app[keys.BUSINESSES] = Businesses(pool)
    try:
        await check_server(pool)
        await report_guards(pool)
        require_default_account(app[keys.SETTINGS], await app[keys.BUSINESSES].without_account())
        app[keys.ACCOUNT_ROWS] = Accounts(pool)
        await app[keys.ACCOUNT_ROWS].keep_default(app[keys.ACCOUNTS].default.sid, app[keys.ACCOUNTS].default_to_keep)
    except BaseException:
        await pool.close()
        raise
    app[keys.SESSIONS] = Sessions(pool)
    app[keys.RUNS] = Runs(pool)
    app[keys.JOBS] = Jobs(pool)
    app[keys.DO_NOT_CALL] = DoNotCall(pool)
    app[keys.COMMANDS] = Commands(pool, app[keys.ACCOUNTS].default.sid)
    app[keys.ATTEMPTS] = Attempts(pool)
    app[keys.RESOLUTIONS] = Resolutions(pool)
    app[keys.DIALLING] = Dialling(pool)
    app[keys.BULK_OPERATIONS] = BulkOperations(pool)
    app[keys.REPORTS] = Reports(pool)
    app[keys.CALL_HISTORY] = CallHistory(pool)
    app[keys.RESULT_COUNTS] = ResultCounts(app[keys.REPORTS], app[keys.CALL_HISTORY])
    app[keys.SCRIPTS] = Scripts(pool)
    app[keys.PRICES] = Prices(pool)
    app[keys.TEST_CALLS] = TestCalls(pool)
    app[keys.WEBHOOKS] = Webhooks(pool)
    app[keys.INSTALLATION] = Installation(pool)
    app[keys.DELIVERY_STATE] = SharedRead(lambda: app[keys.INSTALLATION].deliveries(ended_seconds=metrics.ENDED_SECONDS))
    app[keys.FIGURES] = SharedRead(metrics.figures_of(app[keys.INSTALLATION]))
    app[keys.KEY_PRESSES] = KeyPresses(app[keys.SCRIPTS], app[keys.DO_NOT_CALL])
    app[keys.AUDIT] = Audit(pool)
    app[keys.USERS] = Users(pool)
    app[keys.TOKENS] = Tokens(pool)
    app[keys.PASSWORDS] = Passwords(app[keys.USERS], app[keys.CLOCK])
    async with TokenUses(Tokens(pool.for_use(TOKEN_USES))) as uses:
        app[keys.TOKEN_USES] = uses
        yield
    await pool.close()


async def _spans(app: http.Application) -> AsyncIterator[None]:
    runs = Runs(app[keys.POOL].for_use(TRACES))
    async with open_spans(app[keys.SETTINGS], "web", runs.leads_of, app[keys.IDS].span_id) as spans:
        app[keys.SPANS] = spans
        yield


async def _redis(app: http.Application) -> AsyncIterator[None]:
    app[keys.STREAMS] = streams = Streams(app[keys.SETTINGS].redis_url, ca_file=app[keys.SETTINGS].redis_ca_file)
    try:
        await streams.require_fit()
        yield
    finally:
        await streams.close()


async def _hints(app: http.Application) -> AsyncIterator[None]:
    async with OwnerHints(app[keys.STREAMS]) as hints, OutageReader(app[keys.STREAMS], app[keys.CLOCK]) as outages:
        app[keys.OWNER_HINTS] = hints
        app[keys.OUTAGES] = outages
        yield


async def _relay(app: http.Application) -> AsyncIterator[None]:
    async with Relay(Outbox(app[keys.POOL].for_use(RELAY)), app[keys.STREAMS]) as relay:
        app[keys.RELAY] = relay
        yield


async def _facts(app: http.Application) -> AsyncIterator[None]:
    attempts = Attempts(app[keys.POOL].for_use(FACTS))
    count = counting(app[keys.METRICS])
    async with FactWriter(attempts, patience_seconds=PATIENCE_SECONDS, wrote=app[keys.RELAY].kick, count=count) as facts:
        app[keys.FACTS] = facts
        yield


async def _callbacks(app: http.Application) -> AsyncIterator[None]:
    receiver = CallbackReceiver(
        app[keys.SETTINGS].public_url,
        app[keys.ACCOUNTS],
        app[keys.ATTEMPTS],
        app[keys.FACTS],
        app[keys.STREAMS],
        hints=app[keys.OWNER_HINTS],
        key_presses=app[keys.KEY_PRESSES],
        wrote=app[keys.RELAY].kick,
    )
    app[keys.CALLBACKS] = receiver
    async with DeferredCallbacks(receiver, app[keys.STREAMS], app[keys.CLOCK], app[keys.SPANS]):
        yield


async def _fanout(app: http.Application) -> AsyncIterator[None]:
    async with Fanout(app[keys.STREAMS]) as fanout:
        app[keys.FANOUT] = fanout
        app[keys.METRICS].show("web_event_stream_lag_seconds", "Since dialer:events was read to its end.", lambda: fanout.lag_seconds)
        app[keys.LIVE_STATES] = LiveStates(fanout, app[keys.STREAMS], app[keys.RUNS], app[keys.JOBS])
        app[keys.CREDENTIAL_CHECKS] = CredentialChecks()
        yield


async def _provider(app: http.Application) -> AsyncIterator[None]:
    app[keys.ACCOUNT_READER] = AccountReader(app[keys.SETTINGS].twilio_api_url, app[keys.CLOCK])
    app[keys.PROVIDER] = TwilioProvider(app[keys.SETTINGS].twilio_api_url, app[keys.CLOCK], connections=TEST_CALL_CONNECTIONS)
    yield
    await app[keys.ACCOUNT_READER].close()
    await app[keys.PROVIDER].close()


async def _end_streams(app: http.Application) -> None:
    """Called before the server waits for its handlers, because event streams would never end by themselves."""
    app[keys.FANOUT].stop()
