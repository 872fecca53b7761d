"""A person's own password: changed by whoever knows the former one, or set by a one-time link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import Field

from sql.commands.requests import IdReusedError
from web.access import auth
from web.access.passwords import MAX_PASSWORD_CHARACTERS
from web.operations.access.users import Password, link_digest
from web.operations.idempotency import identity_of
from web.server import errors, keys
from web.server.errors import Text
from web.server.i18n import msgid
from web.server.inputs import Input

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.users.users import User

MAX_SECRET_CHARACTERS: Final = 100
WRONG_PASSWORD: Final = msgid("is not your present password")


class PasswordChange(Input):
    """The password a person has, and the one it is to be."""

    current_password: str = Field(max_length=MAX_PASSWORD_CHARACTERS, repr=False)
    new_password: Password = Field(repr=False)


class NewPassword(Input):
    """The password that a user sets by a link."""

    password: Password = Field(repr=False)


async def change_own_password(request: http.Request, response: http.StreamResponse, change: PasswordChange) -> None:
    """Give the signed-in person another password, and end the other sessions; `response` gets a cookie for this one.

    Raises:
        ApiError: 401; 403 for a program; 409; 422 when the present password is wrong; 429 after too many wrong ones.
    """
    principal = auth.require_person(request)
    identity = identity_of(request, principal, change.model_dump())
    user = await auth.check_password(request, principal.email or "", change.current_password)
    if user is None or user.user_id != principal.user_id:
        raise errors.wrong_field(name="current_password", why=Text(WRONG_PASSWORD))
    hashed = await request.app[keys.PASSWORDS].hash(change.new_password, principal.actor)
    try:
        await request.app[keys.USERS].change_password(user, hashed, identity, kept_session=principal.session_id)
    except IdReusedError:
        raise errors.idempotency_conflict() from None
    changed = await request.app[keys.USERS].get(principal.business_id, user.user_id)
    if changed is not None and principal.session_id is not None:
        # The cookie is void with the former password.
        auth.set_cookie(request, response, changed, principal.session_id)


async def user_of_link(request: http.Request, secret: str) -> User | None:
    """Whose password this link sets; None when it is used, replaced or expired."""
    if len(secret) > MAX_SECRET_CHARACTERS:
        return None
    return await request.app[keys.USERS].by_link(link_digest(secret))


async def set_password(request: http.Request, secret: str, password: str) -> User | None:
    """Set the password of the user of a link, and end the user's sessions; None when the link does not work any more."""
    user = await user_of_link(request, secret)
    if user is None:
        return None
    hashed = await request.app[keys.PASSWORDS].hash(password, f"user:{user.user_id}")
    used = await request.app[keys.USERS].use_link(user.business_id, link_digest(secret), hashed)
    return await request.app[keys.USERS].get(user.business_id, user.user_id) if used else None
