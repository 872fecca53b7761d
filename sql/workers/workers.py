"""Workers, their leases, and the partitions they own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from sql.pool import Pool

TEXT = statements("workers")


@dataclass(frozen=True, slots=True)
class PartitionOwner:
    """A partition and its owner: `owned` is True while the owner's lease is valid; `held_seconds` since the owner last changed."""

    partition: int
    owner: UUID | None
    epoch: int
    owned: bool
    held_seconds: float


@dataclass(frozen=True, slots=True)
class ActiveBusiness:
    """A business with a running run or calls in flight, as its worker needs it.

    `accounts` are those whose credentials are kept: `account_sid`, `sealed` (the newest first), `calls_per_second`.
    """

    business_id: int
    partition: int
    account_sid: str | None
    accounts: list[dict[str, Any]] = field(repr=False)
    caller_ids: list[str]
    max_calls: int


@dataclass(frozen=True, slots=True)
class Renewal:
    """The result of a renewal: `renewed` is False when the lease has expired, None when its row is locked.

    `at` is the database's clock, in seconds.
    """

    renewed: bool | None
    at: float


@dataclass(frozen=True, slots=True)
class Stall:
    """Why a business takes no lead: `reason` is a code of the contract's `waits_for`, `detail` a sentence, `seconds` how long already."""

    business_id: int
    reason: str
    detail: str
    seconds: float


class Workers:
    """All workers, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def join(self, incarnation: UUID, name: str, lease_seconds: float) -> None:
        """Register an incarnation; repeating is harmless."""
        await self._pool.execute(TEXT["join"], incarnation, name, lease_seconds)

    async def renew(self, incarnation: UUID, lease_seconds: float) -> Renewal:
        """Extend the lease, unless it has expired: then this incarnation is dead, and may do nothing more."""
        [row] = await self._pool.fetch(TEXT["renew"], incarnation, lease_seconds)
        return Renewal(row["renewed"], row["at"])

    async def step_down(self, incarnation: UUID) -> None:
        """Exclude this worker when partitions are shared out, while it shuts down."""
        await self._pool.execute(TEXT["step_down"], incarnation)

    async def leave(self, incarnation: UUID) -> None:
        """Release all partitions and end this incarnation."""
        await self._pool.execute(TEXT["leave"], incarnation)

    async def live(self) -> list[UUID]:
        """The incarnations with a valid lease that are not shutting down."""
        return [row["incarnation"] for row in await self._pool.fetch(TEXT["live"])]

    async def holdings(self) -> list[PartitionOwner]:
        """All 256 partitions."""
        return [PartitionOwner(**row) for row in await self._pool.fetch(TEXT["partitions"])]

    async def take_over(self, incarnation: UUID, partitions: Sequence[int]) -> dict[int, int]:
        """Take over partitions without a live owner; return the epoch of each that was taken."""
        return {row["partition"]: row["epoch"] for row in await self._pool.fetch(TEXT["take_over"], incarnation, list(partitions))}

    async def give_back(self, incarnation: UUID, partitions: Sequence[int]) -> None:
        """Release partitions, if they are this worker's own."""
        await self._pool.execute(TEXT["give_back"], incarnation, list(partitions))

    async def heartbeat(self, incarnation: UUID, name: str, older_than_seconds: float, businesses: Sequence[int]) -> int:
        """Write on the running runs of these businesses that `name` drives them, unless written recently; return on how many."""
        return int(await self._pool.fetchval(TEXT["heartbeat"], incarnation, name, older_than_seconds, list(businesses)))

    async def stalls(self, incarnation: UUID, stalls: Sequence[Stall]) -> None:
        """Store why these businesses take no lead, and delete the reasons of all others of this worker's partitions."""
        columns = [[getattr(stall, name) for stall in stalls] for name in ("business_id", "reason", "detail", "seconds")]
        await self._pool.execute(TEXT["stalls"], incarnation, *columns)

    async def busy_businesses(self, partitions: Sequence[int]) -> list[ActiveBusiness]:
        """The businesses of these partitions that have a running run or a call in flight."""
        return [ActiveBusiness(**row) for row in await self._pool.fetch(TEXT["busy_businesses"], list(partitions))]

    async def business(self, business_id: int) -> ActiveBusiness | None:
        """One business; None when there is none."""
        row = await self._pool.fetchrow(TEXT["business"], business_id)
        return ActiveBusiness(**row) if row else None

    async def progress(self, runs: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
        """The counters of runs, (business_id, run_id) each."""
        return [dict(row) for row in await self._pool.fetch(TEXT["progress"], [b for b, _ in runs], [r for _, r in runs])]

    async def on_the_line(self, runs: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
        """The calls of runs that are being placed or live: business_id, run_id, job_id, attempt_id, state, lead_id."""
        return [dict(row) for row in await self._pool.fetch(TEXT["on_the_line"], [b for b, _ in runs], [r for _, r in runs])]

    async def pause(self, business_id: int, run_id: int, reason: str, cause: Mapping[str, object]) -> None:
        """Pause a run because its account is refused, no lead is burned: `reason` says why in English, `cause` for programs."""
        await self._pool.execute(TEXT["pause_run"], business_id, run_id, reason, cause)
