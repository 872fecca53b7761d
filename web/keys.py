"""What the handlers find in the application, one key each.

On the road of a call: beside it; steps 1, 6 and 7 take their connections from here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from aiohttp import web as http

from dialer.config import Settings
from dialer.sealing import Seal
from dialer.streams import Streams
from sql.attempts import Attempts
from sql.businesses import Businesses
from sql.commands import Commands
from sql.jobs import Jobs
from sql.ledger import Ledger
from sql.outbox import Relay
from sql.resolutions import Resolutions
from sql.runs import Runs
from web.fanout import Fanout
from web.faults import ApiError
from web.heard import Ear
from web.live_states import LiveStates
from web.loads import Loads
from web.metrics import Metrics
from web.passwords import Passwords

if TYPE_CHECKING:
    from dialer.ports import Clock, Ids
    from sql.pool import Pool
    from web.standing import Standing

# Draws an error as a page; registered by the pages, used for every path that is not the API's.
ErrorPage: TypeAlias = Callable[[http.Request, ApiError], Awaitable[http.StreamResponse]]

SETTINGS: Final = http.AppKey("settings", Settings)
CLOCK: Final[http.AppKey[Clock]] = http.AppKey("clock")
IDS: Final[http.AppKey[Ids]] = http.AppKey("ids")
POOL: Final[http.AppKey[Pool]] = http.AppKey("pool")
BUSINESSES: Final = http.AppKey("businesses", Businesses)
RUNS: Final = http.AppKey("runs", Runs)
JOBS: Final = http.AppKey("jobs", Jobs)
COMMANDS: Final = http.AppKey("commands", Commands)
ATTEMPTS: Final = http.AppKey("attempts", Attempts)
RESOLUTIONS: Final = http.AppKey("resolutions", Resolutions)
LEDGER: Final = http.AppKey("ledger", Ledger)
RELAY: Final = http.AppKey("relay", Relay)
STREAMS: Final = http.AppKey("streams", Streams)
EAR: Final = http.AppKey("ear", Ear)
FANOUT: Final = http.AppKey("fanout", Fanout)
LIVE_STATES: Final = http.AppKey("live_states", LiveStates)
STANDING: Final[http.AppKey[Standing]] = http.AppKey("standing")
LOADS: Final = http.AppKey("loads", Loads)
METRICS: Final = http.AppKey("metrics", Metrics)
PASSWORDS: Final = http.AppKey("passwords", Passwords)
SESSION_SEAL: Final = http.AppKey("session_seal", Seal)
ACCOUNT_SEAL: Final = http.AppKey("account_seal", Seal)
ERROR_PAGE: Final[http.AppKey[ErrorPage]] = http.AppKey("error_page")
