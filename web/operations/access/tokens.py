"""The API tokens of a business: lists, adds and revokes them."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, Field

from dialer.model import Role
from sql.commands.requests import IdReusedError
from sql.tokens.tokens import NewToken
from web.access.auth import require_principal
from web.operations.access.users import RoleName
from web.operations.idempotency import identity_of
from web.operations.paging import page_of, start_after
from web.operations.runs import warn_foreign
from web.server import errors, keys
from web.server.inputs import Input, refuse

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.tokens.tokens import ListedToken
    from web.access.auth import Principal
    from web.server.errors import ApiError

MAX_NAME_CHARACTERS: Final = 100
SECRET_BYTES: Final = 32  # 256 bits: nothing to guess, so a plain digest is enough


def _name(text: str) -> str:
    name = text.strip()
    if not name:
        refuse("blank_text")
    if not name.isprintable():
        refuse("control_character")
    return name


class NewTokenInput(Input):
    """A token to be added."""

    name: Annotated[str, Field(max_length=MAX_NAME_CHARACTERS), AfterValidator(_name)]
    role: RoleName


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """A new token, with its secret, which is shown once."""

    token: ListedToken
    secret: str = field(repr=False)


async def list_tokens(request: http.Request, principal: Principal, *, after: int, limit: int) -> tuple[list[ListedToken], bool]:
    """At most `limit` tokens of the business with ids above `after`, and whether there are more."""
    found = await request.app[keys.TOKENS].page(principal.business_id, after=after, limit=limit + 1)
    return page_of(found, limit)


async def start_of_previous_tokens(request: http.Request, principal: Principal, *, after: int, limit: int) -> int | None:
    """The id above which the page before begins; None when there is none."""
    found = await request.app[keys.TOKENS].ids_until(principal.business_id, last=after, limit=limit + 1)
    return start_after(found, limit, 0)


async def find_token(request: http.Request, principal: Principal, token_id: int) -> ListedToken:
    """One token of the business.

    Raises:
        ApiError: 404.
    """
    found = await request.app[keys.TOKENS].page(principal.business_id, after=token_id - 1, limit=1)
    if not found or found[0].token_id != token_id:
        raise await _not_found(request, principal, token_id)
    return found[0]


async def create_token(request: http.Request, new: NewTokenInput) -> TokenAnswer:
    """Add a token to the admin's business; a repeated request gets the secret of the first.

    Raises:
        ApiError: 401, 403, 409 or 422.
    """
    principal = require_principal(request, Role.ADMIN)
    seal, secret = request.app[keys.ANSWER_SEAL], secrets.token_urlsafe(SECRET_BYTES)
    added = NewToken(new.role, hashlib.sha256(secret.encode()).digest(), new.name, seal.close(secret.encode()).decode())
    identity = identity_of(request, principal, new.model_dump())
    try:
        token, sealed = await request.app[keys.TOKENS].create(principal.business_id, added, identity)
    except IdReusedError:
        raise errors.idempotency_conflict() from None
    return TokenAnswer(token, seal.open((sealed or "").encode()).decode())


async def revoke_token(request: http.Request, token_id: int) -> None:
    """Revoke a token: the next request with it is rejected, and streams opened with it end.

    Raises:
        ApiError: 401, 403 or 404.
    """
    principal = require_principal(request, Role.ADMIN)
    if not await request.app[keys.TOKENS].revoke(principal.business_id, token_id, principal.actor):
        raise await _not_found(request, principal, token_id)


async def _not_found(request: http.Request, principal: Principal, token_id: int) -> ApiError:
    owner = await request.app[keys.TOKENS].foreign(principal.business_id, token_id)
    if owner is not None:
        warn_foreign(principal, "token", token_id, owner)
    return errors.not_found()
