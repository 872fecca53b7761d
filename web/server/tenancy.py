"""Assigns each request to a tenant, whose share of the database connections it uses: its business, or else its client's address.

Commands, signed callbacks and health checks may also use the reserve.

A callback names its business itself, and anyone can send a callback that names any business, so it belongs to no business until its
signature is verified. The process keeps the tokens of the default account and of each account it has verified a signature for. With them
it verifies most signatures before the first query (`web/twilio/receiver.py`), so the share of Twilio's callbacks does not depend on their
addresses. Callbacks of other accounts are looked up in the share of their address, without the reserve. If other clients fill that share
from the same address, behind a proxy that is not trusted, Twilio gets a 503 and retries; the first callback that gets through makes its
account known.
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
# The routes of commands: ending and pausing calls must work when everything else is busy.
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
    """The business each token belonged to when it was last used: it decides whose share the look-up uses, and never grants access."""

    def __init__(self) -> None:
        self._businesses: OrderedDict[bytes, int] = OrderedDict()

    def business_of(self, digest: bytes) -> int | None:
        """The business, or None for a token not used lately."""
        return self._businesses.get(digest)

    def remember(self, digest: bytes, business_id: int) -> None:
        """Note that this token is valid."""
        self._businesses[digest] = business_id
        self._businesses.move_to_end(digest)
        if len(self._businesses) > MAX_REMEMBERED_TOKENS:
            self._businesses.popitem(last=False)


@contextmanager
def share_of(request: http.Request) -> Iterator[None]:
    """Run the queries of this request in the share of the tenant it seems to come from."""
    previous = CURRENT_USE.set(Use(_tenant(request), urgent=_urgent(request)))
    try:
        yield
    finally:
        CURRENT_USE.reset(previous)


def belongs_to(business_id: int) -> None:
    """From here on the current request uses the share of this business."""
    CURRENT_USE.set(Use(business(business_id), urgent=CURRENT_USE.get().urgent))


def signed_by(account: str) -> None:
    """From here on the current request, a callback signed by this account, uses the account's share and the reserve."""
    CURRENT_USE.set(Use(f"callbacks:{account}", urgent=True))


def business(business_id: int) -> str:
    """The name of a business as a tenant."""
    return f"business:{business_id}"


def _tenant(request: http.Request) -> str:
    path = local_path(request)
    if path.startswith(HEALTH):
        return "health"
    if path.startswith(PROVIDER):
        # Separate from the pages: a proxy may give all of them one address.
        return f"unsigned:{client_address(request)}"
    return f"address:{client_address(request)}"


def _urgent(request: http.Request) -> bool:
    if local_path(request).startswith(HEALTH):
        return True
    resource = request.match_info.route.resource
    return request.method == "POST" and resource is not None and resource.canonical in COMMANDS
