"""For whom a request uses what all share: its business, once that is known; before that, or without one, the address it came from.

Commands, signed callbacks and the question whether this process is ready may use the reserve.

A callback names its business itself, and a stranger can name any number of them: it is nobody's until its signature says otherwise. The
token of the default account, and of each account whose signature was right once, is at hand, so most signatures are checked before the
database is asked anything (`web/twilio/receiver.py`), and the share of Twilio's callbacks does not depend on the addresses they come from.
The others, of an account not heard of since this process began, are looked up in the share of their address, without the reserve. Should
strangers fill that share from the same address, behind a proxy that is not trusted, then Twilio is answered 503 and comes again, and the
first callback that gets through makes its account known.

On the road of a call: at its entrance; whatever asks the database behind it does so within the share of one tenant.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dialer.shares import Use
from sql.shares import CURRENT_USE
from web.server.addresses import client_address, local_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web as http

MAX_REMEMBERED_TOKENS: Final = 10_000
PROVIDER: Final = ("/callbacks/", "/twiml/")
HEALTH: Final = ("/healthz", "/readyz", "/metrics")
# The routes of commands: what ends or holds calls must work when everything else is busy.
COMMANDS: Final = frozenset(
    {
        "/api/outbound/runs/{run_id}/{verb}",
        "/api/outbound_calls/jobs/{job_id}/cancel",
        "/api/outbound/stop-queue",
        "/api/outbound/runs/{run_id}/jobs/{job_id}/cancel",
        "/runs/{run_id}/{action}",
        "/runs/{run_id}/jobs/{job_id}/cancel",
    }
)


class KnownTokens:
    """Which business a token belonged to when it was last shown: a hint whose share its look-up uses, and never a right."""

    def __init__(self) -> None:
        self._businesses: OrderedDict[bytes, int] = OrderedDict()

    def business_of(self, digest: bytes) -> int | None:
        """The business, or None for a token not seen lately."""
        return self._businesses.get(digest)

    def remember(self, digest: bytes, business_id: int) -> None:
        """This token has been shown, and is valid."""
        self._businesses[digest] = business_id
        self._businesses.move_to_end(digest)
        if len(self._businesses) > MAX_REMEMBERED_TOKENS:
            self._businesses.popitem(last=False)


@contextmanager
def share_of(request: http.Request) -> Iterator[None]:
    """Let everything this request asks of the database be asked for whom it seems to come from."""
    previous = CURRENT_USE.set(Use(_tenant(request), urgent=_urgent(request)))
    try:
        yield
    finally:
        CURRENT_USE.reset(previous)


def belongs_to(business_id: int) -> None:
    """The running request belongs to this business: from here on it uses the share of that one."""
    CURRENT_USE.set(Use(business(business_id), urgent=CURRENT_USE.get().urgent))


def signed_by(account: str) -> None:
    """The running request is a callback that carries this account's signature: its share is that of `account`, with the reserve."""
    CURRENT_USE.set(Use(f"callbacks:{account}", urgent=True))


def business(business_id: int) -> str:
    """The name of a business among those who share."""
    return f"business:{business_id}"


def _tenant(request: http.Request) -> str:
    path = local_path(request)
    if path.startswith(HEALTH):
        return "health"
    if path.startswith(PROVIDER):
        # Apart from the pages: a proxy may give all of them one address.
        return f"unsigned:{client_address(request)}"
    return f"address:{client_address(request)}"


def _urgent(request: http.Request) -> bool:
    if local_path(request).startswith(HEALTH):
        return True
    resource = request.match_info.route.resource
    return request.method == "POST" and resource is not None and resource.canonical in COMMANDS
