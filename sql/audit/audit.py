"""Who did what to a run, and when; written by the functions that do it, in the same transaction.

On the road of a call: beside it; a run's page shows who started it and who cancelled it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sql.statements import statements

if TYPE_CHECKING:
    from datetime import datetime

    from sql.pool import Pool

TEXT = statements("audit")


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing somebody did; `actor` is `user:7`, `token:3` or what a program called itself, `action` a command's type."""

    at: datetime
    actor: str
    action: str
    job_id: int | None
    detail: dict[str, Any]


class Audit:
    """The audit log of all businesses, in PostgreSQL; for reading."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def of_run(self, business_id: int, run_id: int, *, limit: int) -> list[AuditEntry]:
        """What was done to a run and its jobs, the newest first."""
        return [AuditEntry(**row) for row in await self._pool.fetch(TEXT["of_run"], business_id, run_id, limit)]
