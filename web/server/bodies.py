"""Receives the body of a request at a minimum pace, so that a client cannot hold resources by sending nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import ClientError, ClientPayloadError
from aiohttp import web as http
from aiohttp.http_exceptions import HttpProcessingError

from web.server import errors
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KILOBYTE: Final = 1024
MEGABYTE: Final = 1024 * 1024
# Raised by the parser when a body contradicts its headers, and when the connection is lost in the middle of it.
BROKEN: Final = (http.RequestPayloadError, HttpProcessingError, ClientPayloadError, ClientError, ConnectionError, EOFError)


@dataclass(frozen=True, slots=True)
class BodyPace:
    """The slowest a body may arrive: no pause longer than `pause_seconds`; after `grace_seconds`, `bytes_per_second` on average."""

    pause_seconds: float = 15.0
    grace_seconds: float = 20.0
    bytes_per_second: float = 32.0 * KILOBYTE


# The pace of uploads, and that of all other bodies.
UPLOAD_PACE: Final = http.AppKey("upload_pace", BodyPace)
SMALL_BODY_PACE: Final = http.AppKey("small_body_pace", BodyPace)


async def pieces_of(request: http.Request, limit: int, pace: BodyPace) -> AsyncIterator[bytes]:
    """The body as it arrives; `limit` is in bytes.

    Raises:
        ApiError: 400 when it is broken, 408 when it is too slow, 413 when it has more than `limit` bytes, 415 when it is compressed.
    """
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise ApiError(415, "unsupported_media_type", Text(msgid("Send the body without compression (no Content-Encoding).")))
    if (request.content_length or 0) > limit:
        raise errors.too_large(limit // MEGABYTE or 1)
    loop = asyncio.get_running_loop()
    started, received = loop.time(), 0
    while True:
        latest = started + pace.grace_seconds + received / pace.bytes_per_second
        try:
            # Of a body that has arrived already nothing is waited for.
            async with asyncio.timeout_at(None if request.content.is_eof() else min(latest, loop.time() + pace.pause_seconds)):
                piece = await request.content.readany()
        except TimeoutError:
            raise _too_slow() from None
        except BROKEN:
            raise ApiError(400, "bad_request", Text(msgid("The request could not be read."))) from None
        if not piece:
            return
        received += len(piece)
        if received > limit:
            raise errors.too_large(limit // MEGABYTE or 1)
        yield piece


def _too_slow() -> ApiError:
    return ApiError(408, "too_slow", Text(msgid("The request did not arrive in time.")), headers={"Connection": "close"})
