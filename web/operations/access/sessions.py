"""Browser sessions: everybody sees and ends their own, an admin those of the whole business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.model import Role
from web.operations.paging import page_of, start_below
from web.operations.runs import warn_foreign
from web.server import errors, keys

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.sessions.sessions import OpenSession
    from web.access.auth import Principal

# An id that no user has: a program has no sessions of its own.
NOBODY: Final = 0


def visible_user(principal: Principal, user_id: int | None = None) -> int | None:
    """Whose sessions a principal sees, of `user_id` alone or of all: an admin everybody's (None), anybody else their own."""
    if principal.role.allows(Role.ADMIN) and not principal.of_installation:
        return user_id
    own = principal.user_id or NOBODY
    return own if user_id in {None, own} else NOBODY


async def list_sessions(
    request: http.Request, principal: Principal, *, user_id: int | None, before: int | None, limit: int
) -> tuple[list[OpenSession], bool]:
    """At most `limit` sessions below the id `before`, the newest first, and whether there are more; `user_id` as `visible_user` tells."""
    found = await request.app[keys.SESSIONS].page(principal.business_id, user_id, before=before, limit=limit + 1)
    return page_of(found, limit)


async def start_of_previous_sessions(
    request: http.Request, principal: Principal, *, user_id: int | None, before: int | None, limit: int
) -> int | None:
    """The id below which the page of newer sessions begins; None when there is none."""
    if before is None:
        return None
    found = await request.app[keys.SESSIONS].ids_from(principal.business_id, user_id, start=before, limit=limit + 1)
    return start_below(found, limit)


async def end_session(request: http.Request, principal: Principal, session_id: int) -> None:
    """End a session that the principal sees: the next request with its cookie is rejected, and its streams end.

    Raises:
        ApiError: 404.
    """
    visible = visible_user(principal)
    if await request.app[keys.SESSIONS].end(principal.business_id, session_id, principal.actor, user_id=visible):
        return
    owner = await request.app[keys.SESSIONS].foreign(principal.business_id, session_id)
    if owner is not None:
        warn_foreign(principal, "session", session_id, owner)
    raise errors.not_found()
