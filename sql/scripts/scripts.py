"""Reads what an answered call says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.pool import Pool

TEXT = statements("scripts")


@dataclass(frozen=True, slots=True)
class CallScript:
    """What the call of an attempt says: `script` as in contract section 7, of its run or else of its business, None for the greeting.

    `variables` are texts by their keys (`lead_values`). `phone` and `from_number` are E.164, `region` is the country of the business.
    """

    run_id: int
    phone: str = field(repr=False)
    from_number: str = field(repr=False)
    name: str | None = field(repr=False)
    variables: dict[str, Any] | None = field(repr=False)
    region: str
    script: dict[str, Any] | None = field(repr=False)
    on_machine: str | None
    machine_message: str | None = field(repr=False)
    machine_detection: str | None


@dataclass(frozen=True, slots=True)
class InboundScript:
    """What those hear who call a business back: `script` None for a sentence.

    `sealed` are the stored credentials of its account, None the default one, the newest first.
    """

    business_id: int
    region: str
    script: dict[str, Any] | None
    account_sid: str | None
    sealed: Sequence[str] = field(repr=False)


class Scripts:
    """The scripts of the calls of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def of_attempt(self, business_id: int, attempt_id: int) -> CallScript | None:
        """What the call of this attempt says; None when there is no such attempt, or its lead was deleted.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is unavailable.
        """
        row = await self._pool.fetchrow(TEXT["of_attempt"], business_id, attempt_id)
        return CallScript(**row) if row else None

    async def inbound(self, number: str, limit: int) -> list[InboundScript]:
        """What the businesses that call from this number (E.164) say to those who call it back, at most `limit` of them.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is unavailable.
        """
        return [InboundScript(**row) for row in await self._pool.fetch(TEXT["inbound"], number, limit)]
