"""Browser sessions: one row each, so that ending a session ends it in every process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sql.audit.audit import CURRENT_ADDRESS
from sql.statements import statements
from sql.users.users import user_from

if TYPE_CHECKING:
    from datetime import datetime

    from sql.pool import Pool
    from sql.users.users import User

TEXT = statements("sessions")


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A browser that is signed in: whose it is, from where, and when it was last seen, to the minute."""

    session_id: int
    user_id: int
    email: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    address: str
    user_agent: str


class Sessions:
    """The sessions of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def begin(self, user: User, *, seconds: float, address: str, user_agent: str) -> int:
        """Begin a session of `seconds`; return its id. Delete this user's sessions that expired 30 days ago."""
        return int(await self._pool.fetchval(TEXT["begin"], user.business_id, user.user_id, seconds, address, user_agent))

    async def user_of(self, business_id: int, session_id: int, user_id: int) -> User | None:
        """The user of a session; None when there is none, it has ended or expired, or the user is disabled."""
        return user_from(await self._pool.fetchrow(TEXT["user_of"], business_id, session_id, user_id))

    async def end(self, business_id: int, session_id: int, actor: str, *, user_id: int | None = None) -> bool:
        """End a session now, with `user_id` only if it is that user's; False when there is none that is open."""
        values = business_id, session_id, user_id, actor, CURRENT_ADDRESS.get()
        return bool(await self._pool.fetchval(TEXT["end"], *values))

    async def page(self, business_id: int, user_id: int | None, *, before: int | None, limit: int) -> list[OpenSession]:
        """The open sessions of a business, or of one of its users, below the id `before`, the newest first."""
        return [OpenSession(**row) for row in await self._pool.fetch(TEXT["page"], business_id, user_id, before, limit)]

    async def ids_from(self, business_id: int, user_id: int | None, *, start: int, limit: int) -> list[int]:
        """The ids of open sessions from `start` on, upwards."""
        return [row["session_id"] for row in await self._pool.fetch(TEXT["page_before"], business_id, user_id, start, limit)]

    async def foreign(self, business_id: int, session_id: int) -> int | None:
        """The other business that has a session with this id, for the security log alone."""
        owner: int | None = await self._pool.fetchval(TEXT["foreign"], business_id, session_id)
        return owner
