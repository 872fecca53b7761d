"""Businesses: their limits and their rules of calling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg

from sql.audit.audit import CURRENT_ADDRESS
from sql.businesses.caller_ids import stored
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sql.pool import Pool

TEXT = statements("businesses")


@dataclass(frozen=True, slots=True)
class Business:
    """A tenant. `region` is the country for parsing its leads' numbers, `caller_ids` E.164, `account_sid` None for the default account.

    `account_credentials` says which kind its own account has: `auth_token` or `api_key`.

    The rules of calling hold for runs without their own: `calling_hours` None is always, any other None no limit.
    So does its `script`, None for a greeting. `inbound_script` is what those hear who call back, None for a sentence.

    `largest_lead_id` is what the table of jobs can hold.

    `stop` while its dialling is stopped, {since, by, reason, of_installation}: by itself, or, `by` None, with that of all businesses.
    """

    business_id: int
    name: str
    caller_ids: list[str]
    region: str
    timezone: str
    account_sid: str | None
    max_calls: int
    partition: int
    max_calls_limit: int
    calling_hours: dict[str, Any] | None
    retries: dict[str, Any] | None
    min_gap_hours: float
    max_per_day: int | None
    allowed_countries: list[str] | None
    required_registers: list[dict[str, Any]]
    retention_days: int | None
    script: dict[str, Any] | None
    inbound_script: dict[str, Any] | None
    stopped_at: datetime | None
    account_credentials: str | None
    largest_lead_id: int
    stop: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class StartingRules:
    """The rules of calling of a new business: `calling_hours` as in contract section 7, None for always; no gap and no limit a day."""

    calling_hours: dict[str, Any] | None = None
    min_gap_hours: float = 0.0
    max_per_day: int | None = None


NO_RULES = StartingRules()


class Businesses:
    """All businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def create(
        self,
        *,
        name: str,
        caller_id: str,
        region: str,
        timezone: str,
        max_calls: int,
        rules: StartingRules = NO_RULES,
        actor: str = "cli",
    ) -> int:
        """Add a business with its lane; return its id. `max_calls` is also the most that it may set itself."""
        values = name, [stored(caller_id)], region, timezone, max_calls, rules.calling_hours, rules.min_gap_hours, rules.max_per_day
        return int(await self._pool.fetchval(TEXT["insert"], *values, actor, CURRENT_ADDRESS.get()))

    async def get(self, business_id: int) -> Business | None:
        """One business; None when there is none."""
        row = await self._pool.fetchrow(TEXT["get"], business_id)
        return Business(**row) if row else None

    async def used_elsewhere(self, business_id: int, numbers: Sequence[str]) -> set[str]:
        """Those of these numbers (E.164) that other businesses call from."""
        return {row["number"] for row in await self._pool.fetch(TEXT["used_elsewhere"], business_id, list(numbers))}

    async def without_account(self) -> int:
        """How many businesses have no provider account of their own, and use the default one."""
        try:
            return int(await self._pool.fetchval(TEXT["without_account"]))
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            # Before the first migration the table does not exist.
            return 0

    async def set_max_calls(self, business_id: int, max_calls: int) -> None:
        """Allow `max_calls` calls at once from now on; calls in flight beyond that finish."""
        await self._pool.execute(TEXT["set_max_calls"], business_id, max_calls)

    async def change(self, business_id: int, changes: dict[str, Any], actor: str, *, sealed: str | None = None) -> None:
        """Change the fields of a business that are in `changes`; they hold for every claim after it, and are in the audit log.

        `sealed` are the credentials of the account that `changes` names in `provider_account`; None leaves those it has.
        """
        caller_ids = [stored(number) for number in changes["caller_ids"]] if "caller_ids" in changes else None
        await self._pool.execute(TEXT["change"], business_id, changes, actor, sealed, caller_ids, CURRENT_ADDRESS.get())
