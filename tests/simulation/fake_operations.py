"""Operations on many leads, which nobody asks for in a schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.bulk.bulk_operations import RunningOperation


class FakeBulkOperations:
    """`sql.bulk.bulk_operations.BulkOperations`."""

    async def running(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[RunningOperation]:  # noqa: ARG002
        return []

    async def carry_out(self, business_id: int, operation_id: int, chunk: int) -> bool:
        raise AssertionError(business_id, operation_id, chunk)

    async def fail(self, business_id: int, operation_id: int) -> None:
        raise AssertionError(business_id, operation_id)
