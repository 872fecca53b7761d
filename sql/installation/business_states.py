"""The state of all businesses, and of the workers that drive them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sql.statements import statements

if TYPE_CHECKING:
    from datetime import datetime

    from sql.pool import Pool

TEXT = statements("installation")


@dataclass(frozen=True, slots=True)
class BusinessState:
    """How one business stands: lines, runs, and since when something waits that should not; None when nothing does."""

    business_id: int
    name: str
    max_calls: int
    in_use: int
    account_sid: str | None
    stopped_at: datetime | None
    stop_reason: str | None
    stall: str | None
    stalled_since: datetime | None
    running: int
    undriven_since: datetime | None
    paused_itself: int
    pause_cause: dict[str, Any] | None
    unknown: int
    unknown_since: datetime | None
    excess_since: datetime | None
    command_since: datetime | None
    event_since: datetime | None
    webhooks_failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker with its lease, and how many of the 256 partitions it has; `leaving` while it shuts down."""

    name: str
    started_at: datetime
    lease_until: datetime
    leaving: bool
    is_live: bool
    partitions: int


@dataclass(frozen=True, slots=True)
class InstallationState:
    """`unowned` partitions, and the oldest command and event that wait; `now` by the database's clock."""

    now: datetime
    stopped_at: datetime | None
    stop_reason: str | None
    unowned: int
    command_since: datetime | None
    event_since: datetime | None
    events: int


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """Deliveries to the webhooks of all businesses: those that have ended lately, by result, those that wait, the age of the oldest."""

    delivered: int
    failed: int
    waiting: int
    oldest_seconds: float
    failing_webhooks: int


@dataclass(frozen=True, slots=True)
class InstallationMetrics:
    """What is measured of the whole installation; `outbox_events` counts up to 10,000.

    `stalled` are businesses by reason, `refused` leads by the rule that has kept them from being called lately.
    """

    workers: int
    partitions_unowned: int
    slots_in_use: int
    slots_most: int
    runs_running: int
    runs_undriven: int
    unknown_calls: int
    unknown_oldest_seconds: float
    excess_calls: int
    command_oldest_seconds: float
    outbox_oldest_seconds: float
    outbox_events: int
    transaction_oldest_seconds: float
    row_locks_oldest_seconds: float
    stalled: dict[str, int]
    refused: dict[str, int]
    stopped: int


class Installation:
    """All of it, in PostgreSQL; for reading."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def businesses(self, *, undriven_seconds: float) -> list[BusinessState]:
        """Every business; a run is undriven when its worker has said nothing for so long."""
        return [BusinessState(**row) for row in await self._pool.fetch(TEXT["businesses"], undriven_seconds)]

    async def workers(self) -> list[WorkerState]:
        """The workers of the last hour, those with a lease first."""
        return [WorkerState(**row) for row in await self._pool.fetch(TEXT["workers"])]

    async def state(self) -> InstallationState:
        """What concerns no single business."""
        [row] = await self._pool.fetch(TEXT["state"])
        return InstallationState(**row)

    async def figures(self, *, undriven_seconds: float, refused_seconds: float) -> InstallationMetrics:
        """The figures of the whole installation; a run is undriven when its worker has said nothing for so long.

        Leads that a rule has refused are counted for `refused_seconds`.
        """
        [row] = await self._pool.fetch(TEXT["figures"], undriven_seconds, refused_seconds)
        return InstallationMetrics(**row)

    async def deliveries(self, *, ended_seconds: float) -> DeliveryState:
        """The deliveries to webhooks that wait, and those that have ended in the last seconds."""
        [row] = await self._pool.fetch(TEXT["deliveries"], ended_seconds)
        return DeliveryState(**row)
