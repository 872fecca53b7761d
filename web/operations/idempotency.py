"""Gives each request an id: a request repeated with the same Idempotency-Key gets the same id."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from sql.commands.requests import RequestIdentity
from web.server import errors, keys
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from aiohttp import web as http

    from web.access.auth import Principal

MAX_KEY_CHARACTERS: Final = 255
IDEMPOTENCY_KEY: Final = "Idempotency-Key"


def request_id(request: http.Request) -> str:
    """The id of this request: a digest of Idempotency-Key, method and path, or a new one when there is no key.

    Raises:
        ApiError: 422, when the key is not 1 to 255 printable characters.
    """
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return f"http:{request.app[keys.IDS].uuid()}"
    if not 0 < len(key) <= MAX_KEY_CHARACTERS or not key.isprintable():
        why = Text(msgid("must have 1 to {most} printable characters"), {"most": MAX_KEY_CHARACTERS})
        raise errors.wrong_field(name=IDEMPOTENCY_KEY, why=why)
    identity = f"{request.method}|{request.path}|{key}"
    return f"http:{hashlib.sha256(identity.encode(errors='replace')).hexdigest()}"


def identity_of(request: http.Request, principal: Principal, content: Any) -> RequestIdentity:  # noqa: ANN401 - any JSON
    """What tells this request with this content from others; the content may hold a password: its digest needs our key.

    Raises:
        ApiError: 422, when the key is not 1 to 255 printable characters.
    """
    text = json.dumps([request.method, request.path, content], sort_keys=True, default=str)
    return RequestIdentity(request_id(request), request.app[keys.ANSWER_SEAL].digest(text.encode(errors="replace")), principal.actor)
