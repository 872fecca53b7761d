"""Resolutions: a person states what became of an attempt that stays unknown; the only way out besides proof."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dialer.messages import KEEP_HTTP_SECONDS
from sql.audit.audit import CURRENT_ADDRESS
from sql.statements import statements

if TYPE_CHECKING:
    from sql.pool import Pool

TEXT = statements("resolutions")


@dataclass(frozen=True, slots=True)
class Resolution:
    """`resolution` is over or not_placed; `id` is from the request's Idempotency-Key, or new."""

    business_id: int
    run_id: int
    job_id: int
    resolution: str
    requested_by: str
    id: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of the content: the same id with another digest is another request."""
        return hashlib.sha256(f"job.resolve|{self.run_id}|{self.job_id}|{self.resolution}".encode()).digest()


class Resolutions:
    """The resolutions of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def resolve(self, request: Resolution) -> dict[str, Any]:
        """Apply a resolution; the answer's `code` is empty on success: sql/resolutions/resolve_v1.sql explains the others.

        Raises:
            DatabaseUnavailableError: when it failed or its answer was lost; retrying the same request is harmless.
        """
        async with self._pool.writing() as (connection, flush):
            answer: dict[str, Any] = await connection.fetchval(
                TEXT["resolve"],
                request.business_id,
                request.id,
                request.digest,
                request.run_id,
                request.job_id,
                request.resolution,
                request.requested_by,
                KEEP_HTTP_SECONDS,
                CURRENT_ADDRESS.get(),
            )
            await flush()
        return answer
