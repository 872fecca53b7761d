"""Operations on many leads of a run as sql/bulk/operation_v1.sql does them, in memory: a chunk and its count are one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sql.bulk.bulk_operations import BulkType
from sql.runs.new_lead import NewLead
from tests.simulation import commanding
from tests.simulation.loaders import append_leads
from tests.simulation.recording import counted_as
from tests.simulation.rows import ENDED, Operation, Run

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tests.simulation.rows import Database, Job

MOST_RUNNING = 20


def begin(db: Database, run_id: int, kind: BulkType, job_ids: Collection[int] | None = None) -> tuple[str, int | None]:
    """Note an operation on these leads of a run, or on all; a code, empty on success, and its id."""
    run = db.runs[run_id]
    mine = [operation for operation in db.operations.values() if operation.business_id == run.business_id]
    if sum(operation.status == "running" for operation in mine) >= MOST_RUNNING:
        return "crowded", None
    chosen = [job for job in run.jobs if job_ids is None or job.id in job_ids]
    if kind is BulkType.AGAIN:
        chosen.sort(key=lambda job: (run.zone_of(job.position).name, job.position))
    operation = Operation(len(db.operations) + 1, run.business_id, run_id, kind, [job.id for job in chosen])
    operation.status = "running" if chosen else "done"
    db.operations[operation.id] = operation
    return "", operation.id


def operate(db: Database, operation_id: int, chunk: int) -> bool:
    """Carry out the next leads of an operation; False when it is over."""
    operation = db.operations[operation_id]
    if operation.status != "running":
        return False
    first = operation.done + operation.skipped
    jobs = [db.jobs[job_id] for job_id in operation.jobs[first : first + chunk]]
    run = db.runs[operation.run_id]
    if operation.type == BulkType.CANCEL:
        changed = _cancel(db, run, jobs)
    elif operation.type == BulkType.DO_NOT_CALL:
        changed = _refuse(db, run.business_id, jobs)
    else:
        changed = _call_again(db, operation, run, jobs)
    if "chunk_without_its_count" in db.faults and operation.id % 2:
        return True
    operation.done += changed
    operation.skipped += len(jobs) - changed
    if operation.done + operation.skipped >= len(operation.jobs):
        operation.status = "done"
    return True


def _cancel(db: Database, run: Run, jobs: Sequence[Job]) -> int:
    if run.cancel_requested or run.status in ENDED:
        return 0
    queued = sorted((job for job in jobs if job.status == "queued" or "calls_are_cancelled_in_bulk" in db.faults), key=lambda job: job.id)
    for job in queued:
        job.status = "cancelled"
        db.retries.pop(job.id, None)
        db.add_event(run.business_id, run.id, "job.changed", {"status": "cancelled", "lead_id": job.lead_id}, job_id=job.id)
    run.queued -= len(queued)
    run.cancelled += len(queued)
    db.touched.add(run.id)
    commanding.end_if_done(db, run)
    return len(queued)


def _refuse(db: Database, business_id: int, jobs: Sequence[Job]) -> int:
    refused = db.rules[business_id].do_not_call
    new = {job.phone for job in jobs if refused.get(job.phone) != 0}
    if "bulk_refuses_nobody" not in db.faults:
        refused.update(dict.fromkeys(sorted(new), 0))
    return len(new)


def _call_again(db: Database, operation: Operation, source: Run, jobs: Sequence[Job]) -> int:
    """Copy the leads that have ended into the new run; the first of them make it."""
    over = {"completed", "failed", "cancelled", "skipped"}
    if "live_leads_are_called_again" in db.faults:
        over |= {"in_progress"}
    ended = [job for job in jobs if counted_as(job.status, source.cancel_requested) in over]
    if operation.new_run_id is None and ended:
        made = Run(
            len(db.runs) + 1, source.business_id, source.concurrency, 0, 0, source.priority,
            {name: value for name, value in source.settings.items() if name != "schedule_at"}, ancestors=(*source.ancestors, source.id),
        )  # fmt: skip
        db.runs[made.id] = made
        db.runs_of[made.business_id].append(made)
        operation.new_run_id = made.id
    if not ended or operation.new_run_id is None:
        return 0
    made = db.runs[operation.new_run_id]
    if made.status != "pending" or made.cancel_requested:
        return 0
    append_leads(db, made, [NewLead(job.lead_id, job.phone, None, source.zone_of(job.position).name) for job in ended])
    db.touched.add(made.id)
    return len(ended)
