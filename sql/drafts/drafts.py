"""Drafts of campaigns: the list that a user has uploaded, in compressed pieces, and the answers so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime

    from sql.pool import Pool

TEXT = statements("drafts")
# Of one user; a further one replaces the oldest.
MAX_DRAFTS: Final = 5
# Of one business, as they are stored. Uploads at the same moment may exceed it by their own size.
MAX_BYTES: Final = 128 * 1024 * 1024


class DraftLimitError(Exception):
    """The business keeps too many bytes of drafts."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft; `kind` is `csv` or `rows`, `run_id` the run that it has become."""

    draft_id: int
    file_name: str
    kind: str
    bytes: int
    answers: dict[str, Any] = field(repr=False)
    run_id: int | None
    touched_at: datetime


class Drafts:
    """The drafts of all users, in PostgreSQL; each is found only by its business and its owner."""

    def __init__(self, pool: Pool, business_id: int, owner: str) -> None:
        """Those of one user of a business; `pool` is closed by the caller."""
        self._pool = pool
        self._key = business_id, owner

    async def keep(
        self, file_name: str, kind: str, pieces: Sequence[bytes], answers: Mapping[str, Any], draft_id: int | None = None
    ) -> int | None:
        """Store a list as a new draft, or in the place of that of `draft_id`; return the id, None when there is no such draft.

        Raises:
            DraftLimitError: when the business keeps too much.
        """
        business_id, owner = self._key
        size = sum(map(len, pieces))
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(TEXT["room"], business_id, draft_id) + size > MAX_BYTES:
                raise DraftLimitError
            if draft_id is None:
                await connection.execute(TEXT["drop_oldest"], business_id, owner, MAX_DRAFTS - 1)
                kept: int | None = await connection.fetchval(TEXT["add"], business_id, owner, file_name, kind, size, dict(answers))
            else:
                kept = await connection.fetchval(TEXT["replace"], business_id, owner, draft_id, file_name, kind, size, dict(answers))
                await connection.execute(TEXT["drop_pieces"], business_id, kept)
            if kept is not None:
                for number, content in enumerate(pieces):
                    await connection.execute(TEXT["add_piece"], business_id, kept, number, content)
        return kept

    async def get(self, draft_id: int) -> Draft | None:
        """One draft; None when this user has none with this id."""
        row = await self._pool.fetchrow(TEXT["get"], *self._key, draft_id)
        return Draft(**row) if row else None

    async def unfinished(self) -> list[Draft]:
        """Those that have not become a run, the one changed last first."""
        return [Draft(**row) for row in await self._pool.fetch(TEXT["of_owner"], *self._key)]

    async def pieces(self, draft_id: int) -> AsyncIterator[bytes]:
        """The pieces of the list of a draft that `get` has found."""
        number = 0
        while (content := await self._pool.fetchval(TEXT["piece"], self._key[0], draft_id, number)) is not None:
            yield content
            number += 1

    async def answer(self, draft_id: int, answers: Mapping[str, Any]) -> None:
        """Keep the answers so far."""
        await self._pool.execute(TEXT["answer"], *self._key, draft_id, dict(answers))

    async def finish(self, draft_id: int, run_id: int) -> None:
        """Note which run it has become; the list is no longer needed."""
        await self._pool.execute(TEXT["finish"], *self._key, draft_id, run_id)
        await self._pool.execute(TEXT["drop_pieces"], self._key[0], draft_id)

    async def discard(self, draft_id: int) -> None:
        """Delete it."""
        await self._pool.execute(TEXT["discard"], *self._key, draft_id)
