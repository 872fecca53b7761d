"""The judge: compares the promises with the provider's call log and the rows; our own counters are never trusted."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from dialer.messages import CommandType
from dialer.model import AttemptState
from tests.simulation.change_judge import ChangeJudge
from tests.simulation.checking import cost_of
from tests.simulation.recording import counted_as
from tests.simulation.rows import ENDED, IN_PROGRESS
from tests.simulation.rule_judge import RuleJudge
from tests.simulation.schedule import LONGEST_SET_BACK_SECONDS

if TYPE_CHECKING:
    from dialer.messages import Command
    from dialer.model import Reference
    from sql.commands.commands import Answer
    from tests.simulation.fake_redis import FakeRedis
    from tests.simulation.fake_twilio import Entry, FakeTwilio
    from tests.simulation.rows import Attempt, Database, Run
    from tests.simulation.schedule import Schedule


ENDINGS = frozenset({CommandType.CANCEL, CommandType.STOP, CommandType.CANCEL_JOB})
# A call that is to be hung up has ended by then: when the word of it was lost, or its worker died, the next poll finds it.
HANG_UP_SECONDS = 15.0
# A request that was on its way when the database's clock was set keeps its deadline by the worker's own clock; who waits for it waits by
# the database's.
JUMP_FORGOTTEN_SECONDS = 6.0
# A run whose leads all wait for longer than this by a rule is left as it is.
LONG_SECONDS = 90.0


class ViolationError(Exception):
    """A promise was broken; the message begins with its number."""


class Judge:
    """Watches one schedule."""

    def __init__(self, schedule: Schedule, db: Database, twilio: FakeTwilio, server: FakeRedis) -> None:
        self._schedule = schedule
        self._db = db
        self._twilio = twilio
        self._server = server
        self._limits: dict[int, int] = {}
        self._seen = 0
        self._cursors: dict[int, int] = {}
        self._ends: dict[int, str] = {}
        self._closed: set[int] = set()
        self._quiet: set[int] = set()
        self._written: set[int] = set()
        self._unwanted: list[tuple[int, int | None, float]] = []
        self._calls_of: dict[int, list[Entry]] = defaultdict(list)
        self.sent: list[tuple[int, str]] = []
        self.excess = 0
        self.steps = 0
        self.clock_jumped_at = -1e9
        self._broken: ViolationError | None = None
        self.changes = ChangeJudge(db)
        self.rules = RuleJudge(db, jumps=schedule.troubles.clock_jumps > 0)

    # -- while it runs -------------------------------------------------------------------------------------------------------------

    def limit(self, business_id: int, max_calls: int) -> None:
        """From now on the business may have so many calls; what it may have had before stays allowed."""
        self._limits[business_id] = max(max_calls, self._limits.get(business_id, 0))

    def check(self) -> None:
        """After each statement: the counters of what it touched, and the attempts it made."""
        self.steps += 1
        if self._broken is not None:
            raise self._broken
        db = self._db
        if db.touched:
            self.rules.check()
        if self.changes.is_behind():
            for fault in self.changes.check():
                self._fail("P9", fault)
        for attempt_id in range(self._seen + 1, len(db.attempts) + 1):
            self._claimed(db.attempts[attempt_id])
        self._seen = len(db.attempts)
        if db.touched:
            for run_id in db.touched:
                self._recount(db.runs[run_id])
            for business_id in {db.runs[run_id].business_id for run_id in db.touched}:
                self._recount_lane(business_id)
            db.touched.clear()

    def answered(self, command: Command, answer: Answer) -> None:
        """A person was answered: from now on no lead of a cancelled or stopped run is taken."""
        if answer.accepted and command.type in ENDINGS - {CommandType.CANCEL_JOB}:
            self._closed.add(command.run_id)
        if answer.accepted and command.hang_up and command.type in ENDINGS:
            self._unwanted.append((command.run_id, command.job_id, self._twilio.loop.now))

    def waited(self, run_id: int) -> None:
        """A client that asked to wait got its answer: from now on no request for a call of this run may be sent."""
        self._quiet.add(run_id)

    def written(self, reference: Reference) -> None:
        """A worker writes a request for a call."""
        attempt = self._db.attempts[reference.attempt_id]
        jumped = self._twilio.loop.now - self.clock_jumped_at <= JUMP_FORGOTTEN_SECONDS
        if attempt.run_id in self._quiet and not jumped:
            self._fail("P4", f"a request for run {attempt.run_id} was sent after the answer to a cancel that waited")
        if self._db.clock() > attempt.send_by and not jumped:
            self._fail("P2", f"attempt {attempt.id} was sent {self._db.clock() - attempt.send_by:.2f} s after its last moment")
        if reference.attempt_id in self._written:
            self._fail("P2", f"attempt {attempt.id} was sent twice")
        for fault in () if jumped else self.rules.written(attempt):
            self._fail("P8", fault)
        self._written.add(reference.attempt_id)

    def created(self, entry: Entry) -> None:
        """The provider has begun a call."""
        attempt = self._db.attempts[entry.reference.attempt_id]
        calls = self._calls_of[attempt.job_id]
        calls.append(entry)
        if entry.unasked:
            self.excess += 1
            return
        now = [
            e for e in self._twilio.calls.values()
            if e.ended_at is None and e.reference.business_id == attempt.business_id and not self._is_beyond_us(e)
        ]  # fmt: skip
        live = len(now)
        if sum(1 for e in now if e.to == entry.to) > 1:
            self._too_many("P2", f"the number of lead {attempt.job_id} is called while another call to it is in progress")
        if live > self._limits[attempt.business_id]:
            self._too_many(
                "P1", f"business {attempt.business_id} has {live} calls at once, {self._limits[attempt.business_id]} are allowed"
            )
        counted = [call for call in calls if not self._no_fault(call) and not self._is_beyond_us(call)]
        # How often the lead was called before cannot be said when the provider knows one of its calls no more.
        all_known = not any(self._is_beyond_us(call) for call in calls)
        # When its callback is lost, the end of a call is fetched, and the provider does not say then that the lead was not at fault.
        faultless = [call for call in calls if self._no_fault(call)]
        if len(counted) > 1 and all_known and self.rules.too_early(attempt, counted[:-1], faultless):
            self._fail("P8", f"attempt {attempt.id} is a retry that came too early")
        if len(counted) > 1 and not self.rules.may_repeat(counted[:-1]):
            self._too_many(
                "P2", f"lead {attempt.job_id} is called {len(counted)} times: attempts {[c.reference.attempt_id for c in counted]}"
            )

        asked_for = [
            e for e in self._twilio.calls.values()
            if e.reference.business_id == attempt.business_id and not self._is_beyond_us(e)
        ]  # fmt: skip
        for fault in self.rules.created(entry, asked_for):
            self._too_many("P8", fault)

    def _is_beyond_us(self, call: Entry) -> bool:
        """It made two calls of one request, or neither lists this one nor knows it when asked: then P1 and P2 are not promised."""
        return call.unasked or call.sid in self._twilio.forgotten or call.sid in self._db.excess_sids

    def _no_fault(self, call: Entry) -> bool:
        """An end that says nothing of the lead, which is called again: withdrawn from the provider's queue, or too many calls at once."""
        withdrawn = self._db.attempts[call.reference.attempt_id].withdrawn
        return call.error_code is not None or (call.status == "canceled" and withdrawn)

    def _too_many(self, promise: str, message: str) -> None:
        if self._schedule.late_listings:
            self.excess += 1
        else:
            self._fail(promise, message)

    def _claimed(self, attempt: Attempt) -> None:
        if attempt.run_id in self._closed:
            self._fail("P4", f"attempt {attempt.id} was taken after its run {attempt.run_id} was cancelled or stopped")
        for fault in self.rules.claimed(attempt):
            self._fail("P8", fault)
        if self.changes.refuses(attempt.business_id, attempt.phone):
            self._fail("P9", f"attempt {attempt.id} was taken, and an operation has put its number on the do-not-call list")
        again = {call.reference.attempt_id for call in self._calls_of.get(attempt.job_id, ()) if self._no_fault(call)}
        for other in self._db.attempts.values():
            over = other.state is AttemptState.OVER and other.id not in again and not self.rules.may_follow(other)
            if other.job_id == attempt.job_id and other.id != attempt.id and (other.open or over):
                self._too_many("P2", f"attempt {attempt.id} was made while attempt {other.id} of the same lead is {other.state}")

    def _recount(self, run: Run) -> None:
        counted = Counter(counted_as(job.status, run.cancel_requested) for job in run.jobs)
        held = {name: count for name, count in run.counters().items() if count}
        if held != dict(counted) or sum(held.values()) != run.total_leads:
            self._fail("P3", f"run {run.id} says {held} of {run.total_leads}, its rows say {dict(counted)}")
        costs = sum(cost_of(a, a.state, a.outcome, a.duration) for a in self._db.attempts.values() if a.run_id == run.id)
        if run.amount_spent != costs:
            self._fail("P3", f"run {run.id} says {run.amount_spent} spent, its attempts cost {costs}")
        for job in run.jobs:
            on_the_line = job.attempt_id is not None and self._db.attempts[job.attempt_id].open
            if (job.status in IN_PROGRESS) != on_the_line:
                self._fail("P3", f"lead {job.id} is {job.status}, its newest attempt {job.attempt_id} says otherwise")
        if run.cursor < self._cursors.get(run.id, 0):
            self._fail("P3", f"the cursor of run {run.id} fell")
        self._cursors[run.id] = run.cursor
        if run.id in self._ends and run.status != self._ends[run.id]:
            self._fail("P3", f"run {run.id} was {self._ends[run.id]} and is {run.status}")
        if run.status in ENDED:
            self._ends[run.id] = run.status

    def _recount_lane(self, business_id: int) -> None:
        db = self._db
        still_open = {a.id for a in db.attempts.values() if a.business_id == business_id and a.open and not a.excess}
        if still_open != set(db.lanes[business_id].inflight):
            self._fail("P1", f"business {business_id} holds slots for {db.lanes[business_id].inflight}, open are {sorted(still_open)}")

    # -- when it is over -----------------------------------------------------------------------------------------------------------

    def everything_ended(self) -> bool:
        """True when nothing is left to be done."""
        db = self._db
        runs = all(
            run.in_progress == 0
            and not run.rewrite_pending
            and (run.status in ENDED or run.status in {"paused", "pending"} or self.rules.waits(run, LONG_SECONDS))
            for run in db.runs.values()
        )
        calls = all(entry.ended_at is not None or entry.sid in self._twilio.forgotten for entry in self._twilio.calls.values())
        excess = any(attempt.open for attempt in db.attempts.values())
        later = self.changes.under_way() or self.changes.late_starts(db.clock() + LONG_SECONDS)
        return runs and calls and not excess and not later and not db.outbox and not any(lane.inflight for lane in db.lanes.values())

    def close(self, errors: list[str]) -> None:
        """After the schedule."""
        if not self.everything_ended():
            self._fail("P5", f"not everything has ended: {self._left()}")
        for run in self._db.runs.values():
            self._recount(run)
            if run.status in ENDED and any(job.status == "queued" for job in run.jobs):
                self._fail("P3", f"run {run.id} is {run.status}, and leads of it still say queued")
        for retry in self._db.retries.values():
            if self._db.jobs[retry.job_id].status != "queued":
                self._fail("P3", f"lead {retry.job_id} waits for another turn and is {self._db.jobs[retry.job_id].status}")
        for attempt in self._db.attempts.values():
            if attempt.open:
                self._fail("P5", f"attempt {attempt.id} is still {attempt.state}")
        for fault in self.changes.close():
            self._fail("P9", fault)
        self._every_call_counts()
        self._hang_ups()
        self._events()
        self._commands()
        if errors:
            self._fail("P0", "; ".join(errors[:3]))

    def _left(self) -> dict[str, Any]:
        db = self._db
        return {
            "runs": [(r.id, r.status, r.counters()) for r in db.runs.values() if r.status not in ENDED],
            "attempts": [(a.id, a.job_id, a.state, a.sid) for a in db.attempts.values() if a.open],
            "calls": [e.sid for e in self._twilio.calls.values() if e.ended_at is None],
            "outbox": len(db.outbox),
        }

    def _every_call_counts(self) -> None:
        """What the rows say of a lead is what the provider says of its call."""
        for job_id, calls in self._calls_of.items():
            job = self._db.jobs[job_id]
            retried = self.rules.has_retries(calls)
            if retried or any(self._is_beyond_us(call) or self._no_fault(call) for call in calls):
                # Its outcome cannot be known, it says nothing about the lead, or the lead waited for another call.
                continue
            expected = {"completed": "completed", "canceled": "cancelled"}.get(calls[-1].status, "failed")
            if len(calls) == 1 and job.status != expected and not self._schedule.late_listings:
                self._fail("P3", f"the call of lead {job_id} ended as {calls[0].status}, its row says {job.status}")

    def _hang_ups(self) -> None:
        """A call marked to be hung up did not last to its natural end, unless the provider listed it too late."""
        if self._schedule.late_listings:
            return
        # The last freeze may begin in the time of trouble and end after it.
        calm_at = max(self._schedule.trouble_seconds, self._twilio.loop.thawed_at)
        for run_id, job_id, asked_at in self._unwanted:
            for job in self._db.runs[run_id].jobs:
                for entry in self._calls_of[job.id] if job_id in {None, job.id} else ():
                    late = (entry.ended_at or 0.0) - max(asked_at, entry.shown_from, calm_at)
                    if late > HANG_UP_SECONDS + self._schedule.troubles.clock_jumps * LONGEST_SET_BACK_SECONDS:
                        self._fail("P4", f"{entry.sid} of lead {job.id} was to be hung up, and went on for {late:.0f} s")

    def _events(self) -> None:
        published = [serial for serial, _ in self._server.published]
        first: dict[int, int] = {}
        for at, serial in enumerate(published):
            first.setdefault(serial, at)
        last: dict[int | None, int] = {}
        for event in self._db.every_event:
            if event.serial not in first:
                self._fail("P7", f"event {event.serial} ({event.type}) was never published")
            if event.run_id is not None and first[event.serial] < last.get(event.run_id, -1):
                self._fail("P7", f"event {event.serial} of run {event.run_id} was published before an earlier one")
            last[event.run_id] = first[event.serial]
        self._ends_are_published()

    def _ends_are_published(self) -> None:
        """Each end of a run once, and of each lead the end that it has."""
        ends = Counter(event.run_id for event in self._db.every_event if event.type == "run.finished")
        for run in self._db.runs.values():
            if ends[run.id] != int(run.status in ENDED):
                self._fail("P7", f"the end of run {run.id}, which is {run.status}, was published {ends[run.id]} times")
        published = {event.job_id: event.data["status"] for event in self._db.every_event if event.type == "job.changed"}
        for job_id, status in published.items():
            if job_id is not None and self._db.jobs[job_id].status != status and not self._schedule.late_listings:
                self._fail("P7", f"lead {job_id} was published as {status}, its row says {self._db.jobs[job_id].status}")

    def _commands(self) -> None:
        """Each command of the stream takes effect once, and those of one run in the order of the stream."""
        decided: dict[tuple[int, str], int] = {}
        for event in self._db.every_event:
            if event.type == "command.accepted" and not event.data["duplicate"]:
                key = (event.business_id, event.command_id or "")
                if key in decided:
                    self._fail("P7", f"command {key} took effect twice")
                decided[key] = event.serial
        for run_id in self._db.runs:
            order = [decided[self._db.runs[run_id].business_id, i] for r, i in self.sent
                     if r == run_id and (self._db.runs[run_id].business_id, i) in decided]  # fmt: skip
            if order != sorted(order):
                self._fail("P7", f"the commands of run {run_id} took effect in another order than they were sent")

    def _fail(self, promise: str, message: str) -> None:
        # Raised again at the next statement: what is raised inside a worker may be caught there.
        self._broken = self._broken or ViolationError(f"{promise}: {message}")
        raise self._broken
