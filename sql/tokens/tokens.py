"""Keys of programs: only the hash of a key's secret is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dialer.messages import KEEP_HTTP_SECONDS
from dialer.model import Role
from sql.audit.audit import CURRENT_ADDRESS
from sql.commands.requests import IdReusedError
from sql.statements import statements
from sql.users.users import NoSuchBusinessError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sql.commands.requests import RequestIdentity
    from sql.pool import Pool

TEXT = statements("tokens")


@dataclass(frozen=True, slots=True)
class Token:
    """A program's key to one business; `is_stale` when its last use has not been noted for a minute."""

    token_id: int
    business_id: int
    role: Role
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class ListedToken:
    """A key as lists show one; `name` may be empty, `last_used_at` is exact to a minute or two."""

    token_id: int
    business_id: int
    name: str
    role: Role
    created_at: datetime
    created_by: str
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A key to be added: SHA-256 of its secret, and the secret sealed, for repeats of the answer."""

    role: Role
    digest: bytes
    name: str = ""
    sealed: str | None = None


class Tokens:
    """The keys of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def create(self, business_id: int, new: NewToken, request: RequestIdentity) -> tuple[ListedToken, str | None]:
        """Add a key; return it with its sealed secret: of a repeated request, those of the first.

        Raises:
            NoSuchBusinessError: when the business does not exist.
            IdReusedError: when the id of the request was used before with another digest.
        """
        answer = await self._pool.fetchval(
            TEXT["create"],
            business_id,
            request.id,
            request.digest,
            request.requested_by,
            KEEP_HTTP_SECONDS,
            new.name,
            new.role,
            new.digest,
            new.sealed,
            CURRENT_ADDRESS.get(),
        )
        if answer["code"] == "no_business":
            raise NoSuchBusinessError(business_id)
        if answer["code"]:
            raise IdReusedError
        return _listed(answer["token"]), answer["sealed"]

    async def revoke(self, business_id: int, token_id: int, actor: str) -> bool:
        """Revoke a key; False when the business has no such key."""
        return bool(await self._pool.fetchval(TEXT["revoke"], business_id, token_id, actor, CURRENT_ADDRESS.get()))

    async def find(self, digest: bytes) -> Token | None:
        """The key with this SHA-256, unless revoked."""
        row = await self._pool.fetchrow(TEXT["find"], digest)
        return Token(**{**row, "role": Role(row["role"])}) if row else None

    async def note_uses(self, tokens: Collection[tuple[int, int]]) -> None:
        """Note that these keys, each by its business and its id, are used now."""
        await self._pool.execute(TEXT["used"], [business for business, _ in tokens], [token for _, token in tokens])

    async def page(self, business_id: int, *, after: int, limit: int) -> list[ListedToken]:
        """The keys of a business above the id `after`, by id."""
        return [_listed(row) for row in await self._pool.fetch(TEXT["page"], business_id, after, limit)]

    async def ids_until(self, business_id: int, *, last: int, limit: int) -> list[int]:
        """The ids of keys up to and including `last`, downwards."""
        return [row["token_id"] for row in await self._pool.fetch(TEXT["page_before"], business_id, last, limit)]

    async def names(self, business_id: int, token_ids: Sequence[int]) -> dict[int, str]:
        """The names of these keys, also of revoked ones, by id."""
        return {row["id"]: row["name"] for row in await self._pool.fetch(TEXT["names"], business_id, list(token_ids))}

    async def foreign(self, business_id: int, token_id: int) -> int | None:
        """The other business that has a key with this id, for the security log alone."""
        owner: int | None = await self._pool.fetchval(TEXT["foreign"], business_id, token_id)
        return owner


def _listed(fields: Any) -> ListedToken:  # noqa: ANN401 - a row, or an answer as PostgreSQL wrote it
    values = {**fields, "role": Role(fields["role"])}
    if isinstance(values["created_at"], str):
        values["created_at"] = datetime.fromisoformat(values["created_at"])
    return ListedToken(**values)
