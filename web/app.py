"""Puts the web process together: what its handlers use, in the order in which it is opened; closed in the reverse order.

On the road of a call: 1, 6 and 7 happen inside of what is made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web as http

from dialer.ports import SystemClock, SystemIds
from dialer.sealing import Seal
from dialer.streams import Streams
from sql.attempts import Attempts
from sql.businesses import Businesses
from sql.commands import Commands
from sql.jobs import Jobs
from sql.ledger import Ledger
from sql.outbox import Outbox, Relay
from sql.pool import open_pool
from sql.resolutions import Resolutions
from sql.runs import Runs
from web import callbacks, docs, health, i18n, jobs, keys, live, measure, pages, runs
from web.auth import identify
from web.errors import answer_errors
from web.fanout import Fanout
from web.headers import protect
from web.heard import Ear, Kept
from web.live_states import LiveStates
from web.loading import MAX_BODY_BYTES
from web.loads import Loads
from web.measure import measure as measured
from web.metrics import Metrics
from web.passwords import Passwords
from web.standing import Standing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dialer.config import Settings

POOL_SIZE: Final = 10
# Twilio waits 15 s for a callback's answer; a fact that takes longer is brought again by its retry.
PATIENCE_SECONDS: Final = 5.0


def create_app(settings: Settings) -> http.Application:
    """The application; it connects when it is started, and not before."""
    i18n.load()
    app = http.Application(middlewares=[measured, answer_errors, identify], client_max_size=MAX_BODY_BYTES)
    app[keys.SETTINGS] = settings
    app[keys.CLOCK] = SystemClock()
    app[keys.IDS] = SystemIds()
    app[keys.METRICS] = Metrics()
    app[keys.LOADS] = Loads()
    secret = settings.secret_key.get_secret_value()
    app[keys.SESSION_SEAL] = Seal(secret, "session")
    app[keys.ACCOUNT_SEAL] = Seal(secret, "account")
    app.cleanup_ctx.extend([_postgresql, _redis, _relay, _ledger, _ear, _fanout])
    app.on_response_prepare.append(protect)
    app.on_shutdown.append(_end_streams)
    for module in (runs, jobs, live, callbacks, health, measure, docs):
        app.add_routes(module.routes)
    pages.setup(app)
    return app


async def _postgresql(app: http.Application) -> AsyncIterator[None]:
    pool = await open_pool(app[keys.SETTINGS].database_url, name="web", size=POOL_SIZE, planned=True)
    app[keys.POOL] = pool
    app[keys.BUSINESSES] = Businesses(pool)
    app[keys.RUNS] = Runs(pool)
    app[keys.JOBS] = Jobs(pool)
    app[keys.COMMANDS] = Commands(pool)
    app[keys.ATTEMPTS] = Attempts(pool)
    app[keys.RESOLUTIONS] = Resolutions(pool)
    app[keys.PASSWORDS] = Passwords(app[keys.BUSINESSES], app[keys.CLOCK])
    yield
    await pool.close()


async def _redis(app: http.Application) -> AsyncIterator[None]:
    app[keys.STREAMS] = Streams(app[keys.SETTINGS].redis_url)
    yield
    await app[keys.STREAMS].close()


async def _relay(app: http.Application) -> AsyncIterator[None]:
    async with Relay(Outbox(app[keys.POOL]), app[keys.STREAMS]) as relay:
        app[keys.RELAY] = relay
        yield


async def _ledger(app: http.Application) -> AsyncIterator[None]:
    async with Ledger(app[keys.ATTEMPTS], patience_seconds=PATIENCE_SECONDS, wrote=app[keys.RELAY].kick) as ledger:
        app[keys.LEDGER] = ledger
        yield


async def _ear(app: http.Application) -> AsyncIterator[None]:
    ear = Ear(app[keys.SETTINGS], app[keys.ATTEMPTS], app[keys.LEDGER], app[keys.STREAMS], app[keys.ACCOUNT_SEAL])
    app[keys.EAR] = ear
    async with Kept(ear, app[keys.STREAMS]):
        yield


async def _fanout(app: http.Application) -> AsyncIterator[None]:
    async with Fanout(app[keys.STREAMS]) as fanout:
        app[keys.FANOUT] = fanout
        app[keys.LIVE_STATES] = LiveStates(fanout, app[keys.STREAMS], app[keys.RUNS], app[keys.JOBS])
        app[keys.STANDING] = Standing()
        yield


async def _end_streams(app: http.Application) -> None:
    """Called before the server waits for its handlers: a stream of events would never end by itself."""
    app[keys.FANOUT].stop()
