"""The audit log: who did what to a run, and when. Written by the SQL functions, in the transaction of the change."""

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
    """One action; `actor` is `user:7`, `token:3` or a program's own name, `action` a command's type."""

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
        """The actions on a run and its jobs, newest first."""
        return [AuditEntry(**row) for row in await self._pool.fetch(TEXT["of_run"], business_id, run_id, limit)]
