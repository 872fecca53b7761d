"""The price tables of the installation: the price per minute of a call, by the first digits of the number, one for each currency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.policy.call_prices import PriceList
from sql.audit.audit import CURRENT_ADDRESS
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from sql.pool import Pool

TEXT = statements("prices")


class Prices:
    """The price tables, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def currencies(self) -> list[str]:
        """The currencies in which prices have been imported."""
        return [row["currency"] for row in await self._pool.fetch(TEXT["currencies"])]

    async def table(self, currency: str) -> PriceList:
        """The prices in a currency; empty when there are none."""
        return PriceList({row["prefix"]: row["minute_price"] for row in await self._pool.fetch(TEXT["table"], currency)})

    async def replace(self, prices: Mapping[str, Decimal], currency: str, actor: str) -> None:
        """Replace the table of a currency; calls that are claimed from now on use it."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(TEXT["lock"])
            await connection.execute(TEXT["delete"], currency)
            await connection.execute(TEXT["insert"], list(prices), list(prices.values()), currency)
            await connection.execute(TEXT["audit"], actor, currency, len(prices), CURRENT_ADDRESS.get())
