"""Browser sessions over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from aiohttp import web as http
from pydantic import Field

from dialer.messages import JOB_ID_MAX, SERIAL_MAX
from web.access.auth import require_any
from web.api.pagination import DEFAULT_PAGE, MAX_PAGE, page_response
from web.api.serializers import moment
from web.operations.access.sessions import end_session, list_sessions, start_of_previous_sessions, visible_user
from web.server.inputs import Input, id_of, query_of

if TYPE_CHECKING:
    from sql.sessions.sessions import OpenSession
    from web.access.auth import Principal

routes = http.RouteTableDef()


class SessionsQuery(Input):
    """Whose sessions to list, and which page."""

    user_id: Annotated[int, Field(ge=1, le=SERIAL_MAX)] | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Annotated[int, Field(ge=1, le=JOB_ID_MAX)] | None = None


@routes.get("/api/sessions")
async def index(request: http.Request) -> http.Response:
    """List one's own open sessions; an admin's request those of the whole business."""
    principal = require_any(request)
    query = query_of(request, SessionsQuery)
    user_id = visible_user(principal, query.user_id)
    found, more = await list_sessions(request, principal, user_id=user_id, before=query.cursor, limit=query.limit)
    previous = await start_of_previous_sessions(request, principal, user_id=user_id, before=query.cursor, limit=query.limit)
    items = [_session_json(principal, session) for session in found]
    return page_response(items, following=found[-1].session_id if more else None, previous=previous)


@routes.delete("/api/sessions/{session_id}")
async def end(request: http.Request) -> http.Response:
    """End a session."""
    principal = require_any(request)
    await end_session(request, principal, id_of(request, "session_id", JOB_ID_MAX))
    return http.Response(status=204)


def _session_json(principal: Principal, session: OpenSession) -> dict[str, Any]:
    return {
        "session_id": session.session_id,
        "user_id": session.user_id,
        "email": session.email,
        "address": session.address,
        "user_agent": session.user_agent,
        "created_at": moment(session.created_at),
        "last_seen_at": moment(session.last_seen_at),
        "expires_at": moment(session.expires_at),
        "current": session.session_id == principal.session_id,
    }
