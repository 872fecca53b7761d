"""The API tokens of a business: the list with a form for another one, and the question before one is revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.messages import SERIAL_MAX
from dialer.model import Role
from web.access.auth import require_principal
from web.operations.access.tokens import NewTokenInput, create_token, find_token, list_tokens, revoke_token, start_of_previous_tokens
from web.operations.explanations.principal_labels import TOKEN, names_of
from web.pages import forms, frame, notices
from web.pages.access import form_errors, shown_once
from web.pages.access.shown_once import ShownSecret
from web.pages.labels import ROLE_LABELS
from web.pages.settings.problems import problems_of
from web.server.error_responses import translated
from web.server.errors import ApiError
from web.server.i18n import msgid, sentence
from web.server.inputs import id_of, optional_id

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.tokens.tokens import ListedToken
    from web.pages.access.form_errors import Wrong
    from web.pages.forms import Form

LIST: Final = "/settings/tokens"
ON_A_PAGE: Final = 100
REVOKED: Final = msgid("{name} is revoked. Programs that use it are rejected from now on.")


async def list_page(request: http.Request) -> http.Response:
    """The list, with a form for another token, and the secret of one that was just made."""
    response = await _list(request, {"role": Role.OPERATOR}, {}, 200)
    shown_once.forget(request, response)
    return response


async def create(request: http.Request) -> http.Response:
    """Add a token and show its secret; with a wrong field the form comes back."""
    require_principal(request, Role.ADMIN)
    form = await forms.read(request)
    new, wrong = form_errors.checked(request, NewTokenInput, form)
    if new is None:
        return await _list(request, form, wrong, 422)
    try:
        answer = await create_token(request, new)
    except ApiError as error:
        return await _list(request, form, problems_of(request, error), error.status)
    return shown_once.redirect(request, ShownSecret(LIST, answer.token.name, answer.secret))


async def revocation(request: http.Request) -> http.Response:
    """The question before a token is revoked."""
    principal = require_principal(request, Role.ADMIN)
    token = await find_token(request, principal, id_of(request, "token_id"))
    return await frame.render(request, "access/token_revocation.html", token=token, name=_name(request, token))


async def revoke(request: http.Request) -> http.Response:
    """Revoke the token."""
    principal = require_principal(request, Role.ADMIN)
    token = await find_token(request, principal, id_of(request, "token_id"))
    await revoke_token(request, token.token_id)
    return notices.redirect(request, LIST, REVOKED, name=_name(request, token))


def _name(request: http.Request, token: ListedToken) -> str:
    return token.name or sentence(request, TOKEN, id=token.token_id)


async def _list(request: http.Request, form: Form | dict[str, Any], wrong: Wrong, status: int) -> http.Response:
    principal = require_principal(request, Role.ADMIN)
    after = optional_id(request.query.get("after", ""), SERIAL_MAX) or 0
    tokens, more = await list_tokens(request, principal, after=after, limit=ON_A_PAGE)
    previous = await start_of_previous_tokens(request, principal, after=after, limit=ON_A_PAGE)
    makers = translated(request, await names_of(request, principal.business_id, {token.created_by for token in tokens}))
    return await frame.render(
        request,
        "access/tokens.html",
        status=status,
        tokens=[(token, _name(request, token), makers[token.created_by]) for token in tokens],
        roles=ROLE_LABELS,
        form=form,
        wrong=wrong,
        shown=shown_once.take(request),
        previous=None if previous is None else f"{LIST}?after={previous}",
        following=f"{LIST}?after={tokens[-1].token_id}" if more else None,
    )
