"""Writes the replies of commands: in a fixed order of fields, and the same again for a repeated Idempotency-Key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web as http

from web.access.auth import require_principal
from web.operations.idempotency import IDEMPOTENCY_KEY, request_id
from web.server import keys

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sql.commands.commands import Answer


async def reply(request: http.Request, answer: Answer, describe: Callable[[], Awaitable[dict[str, Any]]]) -> http.Response:
    """Reply to a command with what `describe` returns; a repeat with the same Idempotency-Key gets the first reply, byte for byte."""
    body = answer.shown
    if body is None:
        body = await describe()
        if IDEMPOTENCY_KEY in request.headers:
            await request.app[keys.COMMANDS].remember(require_principal(request).business_id, request_id(request), body)
    return canonical_json(body)


def canonical_json(body: dict[str, Any], status: int = 200) -> http.Response:
    """`body` with sorted keys: PostgreSQL's jsonb does not keep their order, and a repeated reply must not differ."""
    return http.json_response(text=json.dumps(body, sort_keys=True), status=status)
