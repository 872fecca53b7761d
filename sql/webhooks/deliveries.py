"""The deliveries to webhooks, for the worker that sends them: queues are leased, results recorded.

A queue has the events of one run for one webhook. It is leased by one worker at a time, so they are sent in order, and a queue that fails
waits as a whole. A worker that dies with a lease loses nothing: the lease expires, and the delivery is sent again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from dialer.messages import Event
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.pool import Pool

TEXT = statements("webhooks")


class QueueKey(NamedTuple):
    """A queue of deliveries: its run, or 0, or minus the id of a delivery that is repeated."""

    business_id: int
    webhook_id: int
    queue: int


@dataclass(frozen=True, slots=True)
class DueQueue:
    """A queue that may be leased; `is_failing` when the last try to its webhook has failed."""

    key: QueueKey
    is_failing: bool


@dataclass(frozen=True, slots=True)
class LeasedQueue:
    """A queue that this worker may send; `failures` tries in a row have failed."""

    key: QueueKey
    lease: int
    failures: int
    url: str = field(repr=False)
    sealed_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PendingDelivery:
    """An event to be sent."""

    delivery_id: int
    event: Event


@dataclass(frozen=True, slots=True)
class TryResult:
    """The result of a try: `gone` after an answer of 410, `error` when there was no answer."""

    delivered: bool
    gone: bool = False
    response_status: int | None = None
    response_body: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SealedKey:
    """The sealed key of a webhook."""

    id: int
    business_id: int
    sealed: str = field(repr=False)


class Deliveries:
    """The deliveries of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def due(self, partitions: Sequence[int], *, of_webhook: int, limit: int) -> list[DueQueue]:
        """Queues that are due, at most `of_webhook` of each webhook; of webhooks that fail at present last."""
        rows = await self._pool.fetch(TEXT["due"], partitions, of_webhook, limit)
        return [DueQueue(QueueKey(row["business_id"], row["webhook_id"], row["queue"]), row["is_failing"]) for row in rows]

    async def lease(self, queues: Sequence[QueueKey], seconds: float) -> list[LeasedQueue]:
        """Lease those of these queues that are still due, and that no other worker is leasing."""
        columns = [list(column) for column in zip(*queues, strict=True)]
        rows = await self._pool.fetch(TEXT["lease"], *columns, seconds)
        return [
            LeasedQueue(
                QueueKey(row["business_id"], row["webhook_id"], row["queue"]), row["lease"], row["failures"], row["url"], row["sealed_key"]
            )
            for row in rows
        ]

    async def pending(self, key: QueueKey, limit: int) -> list[PendingDelivery]:
        """The first deliveries of a queue, in order."""
        return [
            PendingDelivery(
                row["delivery_id"],
                Event(
                    type=row["type"],
                    business_id=key.business_id,
                    run_id=row["run_id"],
                    job_id=row["job_id"],
                    command_id=row["command_id"],
                    at=row["at"],
                    data=row["data"],
                    serial=row["event_id"],
                ),
            )
            for row in await self._pool.fetch(TEXT["pending"], *key, limit)
        ]

    async def record(self, queue: LeasedQueue, delivery_id: int, result: TryResult, *, pause_seconds: float, lease_seconds: float) -> bool:
        """Record a try: after a failure the queue waits for `pause_seconds`; True when the next delivery may be sent under this lease."""
        values = *queue.key, queue.lease, delivery_id, asdict(result), pause_seconds, lease_seconds
        return bool(await self._pool.fetchval(TEXT["record"], *values))

    async def release(self, queue: LeasedQueue) -> None:
        """End a lease; an empty queue is deleted."""
        await self._pool.execute(TEXT["release"], *queue.key, queue.lease)

    async def forget(self, partitions: Sequence[int], *, kept: int, limit: int) -> int:
        """Delete old deliveries, and those beyond the newest `kept` of a webhook; return how many rows, at most `limit` of each."""
        return int(await self._pool.fetchval(TEXT["forget"], partitions, kept, limit))

    async def after(self, webhook_id: int, limit: int) -> list[SealedKey]:
        """The keys of all webhooks behind this one, in order."""
        return [SealedKey(**row) for row in await self._pool.fetch(TEXT["keys_after"], webhook_id, limit)]

    async def renew(self, row: SealedKey, sealed: str) -> None:
        """Store the same key, sealed anew, unless it has changed meanwhile."""
        await self._pool.execute(TEXT["renew_key"], row.business_id, row.id, row.sealed, sealed)
