"""Record as sql/attempts/record_v1.sql does it, in memory: judge each fact by the old rows, find effects, move, count, write events."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dialer.model import AttemptState
from dialer.policy.checks import EXPIRY_SECONDS, pause_before_check
from sql.attempts.attempts import RecordResult
from sql.attempts.verdicts import RecordVerdict
from telephony import refusals
from tests.simulation import checking
from tests.simulation.rows import ENDED, IN_PROGRESS, OPEN, Retry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.attempts.attempts import Fact
    from tests.simulation.rows import Attempt, Database, Job, Lane, Run

TOO_MANY_SECONDS = 10.0
CONFUSED = "confused"
CLOSED_RANK = 9
NOT_SENT, UNKNOWN, NOT_PLACED, PLACING, OVER = (
    AttemptState.NOT_SENT, AttemptState.UNKNOWN, AttemptState.NOT_PLACED, AttemptState.PLACING, AttemptState.OVER,
)  # fmt: skip


ACCOUNT_FAULTS = frozenset(rule.code for rule in refusals.CODES if rule.action is refusals.Action.ACCOUNT)


@dataclass(slots=True)
class JudgedFact:
    """A fact beside the rows it is about, as they were before this statement."""

    fact: Fact
    attempt: Attempt
    lane: Lane
    job: Job
    run: Run
    was: AttemptState
    was_excess: bool
    bound: str | None
    elsewhere: bool
    confused: bool
    room: int
    newest: bool
    job_was: str
    retry_seconds: float | None = None
    verdict: RecordVerdict = RecordVerdict.BUSY
    enters: bool = False
    leaves: bool = False
    now_excess: bool = False
    unwanted: bool = False
    second_is_new: bool = False
    job_now: str = ""

    @property
    def applied(self) -> bool:
        return self.verdict is RecordVerdict.APPLIED


def record(
    db: Database, facts: Sequence[Fact], locked_lanes: frozenset[int] = frozenset(), locked_runs: frozenset[int] = frozenset()
) -> list[RecordResult]:
    """Apply facts, at most one an attempt."""
    found = {fact.attempt_id: _find(db, fact) for fact in facts}
    locked = {i for i, j in found.items() if j and (j.lane.business_id in locked_lanes or (j.run.id in locked_runs and _concerns_run(j)))}
    judged = [j for i, j in found.items() if j and i not in locked]
    for one in judged:
        one.verdict = _judge(db, one)
    _set_effects(db, judged)
    ended = _move(db, judged)
    return [_answer(fact, found[fact.attempt_id], ended, busy=fact.attempt_id in locked) for fact in facts]


def _find(db: Database, fact: Fact) -> JudgedFact | None:
    attempt = db.attempts.get(fact.attempt_id)
    if attempt is None or attempt.business_id != fact.business_id or attempt.nonce != fact.nonce:
        return None
    if fact.account_sid not in {None, attempt.account_sid}:
        return None
    lane, job, run = db.lanes[attempt.business_id], db.jobs[attempt.job_id], db.runs[attempt.run_id]
    room = lane.max_calls - len(lane.inflight)
    elsewhere = fact.sid is not None and db.sids.get(fact.sid, fact.attempt_id) != fact.attempt_id
    # The answer to its own POST names the call of another attempt: it is unknown which call is whose. A person has to decide.
    confused = elsewhere and attempt.state in {PLACING, UNKNOWN} and fact.token == attempt.token
    if confused:
        fact = replace(fact, state=UNKNOWN, sid=None, evidence={**(attempt.evidence or {}), CONFUSED: True})
    return JudgedFact(
        fact, attempt, lane, job, run, attempt.state, attempt.excess, attempt.sid, elsewhere and not confused, confused, room,
        job.attempt_id == attempt.id, job.status,
    )  # fmt: skip


def _concerns_run(j: JudgedFact) -> bool:
    second = j.bound is not None and j.fact.sid is not None and j.bound != j.fact.sid
    return second or j.was not in OPEN or j.fact.state not in OPEN


def _judge(db: Database, j: JudgedFact) -> RecordVerdict:  # noqa: PLR0911 - one line per verdict, as in the function
    fact, now = j.fact, db.clock()
    if j.elsewhere:
        return RecordVerdict.REFUSED
    if fact.sid is not None and j.bound is not None and fact.sid != j.bound:
        return RecordVerdict.SECOND
    mine = fact.token == j.attempt.token
    if fact.state is NOT_SENT:
        return RecordVerdict.APPLIED if j.was is PLACING and mine else RecordVerdict.REFUSED
    if fact.state is UNKNOWN:
        past = now > j.attempt.send_by + EXPIRY_SECONDS
        return RecordVerdict.APPLIED if j.was is PLACING and (mine or past) else RecordVerdict.KNOWN
    if fact.state is NOT_PLACED:
        return RecordVerdict.APPLIED if _absent(db, j) else RecordVerdict.REFUSED
    if "apply_without_rank" in db.faults and j.was.rank <= CLOSED_RANK and fact.state is not j.was:
        return RecordVerdict.APPLIED
    if "settle_twice" in db.faults and fact.state is OVER and j.was is OVER:
        return RecordVerdict.APPLIED
    if j.was.rank >= CLOSED_RANK:
        return RecordVerdict.KNOWN
    return RecordVerdict.APPLIED if j.was is NOT_PLACED or fact.state.rank > j.was.rank else RecordVerdict.KNOWN


def _absent(db: Database, j: JudgedFact) -> bool:
    fact = j.fact
    known = j.attempt.evidence or {}
    if fact.by_person and j.was in OPEN and j.was is not PLACING and (j.bound is None or "missing" in known):
        return True
    if j.was is not UNKNOWN or CONFUSED in known:
        return False
    late = fact.lag_seconds is not None and db.clock() > j.attempt.send_by + fact.lag_seconds
    return late and db.owns(j.lane.partition, fact.owner, fact.epoch)


def _set_effects(db: Database, judged: list[JudgedFact]) -> None:
    places: Counter[int] = Counter()
    for j in sorted(judged, key=lambda j: j.fact.attempt_id):
        if not j.applied:
            continue
        now_open = j.fact.state in OPEN
        j.leaves = j.was in OPEN and not j.was_excess and not now_open
        if "unknown_frees_its_slot" in db.faults and j.fact.state is UNKNOWN:
            j.leaves = True
        if j.was is NOT_PLACED:
            places[j.lane.business_id] += 1
            j.enters = j.newest and now_open and places[j.lane.business_id] <= j.room
        j.unwanted = j.newest and j.was is NOT_PLACED and j.job_was in {"completed", "failed", "cancelled", "skipped"}
        j.now_excess = (j.was is NOT_PLACED and not j.enters and now_open) or j.was_excess
        j.retry_seconds = _retry_seconds(db, j)
        j.job_now = _job_after(db, j)


def _retry_seconds(db: Database, j: JudgedFact) -> float | None:
    """After how long the lead is called again because of how this call ended; None: it is not."""
    unwanted = (j.run.cancel_requested and "retry_after_cancel" not in db.faults) or j.attempt.hang_up_at is not None
    unwanted = unwanted or j.unwanted or bool(j.fact.by_person)
    if not j.newest or j.fact.state is not OVER or unwanted or j.run.status not in {"running", "paused"} or _is_no_fault(j):
        return None
    outcome = job_outcome(j.fact.outcome, j.fact.answered_by or j.attempt.answered_by)
    rule = checking.retries_of(db, j.run).get(outcome)
    ended = [a for a in db.attempts.values() if a.job_id == j.job.id and a is not j.attempt and a.state is OVER and not a.no_fault]
    earlier = sum(1 for a in ended if job_outcome(a.outcome, a.answered_by) == outcome)
    if rule is None or (earlier >= rule["times"] and "retries_without_end" not in db.faults):
        return None
    if "retry_at_once" in db.faults:
        return 0.0
    return 60.0 * float(rule["after_minutes"][min(earlier, len(rule["after_minutes"]) - 1)])


def _job_after(db: Database, j: JudgedFact) -> str:  # noqa: PLR0911 - one line per status, as in the function
    state = j.fact.state
    if not j.newest:
        return j.job_was
    unwanted = (j.run.cancel_requested and "retry_after_cancel" not in db.faults) or j.attempt.hang_up_at is not None
    if j.retry_seconds is not None:
        return "queued"
    if state is OVER and _is_no_fault(j):
        return j.job_was if j.unwanted else "cancelled" if unwanted else "queued"
    if state is OVER:
        return {"completed": "completed", "canceled": "cancelled"}.get(j.fact.outcome or "", "failed")
    if state is AttemptState.LIVE:
        return "calling"
    if state in {NOT_SENT, NOT_PLACED}:
        return "cancelled" if unwanted else "queued"
    return "dialing" if j.was is NOT_PLACED else j.job_was


def _is_no_fault(j: JudgedFact) -> bool:
    """True for an end that says nothing about the lead: withdrawn from the provider's queue, or too many calls at once."""
    outcome = j.fact.outcome
    return (outcome == "canceled" and j.attempt.withdrawn) or (
        outcome == "failed" and (j.fact.error_code in refusals.CALLBACK_WAITS or j.fact.error_code in ACCOUNT_FAULTS)
    )


def counted_as(status: str, cancel_requested: bool) -> str:  # noqa: FBT001
    """Which of the run's counters a job is counted in."""
    if status in IN_PROGRESS:
        return "in_progress"
    return "cancelled" if status == "queued" and cancel_requested else status


def job_outcome(outcome: str | None, answered_by: str | None) -> str:
    """The outcome that the job of an ended call shows."""
    if outcome is not None and outcome != "completed":
        return outcome
    if answered_by in {"human", "fax"}:
        return answered_by
    return "machine" if (answered_by or "").startswith("machine") else "answered"


def _move(db: Database, judged: list[JudgedFact]) -> set[int]:
    """Move attempts, sids, jobs, lanes and counters, and write events; return the runs that this ends."""
    applied = [j for j in judged if j.applied]
    for j in judged:
        if j.applied:
            _move_attempt(db, j)
        elif j.verdict is RecordVerdict.KNOWN:
            j.attempt.sid = j.attempt.sid or j.fact.sid
            j.attempt.answered_by = j.attempt.answered_by or j.fact.answered_by
            if j.fact.callback is not None:
                j.attempt.evidence = _not_missing(j.attempt.evidence)
            j.attempt.evidence = j.fact.evidence if j.confused else j.attempt.evidence
        if (
            j.fact.sid is not None
            and j.verdict in {RecordVerdict.APPLIED, RecordVerdict.KNOWN, RecordVerdict.SECOND}
            and j.bound != j.fact.sid
        ):
            if j.verdict is RecordVerdict.SECOND and j.fact.sid not in db.sids:
                db.excess_sids.add(j.fact.sid)
                db.excess_live.add(j.fact.sid)
                j.second_is_new = True
            db.sids.setdefault(j.fact.sid, j.attempt.id)
        if j.verdict is RecordVerdict.SECOND and j.fact.state is OVER and j.fact.sid is not None:
            db.excess_live.discard(j.fact.sid)
    deltas: dict[int, Counter[str]] = defaultdict(Counter)
    for j in applied:
        _settle(db, j)
        if _moves(j) or ("settle_twice" in db.faults and j.was is OVER):
            _move_job(db, j, deltas[j.run.id])
    _move_lanes(db, applied)
    return {run.id for run in _runs_of(judged) if _write_events(db, run, [j for j in judged if j.run is run], deltas[run.id])}


def _settle(db: Database, j: JudgedFact) -> None:
    """What a budget in money held for a call is what it costs, once that is known."""
    now = checking.cost_of(j.attempt, j.fact.state, j.fact.outcome, j.fact.duration)
    before = checking.cost_of(j.attempt, j.was, None, None)
    if "cost_is_kept" not in db.faults or now > before:
        j.run.amount_spent += now - before


def _moves(j: JudgedFact) -> bool:
    """Whether the job changes; late proof of a call that is over moves its lead even from queued to queued."""
    late = j.newest and j.was is NOT_PLACED and j.fact.state is OVER and j.job_now == "queued"
    return j.job_now != j.job_was or late


def _not_missing(evidence: dict[str, Any] | None) -> dict[str, Any] | None:
    """Proof that the call exists clears the evidence that the provider does not know it."""
    return evidence and {name: value for name, value in evidence.items() if name not in {"missing", "missing_late"}}


def _runs_of(judged: list[JudgedFact]) -> list[Run]:
    return sorted({j.run.id: j.run for j in judged}.values(), key=lambda run: run.id)


def _move_attempt(db: Database, j: JudgedFact) -> None:
    attempt, fact, now = j.attempt, j.fact, db.clock()
    attempt.state = fact.state
    attempt.sid = attempt.sid or fact.sid
    attempt.excess = j.now_excess
    attempt.no_fault = attempt.no_fault or (fact.state is OVER and _is_no_fault(j))
    attempt.outcome = fact.outcome or attempt.outcome
    attempt.duration = fact.duration if fact.duration is not None else attempt.duration
    attempt.answered_by = fact.answered_by or attempt.answered_by
    attempt.error_code = fact.error_code if fact.error_code is not None else attempt.error_code
    attempt.evidence = fact.evidence or attempt.evidence
    if fact.state in {AttemptState.PLACED, AttemptState.RINGING, AttemptState.LIVE}:
        attempt.evidence = _not_missing(attempt.evidence)
    if (j.now_excess or (j.unwanted and fact.state in OPEN)) and attempt.hang_up_at is None:
        attempt.hang_up_at = now
    attempt.checks = 0
    checked = fact.state in {UNKNOWN, AttemptState.PLACED, AttemptState.RINGING, AttemptState.LIVE}
    attempt.next_check_at = now + pause_before_check(fact.state, 0, attempt.ring_seconds) if checked else None


def _move_job(db: Database, j: JudgedFact, delta: Counter[str]) -> None:
    job, fact = j.job, j.fact
    job.status = j.job_now
    retried = j.job_now == "queued" and j.retry_seconds is not None
    if j.was is NOT_PLACED:
        job.attempts += j.job_now != "queued" or retried
    elif fact.state in {NOT_SENT, NOT_PLACED} or (j.job_now == "queued" and not retried):
        job.attempts = max(job.attempts - 1, 0)
    if fact.state is OVER and (j.job_now != "queued" or retried):
        job.outcome = job_outcome(fact.outcome, j.attempt.answered_by)
    job.sid = j.bound or fact.sid or job.sid
    if j.job_now == "queued" and not ("lead_is_forgotten" in db.faults and fact.state is NOT_PLACED):
        pause = TOO_MANY_SECONDS if fact.state is OVER and not j.attempt.withdrawn else 0.0
        due_at = db.clock() + (pause if j.retry_seconds is None else j.retry_seconds)
        zone = j.run.zone_of(job.position).name
        db.retries[job.id] = Retry(job.id, j.run.id, job.business_id, zone, due_at, "retry" if retried else fact.state)
    elif j.job_was == "queued":
        db.retries.pop(job.id, None)
    delta["calls_count"] += (j.was is NOT_PLACED) - (fact.state in {NOT_SENT, NOT_PLACED})
    delta[counted_as(j.job_now, j.run.cancel_requested)] += 1
    delta[counted_as(j.job_was, j.run.cancel_requested)] -= 1
    if "settle_twice" in db.faults and j.was is OVER:
        delta[j.job_now] += 1
        delta["in_progress"] -= 1


def _move_lanes(db: Database, applied: list[JudgedFact]) -> None:
    for lane in {j.lane.business_id: j.lane for j in applied if j.leaves or j.enters}.values():
        gone = {j.attempt.id for j in applied if j.leaves and j.lane is lane}
        come = [j.attempt.id for j in applied if j.enters and j.lane is lane]
        if "settle_twice" in db.faults and any(j.was is OVER for j in applied):
            gone |= set(lane.inflight[:1])
        inflight = [i for i in lane.inflight if i not in gone] + come
        lane.cap = max(lane.max_calls, len(inflight))
        lane.hold(inflight)


def _write_events(db: Database, run: Run, judged: list[JudgedFact], delta: Counter[str]) -> bool:
    """Write the events of a run, then move its counters; True when this ends it."""
    db.touched.add(run.id)
    events: list[tuple[int, JudgedFact, str, dict[str, Any]]] = []
    for j in judged:
        if j.applied and j.job_now != j.job_was and j.job_now in {"completed", "failed", "cancelled"}:
            events.append((1, j, "job.changed", {"status": j.job_now, "lead_id": j.job.lead_id}))
        if j.second_is_new or (j.now_excess and not j.was_excess):
            events.append((2, j, "call.excess", {"attempt_id": j.attempt.id}))
    for _, j, kind, data in sorted(events, key=lambda t: (t[0], t[1].job.id)):
        db.add_event(j.lane.business_id, run.id, kind, data, job_id=j.job.id)
    ends = bool(delta) and _count(db, run, delta)
    if not ends and run.status == "running" and not run.cancel_requested and any(_is_account_fault(j) for j in judged):
        run.status = "paused"
        db.add_event(run.business_id, run.id, "run.paused", {})
    return ends


def _is_account_fault(j: JudgedFact) -> bool:
    """True when the lead went back to the queue for a failure that would meet every lead."""
    return j.applied and j.job_now == "queued" and _moves(j) and j.fact.state is OVER and j.fact.error_code in ACCOUNT_FAULTS


def _count(db: Database, run: Run, delta: Counter[str]) -> bool:
    """Move the counters of a run; True when this ends it."""
    had_calls = run.in_progress > 0
    for name, change in delta.items():
        setattr(run, name, getattr(run, name) + change)
    drained = run.status not in {"running", "paused"} and had_calls and run.in_progress == 0
    ends = run.queued == 0 and run.in_progress == 0 and run.status in {"running", "paused"} and run.started
    if ends and "end_is_forgotten" not in db.faults:
        run.status = "cancelled" if run.cancel_requested else "completed"
        run.ended_at = db.clock()
    if ends or drained:
        db.add_event(run.business_id, run.id, "run.finished" if ends else "run.drained", summary(run))
    return ends


def summary(run: Run) -> dict[str, Any]:
    """The data of an event about a run's end."""
    names = ("total_leads", "completed", "failed", "cancelled", "skipped")
    return {"status": run.status, **{name: getattr(run, name) for name in names}}


def _answer(fact: Fact, j: JudgedFact | None, ended: set[int], *, busy: bool) -> RecordResult:
    if j is None or busy:
        return RecordResult(fact.business_id, fact.attempt_id, RecordVerdict.BUSY if j else RecordVerdict.STRANGER)
    state = j.fact.state if j.applied else j.was
    unwanted = j.attempt.hang_up_at is not None and state in OPEN
    return RecordResult(
        fact.business_id, fact.attempt_id, j.verdict, state, j.run.id, j.job.id, j.lane.partition, j.fact.sid or j.bound,
        hang_up=(j.verdict is RecordVerdict.SECOND and j.fact.state is not OVER) or unwanted, run_ended=j.run.id in ended,
    )  # fmt: skip


def run_is_over(run: Run) -> bool:
    """True when nothing of the run can change any more."""
    return run.status in ENDED and run.in_progress == 0
