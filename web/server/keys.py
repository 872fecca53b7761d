"""The keys of the application: under each, one object that the handlers share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from aiohttp import web as http

from web.server.errors import ApiError

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from dialer.clock import Clock, Ids
    from dialer.config import Settings
    from dialer.sealing import Seal
    from dialer.streams.client import Streams
    from dialer.tracing.spans import Spans
    from dialer.webhooks.signing import WebhookKeys
    from dialer.webhooks.targets import AllowedHosts
    from sql.accounts.account_rows import Accounts
    from sql.attempts.attempts import Attempts
    from sql.attempts.fact_writer import FactWriter
    from sql.audit.audit import Audit
    from sql.bulk.bulk_operations import BulkOperations
    from sql.businesses.businesses import Businesses
    from sql.call_history.call_history import CallHistory
    from sql.commands.commands import Commands
    from sql.dialling.dialling import Dialling
    from sql.do_not_call.do_not_call import DoNotCall
    from sql.installation.business_states import DeliveryState, Installation, InstallationMetrics
    from sql.jobs.jobs import Jobs
    from sql.outbox.outbox import Relay
    from sql.prices.price_table import Prices
    from sql.reports.reports import Reports
    from sql.resolutions.resolutions import Resolutions
    from sql.runs.runs import Runs
    from sql.scripts.scripts import Scripts
    from sql.sessions.sessions import Sessions
    from sql.shares import SharedPool
    from sql.test_calls.test_calls import TestCalls
    from sql.tokens.tokens import Tokens
    from sql.users.users import Users
    from sql.webhooks.webhooks import Webhooks
    from telephony.accounts import AccountBook
    from telephony.provider import Provider
    from telephony.twilio.account_reader import AccountReader
    from web.access.credential_checks import CredentialChecks
    from web.access.passwords import Passwords
    from web.access.token_uses import TokenUses
    from web.events.fanout import Fanout
    from web.events.states import LiveStates
    from web.intake.limiter import TenantLimiter, UploadLimiter
    from web.operations.commands import PendingCommands
    from web.operations.owner_hints import OwnerHints
    from web.operations.reports.provider_outage import OutageReader
    from web.operations.reports.result_counts import ResultCounts
    from web.server.metrics import Metrics
    from web.server.shared_read import SharedRead
    from web.server.tenancy import KnownTokens
    from web.twilio.key_presses import KeyPresses
    from web.twilio.receiver import CallbackReceiver

# Renders an error as a page; registered by `web/pages`, used for every path that is not the API's.
ErrorPage: TypeAlias = Callable[[http.Request, ApiError], Awaitable[http.StreamResponse]]

SETTINGS: Final[http.AppKey[Settings]] = http.AppKey("settings")
CLOCK: Final[http.AppKey[Clock]] = http.AppKey("clock")
IDS: Final[http.AppKey[Ids]] = http.AppKey("ids")
SPANS: Final[http.AppKey[Spans]] = http.AppKey("spans")
POOL: Final[http.AppKey[SharedPool]] = http.AppKey("pool")
BUSINESSES: Final[http.AppKey[Businesses]] = http.AppKey("businesses")
USERS: Final[http.AppKey[Users]] = http.AppKey("users")
TOKENS: Final[http.AppKey[Tokens]] = http.AppKey("tokens")
TOKEN_USES: Final[http.AppKey[TokenUses]] = http.AppKey("token_uses")
AUDIT: Final[http.AppKey[Audit]] = http.AppKey("audit")
SESSIONS: Final[http.AppKey[Sessions]] = http.AppKey("sessions")
RUNS: Final[http.AppKey[Runs]] = http.AppKey("runs")
JOBS: Final[http.AppKey[Jobs]] = http.AppKey("jobs")
DO_NOT_CALL: Final[http.AppKey[DoNotCall]] = http.AppKey("do_not_call")
COMMANDS: Final[http.AppKey[Commands]] = http.AppKey("commands")
ATTEMPTS: Final[http.AppKey[Attempts]] = http.AppKey("attempts")
DIALLING: Final[http.AppKey[Dialling]] = http.AppKey("dialling")
REPORTS: Final[http.AppKey[Reports]] = http.AppKey("reports")
CALL_HISTORY: Final[http.AppKey[CallHistory]] = http.AppKey("call history")
RESULT_COUNTS: Final[http.AppKey[ResultCounts]] = http.AppKey("result_counts")
BULK_OPERATIONS: Final[http.AppKey[BulkOperations]] = http.AppKey("bulk_operations")
RESOLUTIONS: Final[http.AppKey[Resolutions]] = http.AppKey("resolutions")
PRICES: Final[http.AppKey[Prices]] = http.AppKey("prices")
SCRIPTS: Final[http.AppKey[Scripts]] = http.AppKey("scripts")
TEST_CALLS: Final[http.AppKey[TestCalls]] = http.AppKey("test_calls")
PROVIDER: Final[http.AppKey[Provider]] = http.AppKey("provider")
KEY_PRESSES: Final[http.AppKey[KeyPresses]] = http.AppKey("key_presses")
FACTS: Final[http.AppKey[FactWriter]] = http.AppKey("facts")
RELAY: Final[http.AppKey[Relay]] = http.AppKey("relay")
OWNER_HINTS: Final[http.AppKey[OwnerHints]] = http.AppKey("owner_hints")
OUTAGES: Final[http.AppKey[OutageReader]] = http.AppKey("outages")
STREAMS: Final[http.AppKey[Streams]] = http.AppKey("streams")
CALLBACKS: Final[http.AppKey[CallbackReceiver]] = http.AppKey("callbacks")
FANOUT: Final[http.AppKey[Fanout]] = http.AppKey("fanout")
PENDING_COMMANDS: Final[http.AppKey[PendingCommands]] = http.AppKey("pending_commands")
KNOWN_TOKENS: Final[http.AppKey[KnownTokens]] = http.AppKey("known_tokens")
TRUSTED_PROXIES: Final[http.AppKey[tuple[IPv4Network | IPv6Network, ...]]] = http.AppKey("trusted_proxies")
UPLOADS: Final[http.AppKey[UploadLimiter]] = http.AppKey("uploads")
EXPORTS: Final[http.AppKey[TenantLimiter]] = http.AppKey("exports")
LIVE_STATES: Final[http.AppKey[LiveStates]] = http.AppKey("live_states")
CREDENTIAL_CHECKS: Final[http.AppKey[CredentialChecks]] = http.AppKey("credential_checks")
METRICS: Final[http.AppKey[Metrics]] = http.AppKey("metrics")
PASSWORDS: Final[http.AppKey[Passwords]] = http.AppKey("passwords")
SESSION_SEAL: Final[http.AppKey[Seal]] = http.AppKey("session_seal")
ANSWER_SEAL: Final[http.AppKey[Seal]] = http.AppKey("answer_seal")
ACCOUNTS: Final[http.AppKey[AccountBook]] = http.AppKey("accounts")
ACCOUNT_ROWS: Final[http.AppKey[Accounts]] = http.AppKey("account_rows")
ACCOUNT_READER: Final[http.AppKey[AccountReader]] = http.AppKey("account_reader")
INSTALLATION: Final[http.AppKey[Installation]] = http.AppKey("installation")
FIGURES: Final[http.AppKey[SharedRead[InstallationMetrics]]] = http.AppKey("figures")
DELIVERY_STATE: Final[http.AppKey[SharedRead[DeliveryState]]] = http.AppKey("delivery_state")
WEBHOOKS: Final[http.AppKey[Webhooks]] = http.AppKey("webhooks")
WEBHOOK_KEYS: Final[http.AppKey[WebhookKeys]] = http.AppKey("webhook_keys")
WEBHOOK_HOSTS: Final[http.AppKey[AllowedHosts]] = http.AppKey("webhook_hosts")
ERROR_PAGE: Final[http.AppKey[ErrorPage]] = http.AppKey("error_page")
