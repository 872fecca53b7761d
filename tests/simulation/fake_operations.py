"""`sql.bulk.bulk_operations.BulkOperations` over the in-memory database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sql.bulk.bulk_operations import RunningOperation
from tests.simulation import operating
from tests.simulation.fake_store import FakeStore

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK_LEADS = 2


class FakeBulkOperations(FakeStore):
    """What the worker needs of it; chunks are small, since the runs are."""

    async def running(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[RunningOperation]:
        def statement() -> list[RunningOperation]:
            first: dict[int, RunningOperation] = {}
            for o in self.db.operations.values():
                partition = self.db.lanes[o.business_id].partition
                if o.status == "running" and partition in partitions and o.id not in but:
                    first.setdefault(o.business_id, RunningOperation(o.business_id, o.id, o.run_id, o.type, partition))
            return [first[business_id] for business_id in sorted(first)[:limit]]

        if not any(operation.status == "running" for operation in self.db.operations.values()):
            # Asked twice a second by every worker: not over the network, when the answer can only be that there is none.
            return []
        found: list[RunningOperation] = await self.link.ask(statement)
        return found

    async def carry_out(self, business_id: int, operation_id: int, chunk: int) -> bool:
        def statement() -> bool:
            if business_id in self.held():
                return False
            self.wait_for_lock()
            return operating.operate(self.db, operation_id, min(chunk, CHUNK_LEADS))

        return bool(await self.link.ask(statement))

    async def fail(self, business_id: int, operation_id: int) -> None:  # noqa: ARG002 ids are unique here
        def statement() -> None:
            operation = self.db.operations[operation_id]
            operation.status = "failed" if operation.status == "running" else operation.status

        await self.link.ask(statement)
