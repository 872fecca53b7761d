"""Adds and deletes webhooks of a business, lists their deliveries, and sends one again."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from dialer.model import Role
from dialer.sealing import BrokenSealError
from dialer.webhooks.signing import EVENT_TYPES, EventType
from dialer.webhooks.targets import AllowedHosts, WrongTargetError, check_target, is_public
from sql.webhooks.webhooks import NewWebhook, WebhookRequest
from web.access.auth import require_principal
from web.operations.idempotency import request_id
from web.operations.paging import page_of, start_below
from web.operations.runs import warn_foreign
from web.server import errors, keys
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import Input, id_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web as http

    from sql.webhooks.webhooks import Delivery, Webhook, WebhookAnswer
    from web.access.auth import Principal

# A further one costs each event of the business another request.
MAX_WEBHOOKS: Final = 10
STATUSES: Final = ("pending", "delivered", "failed")
LOOKUP_SECONDS: Final = 3.0
PRIVATE: Final = "private"
WRONG_TARGET: Final = {
    "not_an_address": msgid("must be an address as https://crm.example.com/ringmaster, without user, password and #"),
    "not_https": msgid("must begin with https://"),
    PRIVATE: msgid("must be reachable from the internet: this is an address of a private network"),
}
TOO_MANY: Final = msgid("There are {most} webhooks already. Delete one that is not needed any more.")
DISABLED: Final = msgid("This webhook is disabled: its address answered 410 (gone). Delete it and add it again.")
LOST_KEY: Final = msgid("The key cannot be shown again. Delete this webhook and add it anew.")


@dataclass(frozen=True, slots=True)
class WebhookKey:
    """A webhook with its key, which is shown this once."""

    webhook_id: int
    url: str
    events: Sequence[str]
    created_at: str
    key: str = field(repr=False)


class NewWebhookInput(Input):
    """An address, and the types of the events that are sent there."""

    url: str
    events: Annotated[list[EventType], Field(min_length=1, max_length=len(EVENT_TYPES))]


async def add_webhook(request: http.Request, asked: NewWebhookInput) -> WebhookKey:
    """Add a webhook that gets these types of events.

    Raises:
        ApiError: 401 or 403; 409 when there are too many; 422 when nothing may be sent to this address.
    """
    principal = require_principal(request, Role.ADMIN)
    if len(set(asked.events)) < len(asked.events):
        raise errors.wrong_field(name="events", why=Text(msgid("must not repeat a value")))
    await _check(asked.url, request.app[keys.WEBHOOK_HOSTS])
    new = NewWebhook(asked.url, asked.events, request.app[keys.WEBHOOK_KEYS].new())
    answer = await request.app[keys.WEBHOOKS].add(_asked(request, principal), new, most=MAX_WEBHOOKS)
    _refuse(answer.code)
    return WebhookKey(answer.webhook_id, asked.url, asked.events, answer.created_at, _opened(request, answer))


async def list_webhooks(request: http.Request) -> list[Webhook]:
    """The webhooks of the admin's business."""
    return await request.app[keys.WEBHOOKS].of(require_principal(request, Role.ADMIN).business_id)


async def delete_webhook(request: http.Request) -> None:
    """Delete the webhook in the path; what has not been sent is given up.

    Raises:
        ApiError: 401, 403 or 404.
    """
    principal, webhook_id = require_principal(request, Role.ADMIN), id_of(request, "webhook_id")
    if not await request.app[keys.WEBHOOKS].delete(principal.business_id, webhook_id, principal.actor):
        raise await _not_found(request, principal, webhook_id)


async def requested_webhook(request: http.Request) -> Webhook:
    """The webhook whose id is in the path.

    Raises:
        ApiError: 401, 403 or 404.
    """
    principal, webhook_id = require_principal(request, Role.ADMIN), id_of(request, "webhook_id")
    found = [one for one in await list_webhooks(request) if one.webhook_id == webhook_id]
    if not found:
        raise await _not_found(request, principal, webhook_id)
    return found[0]


async def list_deliveries(
    request: http.Request, webhook: Webhook, *, statuses: Sequence[str] | None, before: int | None, limit: int
) -> tuple[list[Delivery], bool]:
    """At most `limit` deliveries with an id below `before`, the newest first, and whether there are older ones."""
    business_id = require_principal(request, Role.ADMIN).business_id
    found = await request.app[keys.WEBHOOKS].page(business_id, webhook.webhook_id, statuses=statuses, before=before, limit=limit + 1)
    return page_of(found, limit)


async def start_of_previous_deliveries(
    request: http.Request, webhook: Webhook, *, statuses: Sequence[str] | None, before: int | None, limit: int
) -> int | None:
    """The id below which the page of newer deliveries begins; None when there are no newer ones."""
    if before is None:
        return None
    business_id = require_principal(request, Role.ADMIN).business_id
    found = await request.app[keys.WEBHOOKS].ids_from(business_id, webhook.webhook_id, statuses=statuses, start=before, limit=limit + 1)
    return start_below(found, limit)


async def redeliver(request: http.Request) -> int:
    """Send the delivery in the path again; return its id.

    Raises:
        ApiError: 401, 403 or 404; 409 when the webhook is disabled.
    """
    principal, delivery_id = require_principal(request, Role.ADMIN), id_of(request, "delivery_id", largest=2**63 - 1)
    webhook = await requested_webhook(request)
    code = await request.app[keys.WEBHOOKS].redeliver(_asked(request, principal), webhook.webhook_id, delivery_id)
    if code == "not_found":
        owner = await request.app[keys.WEBHOOKS].delivery_owner(principal.business_id, delivery_id)
        if owner is not None:
            warn_foreign(principal, "delivery", delivery_id, owner)
    _refuse(code)
    return delivery_id


def _asked(request: http.Request, principal: Principal) -> WebhookRequest:
    return WebhookRequest(principal.business_id, request_id(request), principal.actor)


def _refuse(code: str) -> None:
    if code == "id_reused":
        raise errors.idempotency_conflict()
    if code == "too_many":
        raise errors.invalid_state(Text(TOO_MANY, {"most": MAX_WEBHOOKS}))
    if code == "disabled":
        raise errors.invalid_state(Text(DISABLED))
    if code:
        raise errors.not_found()


def _opened(request: http.Request, answer: WebhookAnswer) -> str:
    try:
        return request.app[keys.WEBHOOK_KEYS].open(answer.sealed_key)
    except BrokenSealError:
        # A repeated request, and SECRET_KEY has lost the key of the first one meanwhile.
        raise errors.invalid_state(Text(LOST_KEY)) from None


async def _check(url: str, allowed: AllowedHosts) -> None:
    try:
        host, port = check_target(url, allowed)
    except WrongTargetError as error:
        raise _wrong(str(error)) from None
    if (host, port) not in allowed and not await _may_be_public(host, port):
        raise _wrong(PRIVATE)


async def _may_be_public(host: str, port: int) -> bool:
    """Whether a name has a public address. One that has none yet may get one; each try checks it again."""
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            found: Sequence[tuple[Any, ...]] = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return True
    return any(is_public(str(place[0])) for *_, place in found)


def _wrong(code: str) -> ApiError:
    return errors.wrong_field(name="url", why=Text(WRONG_TARGET[code]))


async def _not_found(request: http.Request, principal: Principal, webhook_id: int) -> ApiError:
    owner = await request.app[keys.WEBHOOKS].owner(principal.business_id, webhook_id)
    if owner is not None:
        warn_foreign(principal, "webhook", webhook_id, owner)
    return errors.not_found()
