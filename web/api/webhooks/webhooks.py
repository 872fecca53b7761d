"""The webhooks of a business over HTTP: list, add, delete; their deliveries, and sending one again."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

from aiohttp import web as http
from pydantic import Field

from dialer.model import Role
from dialer.webhooks.signing import body_fields
from web.access.auth import require_principal
from web.api.pagination import DEFAULT_PAGE, MAX_PAGE, page_response, words_of
from web.api.replies import canonical_json
from web.api.serializers import moment
from web.operations.webhooks.webhooks import (
    STATUSES,
    NewWebhookInput,
    add_webhook,
    delete_webhook,
    list_deliveries,
    list_webhooks,
    redeliver,
    requested_webhook,
    start_of_previous_deliveries,
)
from web.server.inputs import Input, body_of, query_of

if TYPE_CHECKING:
    from dialer.messages import Event
    from sql.webhooks.webhooks import Delivery, Webhook

routes = http.RouteTableDef()

MAX_ID: Final = 2**63 - 1


class DeliveriesQuery(Input):
    """Which deliveries to list; `cursor` is that of a page beside this one."""

    status: str | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Annotated[int, Field(ge=1, le=MAX_ID)] | None = None


class Nothing(Input):
    """No fields."""


@routes.get("/api/webhooks")
async def index(request: http.Request) -> http.Response:
    """List the webhooks of the business; never their keys."""
    found = [_webhook_json(webhook) for webhook in await list_webhooks(request)]
    return page_response(found, following=None, previous=None)


@routes.post("/api/webhooks")
async def add(request: http.Request) -> http.Response:
    """Add a webhook; its key is shown this once."""
    require_principal(request, Role.ADMIN)
    new = await body_of(request, NewWebhookInput)
    return canonical_json(asdict(await add_webhook(request, new)), status=201)


@routes.delete("/api/webhooks/{webhook_id}")
async def delete(request: http.Request) -> http.Response:
    """Delete a webhook."""
    await delete_webhook(request)
    return http.Response(status=204)


@routes.get("/api/webhooks/{webhook_id}/deliveries")
async def deliveries(request: http.Request) -> http.Response:
    """List what was sent to a webhook, and what became of it, the newest first."""
    webhook = await requested_webhook(request)
    query = query_of(request, DeliveriesQuery)
    wanted: dict[str, Any] = {"statuses": words_of("status", query.status, STATUSES), "before": query.cursor, "limit": query.limit}
    found, more = await list_deliveries(request, webhook, **wanted)
    previous = await start_of_previous_deliveries(request, webhook, **wanted)
    business_id = require_principal(request, Role.ADMIN).business_id
    items = [_delivery_json(one, one.event(business_id)) for one in found]
    return page_response(items, following=found[-1].delivery_id if more else None, previous=previous)


@routes.post("/api/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver")
async def send_again(request: http.Request) -> http.Response:
    """Send an event again, now."""
    require_principal(request, Role.ADMIN)
    await body_of(request, Nothing)
    return canonical_json({"delivery_id": await redeliver(request), "status": "pending"}, status=202)


def _webhook_json(webhook: Webhook) -> dict[str, Any]:
    times = {name: moment(getattr(webhook, name)) for name in ("created_at", "failing_since", "disabled_at")}
    return {**asdict(webhook), **times}


def _delivery_json(delivery: Delivery, event: Event) -> dict[str, Any]:
    times = {name: moment(getattr(delivery, name)) for name in ("created_at", "tried_at", "ended_at", "next_try_at")}
    hidden = ("event_id", "command_id", "at", "data")
    shown = {name: value for name, value in asdict(delivery).items() if name not in hidden}
    return {**shown, **times, "event_id": event.id, "body": body_fields(event)}
