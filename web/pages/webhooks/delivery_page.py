"""What was sent to a webhook, what was answered, and a button to send it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from dialer.model import Role
from dialer.webhooks.signing import body_fields
from web.access.auth import require_principal
from web.operations.runs import some_runs
from web.operations.webhooks.webhooks import STATUSES, list_deliveries, redeliver, requested_webhook, start_of_previous_deliveries
from web.pages import frame, notices
from web.pages.webhooks.webhook_labels import ERROR_LABELS, EVENT_LABELS, STATUS_KEYS, STATUS_LABELS
from web.server.errors import ApiError
from web.server.i18n import msgid
from web.server.inputs import id_of, optional_id

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.webhooks.webhooks import Delivery

ON_A_PAGE: Final = 25
MAX_ID: Final = 2**63 - 1
AGAIN: Final = msgid("The event is sent again now.")
NOT_NOW: Final = msgid("This webhook is disabled: its address answered 410 (gone). Delete it and add it again.")


async def page(request: http.Request) -> http.Response:
    """The deliveries of the webhook, the newest first, filtered by the query string."""
    webhook, principal = await requested_webhook(request), require_principal(request, Role.ADMIN)
    chosen = request.query.get("status", "") if request.query.get("status") in STATUSES else ""
    wanted: dict[str, Any] = {
        "statuses": [chosen] if chosen else None,
        "before": optional_id(request.query.get("before", ""), MAX_ID),
        "limit": ON_A_PAGE,
    }
    deliveries, more = await list_deliveries(request, webhook, **wanted)
    previous = await start_of_previous_deliveries(request, webhook, **wanted)

    def address(before: int | None) -> str:
        query = {"status": chosen} if chosen else {}
        return str(request.rel_url.with_query(query | ({"before": str(before)} if before else {})))

    return await frame.render(
        request,
        "webhooks/deliveries.html",
        webhook=webhook,
        runs=await some_runs(request, principal, {one.run_id for one in deliveries}),
        deliveries=[(one, _body(one, principal.business_id)) for one in deliveries],
        chosen=chosen,
        newer=address(previous) if previous else "",
        older=address(deliveries[-1].delivery_id) if more else "",
        labels=EVENT_LABELS,
        status_labels=STATUS_LABELS,
        status_keys=STATUS_KEYS,
        error_labels=ERROR_LABELS,
    )


async def send_again(request: http.Request) -> http.Response:
    """Send the event again, and show the list."""
    require_principal(request, Role.ADMIN)
    back = f"/settings/webhooks/{id_of(request, 'webhook_id')}"
    try:
        await redeliver(request)
    except ApiError as error:
        return notices.redirect_conflict(request, error, back, NOT_NOW)
    return notices.redirect(request, back, AGAIN)


def _body(delivery: Delivery, business_id: int) -> str:
    return json.dumps(body_fields(delivery.event(business_id)), ensure_ascii=False, indent=2)
