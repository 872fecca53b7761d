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
from sql.sessions import Sessions
from web.fanout import Fanout
from web.faults import ApiError
from web.heard import Ear
from web.intake.limiter import UploadLimiter
from web.live_states import LiveStates
from web.metrics import Metrics
from web.notices import OwnerNotices
from web.passwords import Passwords

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from dialer.ports import Clock, Ids
    from sql.shares import SharedPool
    from web.commands import PendingCommands
    from web.standing import Standing
    from web.tenancy import KnownTokens
    from web.waiting import GateReader

# Draws an error as a page; registered by the pages, used for every path that is not the API's.
ErrorPage: TypeAlias = Callable[[http.Request, ApiError], Awaitable[http.StreamResponse]]

SETTINGS: Final = http.AppKey("settings", Settings)
CLOCK: Final[http.AppKey[Clock]] = http.AppKey("clock")
IDS: Final[http.AppKey[Ids]] = http.AppKey("ids")
POOL: Final[http.AppKey[SharedPool]] = http.AppKey("pool")
BUSINESSES: Final = http.AppKey("businesses", Businesses)
SESSIONS: Final = http.AppKey("sessions", Sessions)
RUNS: Final = http.AppKey("runs", Runs)
JOBS: Final = http.AppKey("jobs", Jobs)
COMMANDS: Final = http.AppKey("commands", Commands)
ATTEMPTS: Final = http.AppKey("attempts", Attempts)
RESOLUTIONS: Final = http.AppKey("resolutions", Resolutions)
LEDGER: Final = http.AppKey("ledger", Ledger)
RELAY: Final = http.AppKey("relay", Relay)
NOTICES: Final = http.AppKey("notices", OwnerNotices)
GATES: Final[http.AppKey[GateReader]] = http.AppKey("gates")
STREAMS: Final = http.AppKey("streams", Streams)
EAR: Final = http.AppKey("ear", Ear)
FANOUT: Final = http.AppKey("fanout", Fanout)
PENDING_COMMANDS: Final[http.AppKey[PendingCommands]] = http.AppKey("pending_commands")
KNOWN_TOKENS: Final[http.AppKey[KnownTokens]] = http.AppKey("known_tokens")
TRUSTED_PROXIES: Final[http.AppKey[tuple[IPv4Network | IPv6Network, ...]]] = http.AppKey("trusted_proxies")
UPLOADS: Final = http.AppKey("uploads", UploadLimiter)
LIVE_STATES: Final = http.AppKey("live_states", LiveStates)
STANDING: Final[http.AppKey[Standing]] = http.AppKey("standing")
METRICS: Final = http.AppKey("metrics", Metrics)
PASSWORDS: Final = http.AppKey("passwords", Passwords)
SESSION_SEAL: Final = http.AppKey("session_seal", Seal)
ACCOUNT_SEAL: Final = http.AppKey("account_seal", Seal)
ERROR_PAGE: Final[http.AppKey[ErrorPage]] = http.AppKey("error_page")
