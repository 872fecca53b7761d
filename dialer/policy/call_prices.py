"""The price of a call, for budgets in money: docs/rules.md."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS_PER_MINUTE = 60
# The most digits of a number in E.164.
LONGEST_PREFIX = 15
CENT = Decimal("0.01")


def billed_minutes(seconds: int) -> int:
    """The minutes that a call of this many seconds is billed for."""
    return -(-seconds // SECONDS_PER_MINUTE)


class PriceList:
    """The price per minute by prefix, in digits without a plus."""

    def __init__(self, prices: Mapping[str, Decimal]) -> None:
        self.prices = prices
        self._highest = max(prices.values(), default=None)
        self._lengths = sorted({len(prefix) for prefix in prices}, reverse=True)

    def of(self, phone: str) -> Decimal | None:
        """The price per minute of a call to a number, by its longest prefix; the highest price for a number without one.

        None when there are no prices. sql/prices/minute_price_v1.sql has the same rule.
        """
        digits = phone.removeprefix("+")
        return next((self.prices[digits[:n]] for n in self._lengths if digits[:n] in self.prices), self._highest)


def in_decimals(amount: Decimal) -> str:
    """An amount as text, `12.50`: with two decimals, or more if it has more."""
    shown = amount.normalize()
    return f"{shown.quantize(CENT) if shown == shown.quantize(CENT) else shown:f}"
