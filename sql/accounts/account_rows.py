"""The credentials of provider accounts as they are stored: sealed, and never opened here."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from sql.pool import Pool

TEXT = statements("accounts")
# The default accounts of the settings are stored as those of this business, which does not exist.
INSTALLATION: Final = 0


@dataclass(frozen=True, slots=True)
class CredentialsRow:
    """One row: credentials of an account of this business."""

    id: int
    business_id: int
    sealed: str = field(repr=False)


class Accounts:
    """The stored credentials of all accounts, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def of(self, business_id: int) -> list[dict[str, Any]]:
        """The accounts of a business, present and former: `account_sid`, `sealed` (the newest first), `calls_per_second`, `present`."""
        return list(await self._pool.fetchval(TEXT["of"], business_id))

    async def keep_default(self, account_sid: str, to_keep: Callable[[list[dict[str, Any]]], str | None]) -> None:
        """Keep the credentials of the default account: its calls have to be finished when the settings name another one.

        `to_keep` gets the accounts kept so far, as `of` returns them, and returns what is to be kept besides, sealed, or None.
        """
        # Before the first migration there is nothing to keep them in.
        with suppress(asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError):
            sealed = to_keep(await self._pool.fetchval(TEXT["of"], INSTALLATION))
            if sealed is not None:
                await self._pool.execute(TEXT["keep"], INSTALLATION, account_sid, sealed)

    async def after(self, row_id: int, limit: int) -> list[CredentialsRow]:
        """The credentials of all businesses behind this row, in order."""
        return [CredentialsRow(**row) for row in await self._pool.fetch(TEXT["after"], row_id, limit)]

    async def renew(self, row: CredentialsRow, sealed: str) -> None:
        """Store the same credentials, sealed anew, unless they have changed meanwhile."""
        await self._pool.execute(TEXT["renew"], row.business_id, row.id, row.sealed, sealed)
