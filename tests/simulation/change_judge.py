"""The judge of what people do to runs while they go on: starts at a time, more leads, operations on many leads."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sql.bulk.bulk_operations import BulkType
from tests.simulation.rows import ENDED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.rows import Database

SCHEDULE = "schedule"
OVER = frozenset({"completed", "failed", "cancelled", "skipped"})


class ChangeJudge:
    """Whoever changes the start of a run notes it in `starts`, at that moment; who begins an operation, its leads in `operations`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.starts: dict[int, float | None] = {}
        self.operations: dict[int, list[int]] = {}
        self._events = 0
        self._jobs = 0
        self._started: Counter[int | None] = Counter()
        self._leads: set[tuple[int, int]] = set()

    def is_behind(self) -> bool:
        """Whether there are events or leads that it has not seen."""
        return self._events < len(self._db.every_event) or self._jobs < len(self._db.jobs)

    def check(self) -> Iterator[str]:
        """After a statement: the events it wrote, and the leads it added."""
        for event in self._db.every_event[self._events :]:
            if event.type == "run.started" and event.run_id is not None:
                yield from self._start(event.run_id, event.at, str(event.data["requested_by"]))
        self._events = len(self._db.every_event)
        for job_id in range(self._jobs + 1, len(self._db.jobs) + 1):
            yield from self._added(job_id)
        self._jobs = len(self._db.jobs)

    def _start(self, run_id: int, at: float, by: str) -> Iterator[str]:
        self._started[run_id] += 1
        wanted = self.starts.get(run_id)
        if self._started[run_id] > 1:
            yield f"run {run_id} was started twice"
        if by == SCHEDULE and wanted is None:
            yield f"run {run_id} was started by its schedule, which had been cancelled"
        elif by == SCHEDULE and wanted is not None and at < wanted:
            yield f"run {run_id} was started {wanted - at:.2f} s before its time"

    def _added(self, job_id: int) -> Iterator[str]:
        db, job = self._db, self._db.jobs[job_id]
        if (job.run_id, job.lead_id) in self._leads:
            yield f"run {job.run_id} has lead {job.lead_id} twice"
        self._leads.add((job.run_id, job.lead_id))
        for operation in db.operations.values():
            if operation.new_run_id == job.run_id:
                source = next((db.jobs[i] for i in self.operations[operation.id] if db.jobs[i].lead_id == job.lead_id), None)
                if source and source.status not in OVER and not db.runs[source.run_id].cancel_requested:
                    yield f"lead {job.lead_id} of run {source.run_id} is called again, and is {source.status} there"

    def refuses(self, business_id: int, phone: str) -> bool:
        """Whether an operation that is done has put a number on the do-not-call list."""
        return any(
            o.type == BulkType.DO_NOT_CALL and o.status == "done" and o.business_id == business_id
            and any(self._db.jobs[i].phone == phone for i in self.operations[o.id])
            for o in self._db.operations.values()
        )  # fmt: skip

    def late_starts(self, soon: float) -> list[int]:
        """The runs that were to start by then, and have not."""
        due = [run_id for run_id, at in self.starts.items() if at is not None and at <= soon]
        return [run_id for run_id in due if self._db.runs[run_id].status == "pending"]

    def under_way(self) -> list[int]:
        """The operations that are not over."""
        return [operation.id for operation in self._db.operations.values() if operation.status == "running"]

    def close(self) -> Iterator[str]:
        """After the schedule: each operation has gone through its leads once; none of those it was to cancel waits for its first call."""
        for operation_id, jobs in self.operations.items():
            operation = self._db.operations[operation_id]
            if (operation.status, operation.done + operation.skipped) != ("done", len(jobs)):
                yield f"operation {operation_id} is {operation.status}: {operation.done} done, {operation.skipped} skipped of {len(jobs)}"
            # An attempt that was never sent puts its lead back in the queue, and it may have been in flight at its turn.
            attempted = {attempt.job_id for attempt in self._db.attempts.values()}
            for job in (self._db.jobs[i] for i in jobs if operation.type == BulkType.CANCEL and i not in attempted):
                if job.status == "queued" and self._db.runs[job.run_id].status not in ENDED:
                    yield f"lead {job.id} is queued, and operation {operation_id} was to cancel it"
