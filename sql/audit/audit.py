"""The audit log: who did what, when and from where. Written by the SQL functions, in the transaction of the change."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sql.pool import Pool

TEXT = statements("audit")
# Where the running task acts from: a client's address, or the machine of a command line; None in a worker. A statement that changes
# something passes it to `set_config('dialer.address', ...)`, which column `address` of the log reads.
CURRENT_ADDRESS: Final[ContextVar[str | None]] = ContextVar("address", default=None)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One action; `actor` is `user:7`, `token:3` or a program's own name, `address` where it came from (None: a worker's own)."""

    audit_id: int
    at: datetime
    actor: str
    action: str
    run_id: int | None
    job_id: int | None
    detail: dict[str, Any]
    address: str | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries: of an actor, of some actions, about a run, from a time on, before a time; None: all."""

    actor: str | None = None
    actions: Sequence[str] | None = None
    run_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def arguments(self) -> tuple[object, ...]:
        """As the statements take them."""
        return self.actor, None if self.actions is None else list(self.actions), self.run_id, self.since, self.until


class Audit:
    """The audit log of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def of_run(self, business_id: int, run_id: int, *, limit: int) -> list[AuditEntry]:
        """The actions on a run and its jobs, newest first."""
        return [AuditEntry(**row) for row in await self._pool.fetch(TEXT["of_run"], business_id, run_id, limit)]

    async def page(self, business_id: int, wanted: AuditFilter, *, before: int | None, limit: int) -> list[AuditEntry]:
        """The entries below the id `before`, the newest first."""
        rows = await self._pool.fetch(TEXT["page"], business_id, *wanted.arguments, before, limit)
        return [AuditEntry(**row) for row in rows]

    async def ids_from(self, business_id: int, wanted: AuditFilter, *, start: int, limit: int) -> list[int]:
        """The ids of entries from `start` on, upwards."""
        rows = await self._pool.fetch(TEXT["page_before"], business_id, *wanted.arguments, start, limit)
        return [row["audit_id"] for row in rows]

    async def actors(self, business_id: int, *, limit: int) -> list[str]:
        """Everyone who is in the log of a business, at most `limit`."""
        return [row["actor"] for row in await self._pool.fetch(TEXT["actors"], business_id, limit)]

    async def write(self, business_id: int, actor: str, action: str, detail: dict[str, Any]) -> None:
        """Note an action that no SQL function notes itself."""
        await self._pool.execute(TEXT["write"], business_id, actor, action, None, detail, CURRENT_ADDRESS.get())
