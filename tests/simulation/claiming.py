"""Claim as sql/attempts/claim_v1.sql does it, in memory: the same candidates, the same order, the same verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sql.attempts.attempts import ClaimedAttempt, Verdict
from sql.attempts.verdicts import VerdictCode
from tests.simulation.rows import Attempt, Retry, moment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from sql.attempts.attempts import ClaimRequest
    from tests.simulation.rows import Database, Job, Lane, Run, Zone

SCAN = 1000
SAME_PHONE_SECONDS = 5.0


@dataclass(slots=True)
class Candidate:
    run: Run
    job: Job
    zone: Zone | None
    due_at: float
    nth: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """What one call of the function is given."""

    incarnation: UUID
    token: UUID
    send_seconds: float
    ring_seconds: int
    default_account: str
    locked_lanes: frozenset[int] = frozenset()
    locked_runs: frozenset[int] = frozenset()


def claim(db: Database, asks: Sequence[ClaimRequest], about: Claim) -> tuple[list[ClaimedAttempt], list[Verdict]]:
    """Take the next leads of these businesses; one verdict for each."""
    intents: list[ClaimedAttempt] = []
    verdicts: list[Verdict] = []
    for ask in sorted(asks, key=lambda ask: ask.business_id):
        if ask.business_id in db.lanes:
            taken, verdict = _claim_one(db, ask, about)
            intents += taken
            verdicts.append(verdict)
    return intents, verdicts


def _claim_one(db: Database, ask: ClaimRequest, about: Claim) -> tuple[list[ClaimedAttempt], Verdict]:
    lane = db.lanes[ask.business_id]
    if not db.owns(lane.partition, about.incarnation, ask.epoch):
        return [], Verdict(ask.business_id, VerdictCode.NOT_OWNER)
    if ask.business_id in about.locked_lanes:
        return [], Verdict(ask.business_id, VerdictCode.BUSY)
    room = _room(db, lane)
    if room <= 0:
        return [], Verdict(ask.business_id, VerdictCode.FULL)
    running = [run for run in db.runs_of[ask.business_id] if _takes(db, run)]
    held = [run for run in running if run.id not in about.locked_runs]
    may_take = {run.id: min(room, run.concurrency - run.in_progress) for run in held}
    offered = [candidate for run in held for candidate in _candidates(db, run, may_take[run.id])]
    candidates = [candidate for candidate in offered if candidate.nth <= may_take[candidate.run.id]]
    candidates.sort(key=lambda c: (-c.run.priority, c.run.in_progress + c.nth, c.run.served_at, c.run.id, c.nth))
    picked = candidates[: min(room, ask.permits)]
    free, waiting = _on_the_line(db, lane, picked)
    intents = [_intend(db, lane, candidate, about) for candidate in free]
    for candidate in waiting:
        db.retries[candidate.job.id] = Retry(
            candidate.job.id, candidate.run.id, lane.business_id, db.clock() + SAME_PHONE_SECONDS, "same_phone"
        )
    barren = [run for run in held if _pass(run, offered, picked, may_take[run.id])]
    _count(db, lane, held, picked, intents)
    return intents, _verdict(
        db, lane.business_id, room - len(intents), len(candidates) - len(intents), bool(waiting or barren), running, held
    )


def _room(db: Database, lane: Lane) -> int:
    if "count_instead_of_set" in db.faults:
        # As the old system did: count what is known to be ringing or live, and believe it.
        return lane.max_calls - sum(1 for i in lane.inflight if db.attempts[i].state in {"ringing", "live", "placed"})
    return lane.max_calls - len(lane.inflight)


def _takes(db: Database, run: Run) -> bool:
    cancelled = run.cancel_requested and "claim_ignores_cancel" not in db.faults
    status = run.status == "running" or ("claim_ignores_cancel" in db.faults and run.cancel_requested and run.status == "stopped")
    return status and run.started and not cancelled


def _candidates(db: Database, run: Run, may_take: int) -> list[Candidate]:
    if may_take <= 0:
        return []
    now = db.clock()
    due = [r for r in db.retries.values() if r.run_id == run.id and r.due_at <= now and db.jobs[r.job_id].status == "queued"]
    due.sort(key=lambda r: (r.due_at, r.job_id))
    found = [Candidate(run, db.jobs[r.job_id], None, r.due_at) for r in due[:may_take]]
    found.sort(key=lambda c: (c.due_at, c.job.position))
    fresh: list[Candidate] = []
    for zone in run.zones:
        fresh += _of_zone(run, zone, may_take)
    fresh.sort(key=lambda c: c.job.position)
    found += fresh[:may_take]
    for nth, candidate in enumerate(found, start=1):
        candidate.nth = nth
    return found


def _of_zone(run: Run, zone: Zone, may_take: int) -> list[Candidate]:
    found: list[Candidate] = []
    for position in range(zone.next, min(zone.last, zone.next + SCAN - 1) + 1):
        job = run.jobs[position - 1]
        if job.status == "queued":
            found.append(Candidate(run, job, zone, 0.0))
            if len(found) == may_take:
                break
    return found


def _on_the_line(db: Database, lane: Lane, picked: list[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """One open attempt to a number at a time, over all runs of the business."""
    busy = set() if "same_phone_twice" in db.faults else {db.attempts[i].phone for i in lane.inflight}
    free, waiting = [], []
    for candidate in picked:
        if candidate.job.phone in busy:
            waiting.append(candidate)
        else:
            free.append(candidate)
            if "same_phone_twice" not in db.faults:
                busy.add(candidate.job.phone)
    return free, waiting


def _intend(db: Database, lane: Lane, candidate: Candidate, about: Claim) -> ClaimedAttempt:
    now, job = db.clock(), candidate.job
    attempt = Attempt(
        len(db.attempts) + 1, lane.business_id, job.run_id, job.id, str(about.token), db.nonce(), job.phone, lane.caller_id,
        lane.account_sid or about.default_account, about.ring_seconds, now, now + about.send_seconds, now + about.send_seconds,
    )  # fmt: skip
    db.attempts[attempt.id] = attempt
    job.status, job.attempts, job.attempt_id = "dialing", job.attempts + 1, attempt.id
    db.retries.pop(job.id, None)
    return ClaimedAttempt(
        lane.business_id, job.run_id, job.id, attempt.id, attempt.nonce, about.token, job.phone, lane.caller_id, attempt.account_sid,
        candidate.run.settings.get("machine_detection"), bool(candidate.run.settings.get("record", False)),
    )  # fmt: skip


def _pass(run: Run, offered: list[Candidate], picked: list[Candidate], may_take: int) -> bool:
    """Move the cursors of a run behind what was taken; True when a stretch of leads that are not queued was passed."""
    if may_take <= 0:
        return False
    barren = False
    zones = _zones_offered(run, offered)
    fresh = sum(zones.values())
    for zone in run.zones:
        if zone.next > zone.last:
            continue
        last = max((c.job.position for c in picked if c.zone is zone), default=0)
        was = zone.next
        if last:
            zone.next = last + 1
        elif not zones.get(id(zone)) and fresh < may_take:
            zone.next = min(zone.last, zone.next + SCAN - 1) + 1
            barren = True
        run.cursor += zone.next - was
    return barren


def _zones_offered(run: Run, offered: list[Candidate]) -> dict[int, int]:
    zones: dict[int, int] = {}
    for candidate in offered:
        if candidate.run is run and candidate.zone is not None:
            zones[id(candidate.zone)] = zones.get(id(candidate.zone), 0) + 1
    return zones


def _count(db: Database, lane: Lane, held: list[Run], picked: list[Candidate], intents: list[ClaimedAttempt]) -> None:
    for turn, candidate in enumerate(picked, start=1):
        candidate.run.served_at = db.clock() + turn * 1e-6
    for run in held:
        taken = sum(1 for intent in intents if intent.run_id == run.id)
        run.queued -= taken
        run.in_progress += taken
    if intents:
        if "count_instead_of_set" in db.faults:
            lane.cap = max(lane.cap, len(lane.inflight) + len(intents))
        lane.hold(lane.inflight + [intent.attempt_id for intent in intents])
    db.touched.update(run.id for run in held)


def _verdict(
    db: Database,
    business_id: int,
    room: int,
    offered: int,
    moved: bool,  # noqa: FBT001 one of six
    running: list[Run],
    held: list[Run],
) -> Verdict:
    if room <= 0:
        return Verdict(business_id, VerdictCode.FULL)
    if moved:
        return Verdict(business_id, VerdictCode.AGAIN)
    if offered > 0:
        return Verdict(business_id, VerdictCode.GATE)
    if len(held) < len(running):
        return Verdict(business_id, VerdictCode.BUSY)
    now, ids = db.clock(), {run.id for run in running}
    later = min((r.due_at for r in db.retries.values() if r.run_id in ids and r.due_at > now), default=None)
    if later is not None:
        return Verdict(business_id, VerdictCode.PUT_OFF, moment(later))
    return Verdict(business_id, VerdictCode.EMPTY)
