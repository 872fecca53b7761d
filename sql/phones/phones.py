"""Reads what decides about the phones of a list before it is called: do-not-call lists, recent calls, the rules of the business."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.pool import Pool

TEXT = statements("phones")
# A statement reads so many phones, and holds its connection for a moment.
CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class KnownPhone:
    """`is_listed` on a do-not-call list that is in force, `is_refused` lately by the provider.

    `calls` are when its calls were claimed, of those that may have been placed.
    """

    is_listed: bool
    is_refused: bool
    calls: Sequence[datetime]


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a business calls at the moment `now` of the database: `registers` are the current imports, by name.

    `call_seconds` is how long its last calls held a line, None without any. It `lacks_account` when its worker could not read the saved
    credentials, and `has_worker` when one is alive at all.
    """

    now: datetime
    is_stopped: bool
    lacks_account: bool
    has_worker: bool
    registers: dict[str, datetime]
    call_seconds: float | None


class Phones:
    """The phones of all businesses, in PostgreSQL; for reading."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def known(self, business_id: int, phones: Sequence[str], since: datetime | None) -> dict[int, KnownPhone]:
        """What is known of these phones, by their index, where there is something; calls later than `since`, None: no calls."""
        found: dict[int, KnownPhone] = {}
        for start in range(0, len(phones), CHUNK):
            rows = await self._pool.fetch(TEXT["known"], business_id, phones[start : start + CHUNK], since)
            found |= {start + row["n"] - 1: KnownPhone(row["is_listed"], row["is_refused"], row["calls"]) for row in rows}
        return found

    async def outlook(self, business_id: int) -> Outlook:
        """How the business calls now."""
        [row] = await self._pool.fetch(TEXT["outlook"], business_id)
        registers = {name: datetime.fromtimestamp(at, UTC) for name, at in row["registers"].items()}
        return Outlook(**{**row, "registers": registers})
