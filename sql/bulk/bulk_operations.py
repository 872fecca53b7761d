"""Operations on many leads of a run: noted with the leads they are about, and carried out by a worker in chunks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from dialer.messages import KEEP_HTTP_SECONDS
from sql.audit.audit import CURRENT_ADDRESS
from sql.jobs.jobs import ALL_JOBS, JobFilter
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.pool import Pool

TEXT = statements("bulk")


class BulkType(StrEnum):
    """What is done to the leads."""

    CANCEL = "jobs.cancel"
    AGAIN = "jobs.again"
    DO_NOT_CALL = "jobs.do_not_call"


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """What is done to which leads of a run: all that `wanted` selects, or those of them in `job_ids`.

    `id` is from the Idempotency-Key, or new; `loosens` names the rules of the business that a new run loosens, for the audit log.
    """

    business_id: int
    run_id: int
    type: BulkType
    requested_by: str
    id: str
    wanted: JobFilter = ALL_JOBS
    job_ids: Sequence[int] | None = None
    loosens: Sequence[str] = ()

    @property
    def digest(self) -> bytes:
        """SHA-256 of the content: the same id with another digest is another request."""
        content = [self.type, self.run_id, *self.wanted.arguments, None if self.job_ids is None else list(self.job_ids)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()


@dataclass(frozen=True, slots=True)
class BulkOperation:
    """How far an operation is: `status` is running, done or failed; of `total` leads, `done` were changed and `skipped` left as they were.

    `new_run_id` is the run that was made to call the leads again.
    """

    operation_id: int
    type: str
    status: str
    run_id: int
    new_run_id: int | None
    total: int
    done: int
    skipped: int


@dataclass(frozen=True, slots=True)
class RunningOperation:
    """An operation to be carried out; `partition` is that of its business."""

    business_id: int
    operation_id: int
    run_id: int
    type: str
    partition: int


class BulkOperations:
    """The operations of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def begin(self, request: BulkRequest) -> tuple[str, int | None]:
        """Note an operation: a code (id_reused, not_found or crowded; empty when it is noted), and its id.

        Raises:
            DatabaseUnavailableError: when it failed or its answer was lost; retrying with the same id is harmless.
        """
        answer = await self._pool.fetchval(
            TEXT["begin"],
            request.business_id,
            request.id,
            request.digest,
            request.type,
            request.run_id,
            None if request.job_ids is None else list(request.job_ids),
            *request.wanted.arguments,
            request.requested_by,
            KEEP_HTTP_SECONDS,
            list(request.loosens),
            CURRENT_ADDRESS.get(),
        )
        return answer["code"], answer.get("operation_id")

    async def get(self, business_id: int, operation_id: int) -> BulkOperation | None:
        """One operation; None when there is none with this id in this business."""
        row = await self._pool.fetchrow(TEXT["get"], business_id, operation_id)
        return BulkOperation(**row) if row else None

    async def foreign(self, business_id: int, operation_id: int) -> int | None:
        """The other business that has an operation with this id, for the security log alone."""
        owner: int | None = await self._pool.fetchval(TEXT["foreign"], business_id, operation_id)
        return owner

    async def running(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[RunningOperation]:
        """The oldest running operation of each business of these partitions, except those with an id in `but`."""
        rows = await self._pool.fetch(TEXT["running"], list(partitions), limit, list(but))
        return [RunningOperation(**row) for row in rows]

    async def carry_out(self, business_id: int, operation_id: int, chunk: int) -> bool:
        """Carry out the next `chunk` leads; False when it is over, or another worker is at it.

        Raises:
            RowLockedError: when another session holds a row that it needs.
        """
        return bool(await self._pool.fetchval(TEXT["operate"], business_id, operation_id, chunk))

    async def fail(self, business_id: int, operation_id: int) -> None:
        """Give up an operation; what has been done stays."""
        await self._pool.execute(TEXT["fail"], business_id, operation_id)
