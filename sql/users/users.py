"""People who sign in: users of a business, or of the installation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from dialer.messages import KEEP_HTTP_SECONDS
from dialer.model import Role
from sql.audit.audit import CURRENT_ADDRESS
from sql.commands.requests import IdReusedError
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from sql.commands.requests import RequestIdentity
    from sql.pool import Pool

TEXT = statements("users")
# The business of the users who belong to none.
INSTALLATION: Final = 0


class EmailTakenError(Exception):
    """A user with this e-mail address exists already."""


class NoSuchBusinessError(Exception):
    """There is no business with this id."""


class NoSuchUserError(Exception):
    """The business has no user with this id."""


class LastAdminError(Exception):
    """Without this user the business would have no admin who can sign in."""


class DisabledUserError(Exception):
    """The user is disabled, and can be given no link."""


@dataclass(frozen=True, slots=True)
class User:
    """A person of one business, or of the installation (business 0). `password_hash` is empty until there is a password."""

    user_id: int
    business_id: int
    email: str
    role: Role
    password_hash: str
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class ListedUser:
    """A user as lists show one; `link_expires_at` while a link to set a password is open."""

    user_id: int
    business_id: int
    email: str
    role: Role
    created_at: datetime
    disabled: bool
    has_password: bool
    link_expires_at: datetime | None = None
    last_seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PasswordLink:
    """A link that sets a password once: SHA-256 of its secret, how long it works, and the secret sealed, if the answer may be repeated."""

    digest: bytes
    seconds: float
    sealed: str | None


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to be added, with a password, or with a link to set one."""

    email: str
    role: Role
    password_hash: str = ""
    link: PasswordLink | None = None


class Users:
    """The users of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def create(self, business_id: int, new: NewUser, request: RequestIdentity) -> tuple[ListedUser, str | None]:
        """Add a user; return it with the sealed secret of its link: of a repeated request, those of the first.

        Raises:
            EmailTakenError: when another user has this address.
            NoSuchBusinessError: when the business does not exist.
            IdReusedError: when the id of the request was used before with another digest.
        """
        link = new.link
        answer = await self._pool.fetchval(
            TEXT["create"],
            business_id,
            *_of_request(request),
            new.email,
            new.role,
            new.password_hash,
            link.digest if link else None,
            link.seconds if link else None,
            link.sealed if link else None,
            CURRENT_ADDRESS.get(),
        )
        _check(answer["code"])
        return _listed(answer["user"]), answer["sealed"]

    async def change(self, business_id: int, user_id: int, *, role: Role | None, disabled: bool | None, actor: str) -> ListedUser:
        """Give a user another role, or disable or enable it; None leaves it. The sessions of a disabled one end.

        Raises:
            NoSuchUserError: when the business has no such user.
            LastAdminError: when no admin would be left.
        """
        answer = await self._pool.fetchval(TEXT["change"], business_id, user_id, role, disabled, actor, CURRENT_ADDRESS.get())
        _check(answer["code"])
        return _listed(answer["user"])

    async def delete(self, business_id: int, user_id: int, actor: str) -> None:
        """Delete a user, whose sessions end.

        Raises:
            NoSuchUserError: when the business has no such user.
            LastAdminError: when no admin would be left.
        """
        _check(await self._pool.fetchval(TEXT["delete"], business_id, user_id, actor, CURRENT_ADDRESS.get()))

    async def link(self, business_id: int, user_id: int, link: PasswordLink, request: RequestIdentity) -> tuple[ListedUser, str | None]:
        """Make a link to set a password, in place of the one before; return the user and the sealed secret, as `create` does.

        Raises:
            NoSuchUserError: when the business has no such user.
            DisabledUserError: when the user is disabled.
            IdReusedError: when the id of the request was used before with another digest.
        """
        answer = await self._pool.fetchval(
            TEXT["link"],
            business_id,
            *_of_request(request),
            user_id,
            link.digest,
            link.seconds,
            link.sealed,
            CURRENT_ADDRESS.get(),
        )
        _check(answer["code"])
        return _listed(answer["user"]), answer["sealed"]

    async def by_link(self, digest: bytes) -> User | None:
        """The user whose link has a secret with this SHA-256; None when it is used, replaced or expired."""
        return user_from(await self._pool.fetchrow(TEXT["by_link"], digest))

    async def use_link(self, business_id: int, digest: bytes, password_hash: str) -> bool:
        """Set the password of the user with this link, and end its sessions; False when the link does not work any more."""
        answer = await self._pool.fetchval(TEXT["use_link"], business_id, digest, password_hash, CURRENT_ADDRESS.get())
        return answer is not None

    async def change_password(self, user: User, password_hash: str, request: RequestIdentity, *, kept_session: int | None) -> None:
        """Set the password of a user, and end all sessions but `kept_session`.

        Raises:
            IdReusedError: when the id of the request was used before with another digest.
        """
        values = user.business_id, *_of_request(request), user.user_id, password_hash, kept_session, CURRENT_ADDRESS.get()
        answer = await self._pool.fetchval(TEXT["change_password"], *values)
        _check(answer["code"])

    async def by_email(self, email: str) -> User | None:
        """The user with this e-mail address, ignoring case; None when there is none."""
        return user_from(await self._pool.fetchrow(TEXT["by_email"], email))

    async def get(self, business_id: int, user_id: int) -> User | None:
        """One user of one business."""
        return user_from(await self._pool.fetchrow(TEXT["get"], business_id, user_id))

    async def page(self, business_id: int, *, after: int, limit: int) -> list[ListedUser]:
        """The users of a business above the id `after`, by id."""
        return [_listed(row) for row in await self._pool.fetch(TEXT["page"], business_id, after, limit)]

    async def ids_until(self, business_id: int, *, last: int, limit: int) -> list[int]:
        """The ids of users up to and including `last`, downwards."""
        return [row["user_id"] for row in await self._pool.fetch(TEXT["page_before"], business_id, last, limit)]

    async def emails(self, business_id: int, user_ids: Sequence[int]) -> dict[int, str]:
        """The addresses of these users, also of deleted ones, by id."""
        return {row["id"]: row["name"] for row in await self._pool.fetch(TEXT["emails"], business_id, list(user_ids))}

    async def foreign(self, business_id: int, user_id: int) -> int | None:
        """The other business that has a user with this id, for the security log alone."""
        owner: int | None = await self._pool.fetchval(TEXT["foreign"], business_id, user_id)
        return owner


def user_from(row: asyncpg.Record | None) -> User | None:
    """The user in a row of users; None when there is no row."""
    return User(**{**row, "role": Role(row["role"])}) if row else None


_ERRORS: Final[dict[str, type[Exception]]] = {
    "email_taken": EmailTakenError,
    "no_business": NoSuchBusinessError,
    "not_found": NoSuchUserError,
    "last_admin": LastAdminError,
    "disabled": DisabledUserError,
    "id_reused": IdReusedError,
}


def _check(code: str) -> None:
    if code:
        raise _ERRORS[code]


def _of_request(request: RequestIdentity) -> tuple[str, bytes, str, float]:
    return request.id, request.digest, request.requested_by, KEEP_HTTP_SECONDS


def _listed(fields: Any) -> ListedUser:  # noqa: ANN401 - a row, or an answer as PostgreSQL wrote it
    values = {**fields, "role": Role(fields["role"])}
    for name in ("created_at", "link_expires_at"):
        if isinstance(values[name], str):
            values[name] = datetime.fromisoformat(values[name])
    return ListedUser(**values)
