"""Commands as sql/commands/command_v1.sql decides them, and ownership as ownership_v1.sql does it, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dialer.messages import Command, CommandType
from sql.commands.commands import MalformedCommand
from tests.simulation import checking
from tests.simulation.recording import counted_as, summary
from tests.simulation.rows import ENDED, Received

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from tests.simulation.rows import Database, Run

ENDING = frozenset({CommandType.CANCEL, CommandType.STOP})
VERBS = {CommandType.START: "run.started", CommandType.PAUSE: "run.paused", CommandType.RESUME: "run.resumed"}


def end_if_done(db: Database, run: Run) -> bool:
    """Let a run end when nothing is queued and nothing in flight."""
    may_end = (run.status in {"running", "paused"} and run.started) or (run.status == "pending" and run.cancel_requested)
    if run.queued or run.in_progress or not may_end:
        return False
    run.status = "cancelled" if run.cancel_requested else "completed"
    run.ended_at = db.clock()
    db.touched.add(run.id)
    db.add_event(run.business_id, run.id, "run.finished", summary(run))
    return True


def hang_up(db: Database, business_id: int, run_id: int, job_id: int | None) -> None:
    """Remember that these calls are to be hung up."""
    for attempt_id in db.lanes[business_id].inflight:
        attempt = db.attempts[attempt_id]
        if attempt.run_id == run_id and job_id in {None, attempt.job_id}:
            attempt.hang_up_at = attempt.hang_up_at if attempt.hang_up_at is not None else db.clock()
            attempt.next_check_at = db.clock() if attempt.next_check_at is None else min(attempt.next_check_at, db.clock())


def command(db: Database, asked: Command) -> dict[str, Any]:
    """A command over HTTP: received, decided and answered."""
    is_new = receive_one(db, asked)
    if is_new is None:
        return {"accepted": False, "code": "id_reused"}
    return apply(db, db.inbox[asked.business_id, asked.id]) | {"duplicate": not is_new}


def receive_one(db: Database, asked: Command) -> bool | None:
    """Put a command into the inbox: True when new, False when the same is there, None when another has its id."""
    known = db.inbox.get((asked.business_id, asked.id))
    if known and known.expires_at >= db.clock() and "command_twice" not in db.faults:
        return False if known.digest == asked.digest else None
    db.received += 1
    db.inbox[asked.business_id, asked.id] = Received(
        db.received, asked.business_id, asked.id, asked.digest, asked.type, asked.run_id, asked.job_id, asked.hang_up, asked.entry,
        db.clock() + asked.keep_seconds, asked.requested_by,
    )  # fmt: skip
    return True


def receive(db: Database, start: str, end: str, entries: Sequence[Command | MalformedCommand]) -> bool:
    """Move entries of the stream into the inbox, unless another reader has moved the position."""
    if db.position != start:
        return False
    db.position = end
    for entry in entries:
        if isinstance(entry, MalformedCommand):
            db.add_event(0, None, "command.rejected", {"code": "malformed", "entry": entry.entry}, command_id=entry.fields.get("id"))
            continue
        is_new = receive_one(db, entry)
        row = db.inbox[entry.business_id, entry.id]
        if is_new is None:
            answer(db, row, {"accepted": False, "code": "id_reused"}, duplicate=False, of=entry)
        elif not is_new and row.answer is None:
            row.repeats += 1
        elif not is_new and row.answer is not None:
            answer(db, row, row.answer, duplicate=True)
    return True


def waiting(db: Database, limit: int, but: Sequence[int] = ()) -> list[int]:
    """Businesses with commands not yet decided, without those of `but`; the longest waiting first."""
    first: dict[int, int] = {}
    for row in db.inbox.values():
        if row.answer is None and row.business_id not in but:
            first[row.business_id] = min(row.seq, first.get(row.business_id, row.seq))
    return sorted(first, key=lambda business_id: first[business_id])[:limit]


def apply_received(db: Database, business_id: int, limit: int) -> list[tuple[Received, dict[str, Any]]]:
    """Decide what waits for one business, in the order it came."""
    rows = sorted((row for row in db.inbox.values() if row.business_id == business_id and row.answer is None), key=lambda row: row.seq)
    if "commands_in_any_order" in db.faults:
        rows.reverse()
    return [(row, apply(db, row)) for row in rows[:limit]]


def apply(db: Database, row: Received) -> dict[str, Any]:
    """Decide one command that is in the inbox, and answer it."""
    if row.answer is not None:
        return row.answer
    lane, run = db.lanes.get(row.business_id), db.runs.get(row.run_id)
    mine = run if run is not None and run.business_id == row.business_id else None
    if lane is None or mine is None:
        verdict: dict[str, Any] = {"accepted": False, "code": "not_found", "foreign": run is not None and mine is None}
    elif row.type == CommandType.CANCEL_JOB:
        verdict = _cancel_job(db, mine, row)
    else:
        verdict = _change_run(db, mine, row)
    shown: dict[str, Any] = {"run_id": row.run_id, "partition": lane.partition if lane else None}
    if mine:
        shown |= {"status": mine.status, "cancel_requested": mine.cancel_requested, "in_progress": mine.in_progress}
        db.touched.add(mine.id)
    row.answer = shown | verdict
    for n in range(row.repeats + 1):
        answer(db, row, row.answer, duplicate=n > 0)
    return row.answer


def answer(db: Database, row: Received, found: dict[str, Any], *, duplicate: bool, of: Command | None = None) -> None:
    """Publish the answer to a command."""
    kind = "command.accepted" if found["accepted"] else "command.rejected"
    run_id, job_id = (of.run_id, of.job_id) if of else (row.run_id, row.job_id)
    db.add_event(row.business_id, run_id, kind, {"duplicate": duplicate, "code": found.get("code", "")}, job_id=job_id, command_id=row.id)


def _cancel_job(db: Database, run: Run, row: Received) -> dict[str, Any]:
    job = db.jobs.get(row.job_id or 0)
    if job is None or job.run_id != run.id:
        return {"accepted": False, "code": "not_found"}
    counted = counted_as(job.status, run.cancel_requested)
    if counted == "in_progress" and not row.hang_up:
        return {"accepted": False, "code": "in_progress", "job_id": job.id, "job_status": job.status, "in_progress": 1}
    if counted == "in_progress":
        hang_up(db, run.business_id, run.id, job.id)
    elif counted == "queued":
        job.status = "cancelled"
        db.retries.pop(job.id, None)
        run.queued -= 1
        run.cancelled += 1
        db.add_event(run.business_id, run.id, "job.changed", {"status": "cancelled", "lead_id": job.lead_id}, job_id=job.id)
        end_if_done(db, run)
        counted = "cancelled"
    status = job.status if counted == "in_progress" else counted
    return {"accepted": True, "job_id": job.id, "in_progress": int(counted == "in_progress"), "job_status": status}


def _change_run(db: Database, run: Run, row: Received) -> dict[str, Any]:
    kind, ended = CommandType(row.type), run.status in ENDED
    if kind in ENDING:
        emptied = 0 if ended else _empty(db, run)
        if row.hang_up:
            hang_up(db, run.business_id, run.id, None)
        if kind is CommandType.CANCEL and not ended:
            end_if_done(db, run)
        elif not ended:
            run.status, run.ended_at = "stopped", db.clock()
            db.add_event(run.business_id, run.id, "run.finished", summary(run))
        return {"accepted": True, "already_ended": ended, "cancelled_jobs": emptied}
    needed = {CommandType.START: "pending", CommandType.PAUSE: "running", CommandType.RESUME: "paused"}[kind]
    if run.cancel_requested or run.status != needed or (kind is CommandType.START and db.is_being_filled(run.id)):
        return {"accepted": False, "code": "invalid_state"}
    run.status = "paused" if kind is CommandType.PAUSE else "running"
    run.started = run.started or kind is CommandType.START
    if kind is CommandType.START:
        checking.reset_windows(db, run)
    db.add_event(run.business_id, run.id, VERBS[kind], {"requested_by": row.requested_by})
    end_if_done(db, run)
    return {"accepted": True}


def _empty(db: Database, run: Run) -> int:
    emptied = run.queued
    run.cancel_requested = True
    run.cancelled += emptied
    run.queued = 0
    if emptied and run.total_leads <= db.rewrite_here:
        rewrite_rows(db, run)
    elif emptied:
        run.rewrite_pending = True
    return emptied


def rewrite_rows(db: Database, run: Run, first: int = 1, chunk: int = 10**9) -> int | None:
    """Let the job rows of a cancelled run say so, a chunk at a time; where to go on, None at the end."""
    for job in run.jobs[first - 1 : first - 1 + chunk]:
        if job.status == "queued" and run.cancel_requested:
            job.status = "cancelled"
    if first - 1 + chunk < len(run.jobs):
        return first + chunk
    for job in run.jobs:
        db.retries.pop(job.id, None)
    run.rewrite_pending = False
    return None


def pause_refused(db: Database, business_id: int, run_id: int, reason: str, cause: Mapping[str, object]) -> None:
    """Pause a run that its provider account refuses."""
    run = db.runs.get(run_id)
    if run and run.business_id == business_id and run.status == "running" and run.started and not run.cancel_requested:
        run.status, run.last_error, run.last_error_cause = "paused", reason, dict(cause)
        db.add_event(business_id, run_id, "run.paused", {"last_error": reason, "last_error_cause": dict(cause)})


def join(db: Database, incarnation: UUID, seconds: float) -> None:
    """Begin the life of an incarnation; once more is harmless."""
    db.workers.setdefault(incarnation, db.clock() + seconds)


def renew(db: Database, incarnation: UUID, seconds: float) -> bool:
    """Lengthen a lease that has not run out."""
    if db.workers.get(incarnation, -1.0) <= db.clock():
        return False
    db.workers[incarnation] = db.clock() + seconds
    return True


def lives(db: Database, incarnation: UUID | None) -> bool:
    """True while the lease of this incarnation lasts."""
    return incarnation is not None and db.workers.get(incarnation, -1.0) > db.clock()


def take_over(db: Database, incarnation: UUID, partitions: Sequence[int]) -> dict[int, int]:
    """Take partitions that no live worker holds."""
    taken: dict[int, int] = {}
    for number in sorted(partitions):
        row = db.partitions[number]
        if not lives(db, row.owner) and lives(db, incarnation):
            row.owner, row.epoch, row.taken_at = incarnation, row.epoch + 1, db.clock()
            taken[number] = row.epoch
            if "free_on_lease_end" in db.faults:
                _free(db, number)
    return taken


def _free(db: Database, partition: int) -> None:
    for lane in db.lanes.values():
        if lane.partition == partition:
            lane.inflight = []


def give_back(db: Database, incarnation: UUID, partitions: Sequence[int]) -> None:
    """Give back partitions, but only one's own."""
    for number in partitions:
        row = db.partitions[number]
        if row.owner == incarnation:
            row.owner, row.taken_at = None, db.clock()


def leave(db: Database, incarnation: UUID) -> None:
    """Give back everything and end this incarnation."""
    give_back(db, incarnation, range(len(db.partitions)))
    db.workers.pop(incarnation, None)


def set_max_calls(db: Database, business_id: int, max_calls: int) -> None:
    """Want another number of calls at once; the enforced limit never falls below what is in flight."""
    lane = db.lanes[business_id]
    lane.max_calls, lane.cap = max_calls, max(max_calls, len(lane.inflight))
