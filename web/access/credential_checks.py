"""Checks the credential of an open stream again and again: a sign-out or a revoked token ends the stream."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from aiohttp import web as http

from sql.errors import DatabaseUnavailableError
from web.access import auth
from web.server.errors import ApiError
from web.server.shared_read import SharedRead

if TYPE_CHECKING:
    from web.access.auth import Principal

# How long a stream may outlive its credential.
RECHECK_SECONDS: Final = 8.0


class CredentialChecks:
    """One check a credential, shared by all streams that were opened with it."""

    def __init__(self) -> None:
        self._of_credential: WeakValueDictionary[bytes, SharedRead[Principal | None]] = WeakValueDictionary()

    def of(self, request: http.Request) -> SharedRead[Principal | None]:
        """The read of the principal this request's credential belongs to now, None when it is no longer valid.

        The read raises DatabaseUnavailableError when PostgreSQL is unavailable.
        """
        credential = [request.headers.get(name, "") for name in ("Authorization", "Cookie")]
        key = hashlib.sha256("\n".join(credential).encode(errors="replace")).digest()
        check = self._of_credential.get(key)
        if check is None:
            check = self._of_credential[key] = SharedRead(lambda: _identify(request))
        return check


async def still_valid(check: SharedRead[Principal | None], principal: Principal) -> bool:
    """False when the credential no longer belongs to `principal`; while PostgreSQL is unavailable the stream is kept."""
    try:
        now = await check.recent(RECHECK_SECONDS)
    except DatabaseUnavailableError:
        return True
    return now is not None and (now.business_id, now.actor) == (principal.business_id, principal.actor)


async def _identify(request: http.Request) -> Principal | None:
    try:
        await auth.identify(request, _nothing)
    except ApiError:
        return None
    return auth.principal_of(request)


async def _nothing(_: http.Request) -> http.StreamResponse:
    return http.Response()
