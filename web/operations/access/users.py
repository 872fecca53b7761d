"""The users of a business: lists, adds, changes and deletes them, and gives them links to set a password."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field

from dialer.model import Role
from sql.commands.requests import IdReusedError
from sql.stored_text import storable
from sql.users.users import DisabledUserError, EmailTakenError, LastAdminError, NewUser, NoSuchUserError, PasswordLink
from web.access.auth import require_principal
from web.access.passwords import MAX_EMAIL_CHARACTERS, MAX_PASSWORD_CHARACTERS
from web.operations.idempotency import identity_of
from web.operations.paging import page_of, start_after
from web.operations.runs import warn_foreign
from web.server import errors, keys
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.inputs import Input, refuse

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.users.users import ListedUser
    from web.access.auth import Principal

MIN_PASSWORD_CHARACTERS: Final = 8
# A domain without a dot is a slip of the keyboard, or a host of the network at home.
EMAIL: Final = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
# A link sent on a Thursday evening still works on Sunday.
LINK_SECONDS: Final = 72 * 3600.0
SECRET_BYTES: Final = 32

LAST_ADMIN: Final = msgid("This is the last administrator who can sign in. Make somebody else an administrator first.")
EMAIL_TAKEN: Final = msgid("There is a user with this e-mail address already.")
IS_DISABLED: Final = msgid("This user is disabled. Enable the user first.")


def _email(text: str) -> str:
    email = text.strip()
    if not email.isprintable() or not EMAIL.fullmatch(email):
        refuse("email")
    return email


def _password(text: str) -> str:
    if not storable(text):
        refuse("string_unicode")
    return text


Email = Annotated[str, Field(max_length=MAX_EMAIL_CHARACTERS), AfterValidator(_email)]
Password = Annotated[str, Field(min_length=MIN_PASSWORD_CHARACTERS, max_length=MAX_PASSWORD_CHARACTERS), AfterValidator(_password)]
# By its word, also where other texts must be of the right type.
RoleName = Annotated[Role, BeforeValidator(lambda value: Role(value) if isinstance(value, str) and value in set(Role) else value)]


class NewUserInput(Input):
    """A user to be added; without a password it gets a link to set one."""

    email: Email
    role: RoleName
    password: Password | None = Field(default=None, repr=False)


class UserChange(Input):
    """What is changed of a user; None leaves it."""

    role: RoleName | None = None
    disabled: bool | None = None


@dataclass(frozen=True, slots=True)
class UserAnswer:
    """A user, and the address of a new link to set a password, if one was made."""

    user: ListedUser
    link: str | None = None


async def list_users(request: http.Request, principal: Principal, *, after: int, limit: int) -> tuple[list[ListedUser], bool]:
    """At most `limit` users of the business with ids above `after`, and whether there are more."""
    found = await request.app[keys.USERS].page(principal.business_id, after=after, limit=limit + 1)
    return page_of(found, limit)


async def start_of_previous_users(request: http.Request, principal: Principal, *, after: int, limit: int) -> int | None:
    """The id above which the page before begins; None when there is none."""
    found = await request.app[keys.USERS].ids_until(principal.business_id, last=after, limit=limit + 1)
    return start_after(found, limit, 0)


async def find_user(request: http.Request, principal: Principal, user_id: int) -> ListedUser:
    """One user of the business.

    Raises:
        ApiError: 404.
    """
    found = await request.app[keys.USERS].page(principal.business_id, after=user_id - 1, limit=1)
    if not found or found[0].user_id != user_id:
        raise await _not_found(request, principal, user_id)
    return found[0]


async def create_user(request: http.Request, new: NewUserInput) -> UserAnswer:
    """Add a user to the admin's business.

    Raises:
        ApiError: 401, 403, 409 or 422.
    """
    principal = require_principal(request, Role.ADMIN)
    identity = identity_of(request, principal, new.model_dump())
    secret, link = None, None
    if new.password is None:
        secret, link = _new_link(request)
    hashed = await request.app[keys.PASSWORDS].hash(new.password, f"new {principal.business_id}") if new.password else ""
    added = NewUser(new.email, new.role, hashed, link)
    try:
        user, sealed = await request.app[keys.USERS].create(principal.business_id, added, identity)
    except EmailTakenError:
        raise ApiError(409, "email_taken", Text(EMAIL_TAKEN), details=[{"field": "email", "message": Text(EMAIL_TAKEN)}]) from None
    except IdReusedError:
        raise errors.idempotency_conflict() from None
    return UserAnswer(user, _address(request, sealed) if secret else None)


async def change_user(request: http.Request, user_id: int, change: UserChange) -> ListedUser:
    """Change the role of a user, or disable or enable one.

    Raises:
        ApiError: 401, 403, 404, or 409 for the last admin.
    """
    principal = require_principal(request, Role.ADMIN)
    try:
        return await request.app[keys.USERS].change(
            principal.business_id, user_id, role=change.role, disabled=change.disabled, actor=principal.actor
        )
    except NoSuchUserError:
        raise await _not_found(request, principal, user_id) from None
    except LastAdminError:
        raise ApiError(409, "last_admin", Text(LAST_ADMIN)) from None


async def delete_user(request: http.Request, user_id: int) -> None:
    """Delete a user.

    Raises:
        ApiError: 401, 403, 404, or 409 for the last admin.
    """
    principal = require_principal(request, Role.ADMIN)
    try:
        await request.app[keys.USERS].delete(principal.business_id, user_id, principal.actor)
    except NoSuchUserError:
        raise await _not_found(request, principal, user_id) from None
    except LastAdminError:
        raise ApiError(409, "last_admin", Text(LAST_ADMIN)) from None


async def make_link(request: http.Request, user_id: int) -> UserAnswer:
    """Give a user a link to set a password, once; the link before stops working.

    Raises:
        ApiError: 401, 403, 404, or 409 for a user who is disabled.
    """
    principal = require_principal(request, Role.ADMIN)
    _, link = _new_link(request)
    try:
        user, sealed = await request.app[keys.USERS].link(principal.business_id, user_id, link, identity_of(request, principal, None))
    except NoSuchUserError:
        raise await _not_found(request, principal, user_id) from None
    except DisabledUserError:
        raise errors.invalid_state(Text(IS_DISABLED)) from None
    except IdReusedError:
        raise errors.idempotency_conflict() from None
    return UserAnswer(user, _address(request, sealed))


def link_digest(secret: str) -> bytes:
    """What is stored of the secret of a link, which has 256 random bits: a plain digest is enough."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def _new_link(request: http.Request) -> tuple[str, PasswordLink]:
    secret = secrets.token_urlsafe(SECRET_BYTES)
    sealed = request.app[keys.ANSWER_SEAL].close(secret.encode()).decode()
    return secret, PasswordLink(link_digest(secret), LINK_SECONDS, sealed)


def _address(request: http.Request, sealed: str | None) -> str:
    """The address of a link: of a repeated request, the one of the first."""
    secret = request.app[keys.ANSWER_SEAL].open((sealed or "").encode()).decode()
    return f"{request.app[keys.SETTINGS].public_url}/reset/{secret}"


async def _not_found(request: http.Request, principal: Principal, user_id: int) -> ApiError:
    owner = await request.app[keys.USERS].foreign(principal.business_id, user_id)
    if owner is not None:
        warn_foreign(principal, "user", user_id, owner)
    return errors.not_found()
