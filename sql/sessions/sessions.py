"""Browser sessions: one row each, so that ending a session ends it in every process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sql.businesses.businesses import user_from
from sql.statements import statements

if TYPE_CHECKING:
    from sql.businesses.businesses import User
    from sql.pool import Pool

TEXT = statements("sessions")


class Sessions:
    """The sessions of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def begin(self, user: User, *, seconds: float, address: str, user_agent: str) -> int:
        """Begin a session of `seconds`; return its id. Delete this user's sessions that expired 30 days ago."""
        return int(await self._pool.fetchval(TEXT["begin"], user.business_id, user.user_id, seconds, address, user_agent))

    async def user_of(self, business_id: int, session_id: int, user_id: int) -> User | None:
        """The user of a session; None when there is none, or it has ended or expired."""
        return user_from(await self._pool.fetchrow(TEXT["user_of"], business_id, session_id, user_id))

    async def end(self, business_id: int, session_id: int) -> None:
        """End a session now."""
        await self._pool.execute(TEXT["end"], business_id, session_id)
