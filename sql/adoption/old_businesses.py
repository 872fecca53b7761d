"""The businesses of the old application, which become ours with the same ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sql.audit.audit import CURRENT_ADDRESS
from sql.businesses.caller_ids import stored
from sql.statements import statements

if TYPE_CHECKING:
    from sql.businesses.businesses import StartingRules
    from sql.pool import Pool

TEXT = statements("adoption")


@dataclass(frozen=True, slots=True)
class OldBusiness:
    """A row of `public.business`; `phone` as it is written there."""

    business_id: int
    name: str | None
    phone: str | None
    is_adopted: bool


class OldBusinesses:
    """The businesses of the old application, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def all(self) -> list[OldBusiness]:
        """All of them, by their ids; none where there is no such table."""
        return [OldBusiness(**row) for row in await self._pool.fetch(TEXT["old_businesses"])]

    async def are_elsewhere(self) -> bool:
        """True where a run must belong to a business of the old application: a new one is added there."""
        return bool(await self._pool.fetchval(TEXT["are_elsewhere"]))

    async def adopt(
        self, business_id: int, *, name: str, caller_id: str, region: str, timezone: str, max_calls: int, rules: StartingRules, actor: str
    ) -> bool:
        """Add a business of ours with this id, and its lane; False when there is one already."""
        of_rules = rules.calling_hours, rules.min_gap_hours, rules.max_per_day
        values = business_id, name, [stored(caller_id)], region, timezone, max_calls, *of_rules, actor, CURRENT_ADDRESS.get()
        return await self._pool.fetchrow(TEXT["adopt_business"], *values) is not None
