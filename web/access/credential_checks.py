"""Asks again, while a stream is open, whether its reader is still signed in: a sign-out or a withdrawn token ends the stream.

On the road of a call: beside it; who may still look.
"""

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

# How long a stream may outlive the right to it.
RECHECK_SECONDS: Final = 8.0


class Standing:
    """The question of each credential, asked once for all streams that were opened with it."""

    def __init__(self) -> None:
        self._of_credential: WeakValueDictionary[bytes, SharedRead[Principal | None]] = WeakValueDictionary()

    def of(self, request: http.Request) -> SharedRead[Principal | None]:
        """Who the credential of this request belongs to now; None when it opens nothing any more.

        Raises:
            DatabaseUnavailableError: from the reading, when PostgreSQL is away.
        """
        shown = [request.headers.get(name, "") for name in ("Authorization", "Cookie")]
        key = hashlib.sha256("\n".join(shown).encode(errors="replace")).digest()
        found = self._of_credential.get(key)
        if found is None:
            found = self._of_credential[key] = SharedRead(lambda: _identify(request))
        return found


async def still_allowed(asked: SharedRead[Principal | None], principal: Principal) -> bool:
    """False when the credential is no longer that of `who`; while PostgreSQL is away nobody can tell, and the stream stays."""
    try:
        now = await asked.recent(RECHECK_SECONDS)
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
