"""A person's word on an attempt that stays unknown; the only way out of it besides proof.

On the road of a call: 7, when neither the provider nor a callback ever said what became of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dialer.messages import KEEP_HTTP_SECONDS
from sql.pool import flush
from sql.statements import statements

if TYPE_CHECKING:
    from sql.pool import Pool

TEXT = statements("resolutions")


@dataclass(frozen=True, slots=True)
class Resolution:
    """`judgement` is over or not_placed; `id` is from the request's Idempotency-Key, or new."""

    business_id: int
    run_id: int
    job_id: int
    judgement: str
    requested_by: str
    id: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of what is said: the same id with another digest is another request."""
        return hashlib.sha256(f"job.resolve|{self.run_id}|{self.job_id}|{self.judgement}".encode()).digest()


class Resolutions:
    """The resolutions of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def resolve(self, said: Resolution) -> dict[str, Any]:
        """Believe a person; the answer's `code` is empty, or why not: functions/resolve_v1.sql explains them.

        Raises:
            DatabaseUnavailableError: when it did not come through; the same again is harmless.
        """
        async with self._pool.acquire() as connection:
            found: dict[str, Any] = await connection.fetchval(
                TEXT["resolve"],
                said.business_id,
                said.id,
                said.digest,
                said.run_id,
                said.job_id,
                said.judgement,
                said.requested_by,
                KEEP_HTTP_SECONDS,
            )
            await flush(connection)
        return found
