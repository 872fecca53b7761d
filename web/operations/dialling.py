"""Stops all dialling of a business, and resumes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.messages import CommandType, RunChanged
from dialer.model import Role
from sql.dialling.dialling import DiallingRequest
from web.access.auth import require_principal
from web.operations.idempotency import request_id
from web.server import errors, keys

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.dialling.dialling import DiallingState


MAX_REASON_CHARACTERS: Final = 500


async def change_dialling(request: http.Request, *, stop: bool, reason: str | None) -> DiallingState:
    """Stop the dialling of the operator's business, or resume it, and notify its worker.

    Raises:
        ApiError: 401, 403 or 409.
        DatabaseUnavailableError: when PostgreSQL is unavailable, or another session holds the lane of the business.
    """
    principal = require_principal(request, Role.OPERATOR)
    asked = DiallingRequest(principal.business_id, stop, reason, principal.actor, request_id(request))
    answer = await request.app[keys.DIALLING].change(asked)
    request.app[keys.METRICS].commands.labels(asked.type, answer.code or "accepted").inc()
    if answer.state is None:
        raise errors.idempotency_conflict()
    if not stop and answer.partition is not None and answer.run_id is not None:
        # One hint is enough: its worker claims for all runs of the business.
        hint = RunChanged(principal.business_id, answer.run_id, CommandType.RESUME)
        request.app[keys.OWNER_HINTS].send(answer.partition, hint)
    return answer.state
