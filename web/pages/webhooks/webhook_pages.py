"""The list of webhooks with a form for another one, and the question before one is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.model import Role
from web.access.auth import require_principal
from web.operations.webhooks.webhooks import NewWebhookInput, add_webhook, delete_webhook, list_webhooks, requested_webhook
from web.pages import forms, frame, notices
from web.pages.access import form_errors, shown_once
from web.pages.access.shown_once import ShownSecret
from web.pages.settings.problems import problems_of
from web.pages.webhooks.webhook_labels import EVENT_LABELS, SUGGESTED
from web.server.errors import ApiError
from web.server.i18n import msgid

if TYPE_CHECKING:
    from aiohttp import web as http

    from web.pages.access.form_errors import Wrong

LIST: Final = "/settings/webhooks"
DELETED: Final = msgid("The webhook is deleted. Nothing is sent there any more.")
# The check boxes of a form are named by their event.
BOX: Final = "event:"


async def list_page(request: http.Request) -> http.Response:
    """The list, with a form for another one, and the key of one that was just added."""
    response = await _list(request, {"url": "", "events": SUGGESTED}, {}, 200)
    shown_once.forget(request, response)
    return response


async def create(request: http.Request) -> http.Response:
    """Add a webhook and show its key; with a wrong field the form comes back."""
    require_principal(request, Role.ADMIN)
    form = await forms.read(request)
    values = {"url": form.get("url", "").strip(), "events": [name for name in EVENT_LABELS if f"{BOX}{name}" in form]}
    new, wrong = form_errors.checked(request, NewWebhookInput, values)
    if new is None:
        return await _list(request, values, wrong, 422)
    try:
        added = await add_webhook(request, new)
    except ApiError as error:
        return await _list(request, values, problems_of(request, error), error.status)
    return shown_once.redirect(request, ShownSecret(LIST, added.url, added.key))


async def deletion(request: http.Request) -> http.Response:
    """The question before a webhook is deleted."""
    return await frame.render(request, "webhooks/deletion.html", webhook=await requested_webhook(request))


async def delete(request: http.Request) -> http.Response:
    """Delete the webhook."""
    await delete_webhook(request)
    return notices.redirect(request, LIST, DELETED)


async def _list(request: http.Request, form: dict[str, Any], wrong: Wrong, status: int) -> http.Response:
    webhooks = await list_webhooks(request)
    return await frame.render(
        request,
        "webhooks/webhooks.html",
        status=status,
        webhooks=webhooks,
        labels=EVENT_LABELS,
        form=form,
        wrong=wrong,
        box=BOX,
        shown=shown_once.take(request),
    )
