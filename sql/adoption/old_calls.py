"""The calls of the old application that have ended lately: they count for the gap between calls and for the calls of a day."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from dialer.phones.phone_numbers import read_phone
from dialer.phones.refusals import RefusedPhoneError
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncpg import Record

    from sql.pool import Pool

TEXT = statements("adoption")
# Older calls count for no gap that is usual.
RECENT_DAYS: Final = 7
CALLS_AT_ONCE: Final = 2_000


class OldCalls:
    """The calls of the old application, in PostgreSQL."""

    def __init__(self, pool: Pool, default_account: str = "") -> None:
        """Use `pool`, which the caller closes; businesses without an account of their own called with `default_account`."""
        self._pool = pool
        self._default_account = default_account

    async def count(self, business_id: int) -> int:
        """Make an attempt of each call of a business that has ended in the last week; return how many. Done again it makes none.

        Raises:
            DatabaseUnavailableError: when it failed; doing it again is harmless.
        """
        after, counted = 0, 0
        while rows := await self._pool.fetch(TEXT["recent_calls"], business_id, RECENT_DAYS, after, CALLS_AT_ONCE):
            phones = await asyncio.to_thread(_phones, rows)
            values = business_id, list(phones), list(phones.values()), self._default_account
            counted += await self._pool.fetchval(TEXT["count_calls"], *values)
            after = rows[-1]["job_id"]
        return counted


def _phones(rows: Sequence[Record]) -> dict[int, str]:
    """The numbers in E.164 by the ids of their jobs; without those that are no numbers, which nobody calls."""
    phones: dict[int, str] = {}
    for row in rows:
        with suppress(RefusedPhoneError):
            phones[row["job_id"]] = read_phone(row["number"], row["region"]).e164
    return phones
