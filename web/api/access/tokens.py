"""The API tokens of a business over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web as http

from dialer.model import Role
from web.access.auth import require_principal
from web.api.access.users import PageQuery
from web.api.pagination import page_response
from web.api.replies import canonical_json
from web.api.serializers import moment
from web.operations.access.tokens import NewTokenInput, create_token, list_tokens, revoke_token, start_of_previous_tokens
from web.operations.explanations.principal_labels import names_of
from web.server.error_responses import translated
from web.server.inputs import body_of, id_of, query_of

if TYPE_CHECKING:
    from sql.tokens.tokens import ListedToken

routes = http.RouteTableDef()


@routes.get("/api/tokens")
async def index(request: http.Request) -> http.Response:
    """List the tokens of the business, without their secrets."""
    principal = require_principal(request, Role.ADMIN)
    query = query_of(request, PageQuery)
    found, more = await list_tokens(request, principal, after=query.cursor, limit=query.limit)
    previous = await start_of_previous_tokens(request, principal, after=query.cursor, limit=query.limit)
    names = await names_of(request, principal.business_id, {token.created_by for token in found})
    items = [{**_token_json(token), "created_by_name": translated(request, names[token.created_by])} for token in found]
    return page_response(items, following=found[-1].token_id if more else None, previous=previous)


@routes.post("/api/tokens")
async def create(request: http.Request) -> http.Response:
    """Add a token; its secret is in this answer only."""
    require_principal(request, Role.ADMIN)
    answer = await create_token(request, await body_of(request, NewTokenInput))
    return canonical_json({**_token_json(answer.token), "token": answer.secret}, status=201)


@routes.delete("/api/tokens/{token_id}")
async def revoke(request: http.Request) -> http.Response:
    """Revoke a token."""
    require_principal(request, Role.ADMIN)
    await revoke_token(request, id_of(request, "token_id"))
    return http.Response(status=204)


def _token_json(token: ListedToken) -> dict[str, Any]:
    return {
        "token_id": token.token_id,
        "name": token.name,
        "role": token.role,
        "created_at": moment(token.created_at),
        "created_by": token.created_by,
        "last_used_at": moment(token.last_used_at),
    }
