"""What all requests of Twilio have in common: a form that is signed, and the answers to one that is not."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web as http
from multidict import MultiDict

from dialer.log import about
from dialer.model import Reference
from sql.stored_text import storable
from telephony.twilio import callbacks
from web.server import errors, keys
from web.server.addresses import raw_local_path
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import read
from web.twilio.receiver import SignedRequest, UnknownReferenceError, UnsignedError

if TYPE_CHECKING:
    from collections.abc import Awaitable

log = logging.getLogger(__name__)

Received = TypeVar("Received")
# All that PostgreSQL cannot store of a decoded field: what is no UTF-8 has become U+FFFD.
NUL = re.compile("\x00|%00")


def twiml_response(text: str) -> http.Response:
    """TwiML as a response."""
    return http.Response(text=text, content_type="text/xml")


def signed_request(request: http.Request, form: MultiDict[str]) -> SignedRequest:
    """The request as its signature covers it."""
    return SignedRequest(request.match_info["reference"], raw_local_path(request), request.headers, form)


async def accepted(request: http.Request, received: Awaitable[Received]) -> Received:
    """What the receiver returns.

    Raises:
        ApiError: 403 when Twilio did not sign it, whether or not the reference exists; 404 when it did and the reference does not exist;
            400 when a field is malformed.
    """
    try:
        with about(**_ids(request)):
            return await received
    except UnsignedError:
        raise unsigned(request) from None
    except UnknownReferenceError:
        raise _rejected(request, "stranger", errors.not_found()) from None
    except ValueError as error:
        # Its message names the field, never the content.
        text = Text(msgid("The request could not be read."))
        unreadable = ApiError(400, "bad_request", text, details=[{"field": "body", "message": str(error)}])
        raise _rejected(request, "unreadable", unreadable) from None


async def form_of(request: http.Request) -> MultiDict[str]:
    """The fields of the body; those that cannot be stored are left out."""
    body = await read(request)
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=callbacks.MAX_FIELDS)
    except (UnicodeDecodeError, ValueError):
        return MultiDict()
    if NUL.search(text):
        pairs = [(name, value) for name, value in pairs if storable(name) and storable(value)]
    return MultiDict(pairs)


def unsigned(request: http.Request) -> ApiError:
    """The provider did not sign this request."""
    return _rejected(request, "unsigned", ApiError(403, "unsigned", Text(msgid("This request is not signed by the provider."))))


def _ids(request: http.Request) -> dict[str, int]:
    """What the address says of the call, whoever sent it."""
    with suppress(ValueError):
        reference = Reference.parse(request.match_info.get("reference", ""))
        return {"business_id": reference.business_id, "attempt_id": reference.attempt_id}
    return {}


def _rejected(request: http.Request, verdict: str, error: ApiError) -> ApiError:
    request.app[keys.METRICS].callbacks.labels(verdict).inc()
    with about(**_ids(request)):
        log.warning("a callback was rejected: %s", verdict)
    return error
