"""The other half of the judge: no state outlives its bound, once nothing goes wrong any more.

The bounds are those of the table in docs/protocol.md, section 10, with the short times of the simulation, and what a machine that was
frozen, or a clock that was set back, costs besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from dialer.model import AttemptState
from tests.simulation.judge import ViolationError
from tests.simulation.rows import ENDED
from tests.simulation.schedule import LAG_SECONDS, LIMIT_SECONDS, LONGEST_SET_BACK_SECONDS, RING_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.cluster import SimulatedCluster
    from tests.simulation.rows import Lane, Run

# Its worker has 5 s to send it and 2 s to say so, and the poll comes every 5 s.
PLACING_SECONDS: Final = 20.0
# Two lists a lag apart, the questions ever rarer meanwhile; where two calls look alike, the next callback.
UNKNOWN_SECONDS: Final = 120.0
# A call that stays in the provider's queue is withdrawn after 60 s.
PLACED_SECONDS: Final = 90.0
# A call that the provider has forgotten: over by itself at the latest, and asked for twice after that, a lag apart.
LOST_SECONDS: Final = RING_SECONDS + LIMIT_SECONDS + 3 * LAG_SECONDS + 30.0
# The slot of a call that has ended, when no callback says so.
NOTICED_SECONDS: Final = 15.0
# A circuit breaker that opens stays open for 30 s, then lets one call through as a probe, and may open again.
TAKEN_SECONDS: Final = 100.0
# The windows of a run are computed every second, by the owner of its partition.
WINDOW_SECONDS: Final = 20.0
SECOND_CALL_SECONDS: Final = 20.0
COMMAND_SECONDS, EVENT_SECONDS, REWRITTEN_SECONDS, OWNED_SECONDS = 10.0, 10.0, 30.0, 12.0
# A worker that was frozen, or the one that takes over from it, needs a lease's time to begin again.
BEGIN_AGAIN_SECONDS: Final = 10.0

# Postponed for 10 s at the most, when a row was locked.
STARTED_SECONDS, OPERATED_SECONDS = 15.0, 40.0

State: TypeAlias = tuple[str, object]


class Liveness:
    """Looks at everything once a second; `calm_at` is the second from which nothing goes wrong any more."""

    def __init__(self, cluster: SimulatedCluster, calm_at: float) -> None:
        self._cluster = cluster
        self._calm_at = calm_at
        self._since: dict[State, float] = {}
        self._working: tuple[int, ...] = ()
        # When a worker was last frozen, killed or started.
        self._disturbed_at = calm_at
        jumps = cluster.schedule.troubles.clock_jumps
        # What is due by the database's clock comes so much later when it was set back; and no lead is taken while it is not trusted.
        self._grace = jumps * LONGEST_SET_BACK_SECONDS + (LAG_SECONDS if jumps else 0.0)

    def check(self) -> None:
        """Hold every state against its bound.

        Raises:
            ViolationError: naming the state that has lasted too long.
        """
        now = self._cluster.loop.now
        seen = dict(self._states())
        self._since = {state: self._since.get(state, now) for state in seen}
        self._notice_disturbance(now)
        began = max(self._calm_at, self._disturbed_at + BEGIN_AGAIN_SECONDS)
        for state, bound in seen.items():
            lasted = now - max(self._since[state], began)
            if lasted > bound + self._grace:
                message = f"L: {state[0]} {state[1]} for {lasted:.0f} s, {bound:.0f} are the most"
                raise ViolationError(message)

    def _notice_disturbance(self, now: float) -> None:
        alive = [machine.process for machine in self._cluster.machines if machine.process.alive]
        working = tuple(id(process) for process in alive)
        if working != self._working or any(process.frozen for process in alive):
            self._working, self._disturbed_at = working, now

    def _states(self) -> Iterator[tuple[State, float]]:
        yield from self._attempts()
        yield from self._runs()
        yield from self._changes()
        db = self._cluster.db
        for row in db.inbox.values():
            if row.answer is None:
                yield ("command not decided", (row.business_id, row.id)), COMMAND_SECONDS
        for serial in db.outbox:
            yield ("event not published", serial), EVENT_SECONDS
        for sid in db.excess_live - self._cluster.twilio.forgotten:
            yield ("second call not over", sid), SECOND_CALL_SECONDS
        if any(machine.process.alive for machine in self._cluster.machines):
            for n, partition in enumerate(db.partitions):
                if db.workers.get(partition.owner, -1.0) <= db.clock():  # type: ignore[arg-type]  # nobody is in it
                    yield ("partition without an owner", n), OWNED_SECONDS

    def _changes(self) -> Iterator[tuple[State, float]]:
        db, changes = self._cluster.db, self._cluster.judge.changes
        for run_id in changes.late_starts(db.clock()):
            yield ("start is due of run", run_id), STARTED_SECONDS
        for operation_id in changes.under_way():
            yield ("operation", operation_id), OPERATED_SECONDS

    def _attempts(self) -> Iterator[tuple[State, float]]:
        db, twilio = self._cluster.db, self._cluster.twilio
        ended = {entry.reference.attempt_id: entry for entry in twilio.calls.values() if entry.ended_at is not None and not entry.unasked}
        for attempt in db.attempts.values():
            if not attempt.open:
                continue
            call = ended.get(attempt.id)
            if attempt.sid in twilio.forgotten:
                yield ("unknown call", attempt.id), LOST_SECONDS
            elif call is not None and attempt.sid == call.sid and call.shown_from <= self._cluster.loop.now:
                yield ("slot of a call that has ended", attempt.id), NOTICED_SECONDS
            elif attempt.state is AttemptState.PLACING:
                yield ("attempt being placed", attempt.id), PLACING_SECONDS
            elif attempt.state is AttemptState.UNKNOWN:
                yield ("attempt unknown", attempt.id), UNKNOWN_SECONDS
            elif attempt.state is AttemptState.PLACED:
                yield ("call placed", attempt.id), PLACED_SECONDS

    def _runs(self) -> Iterator[tuple[State, float]]:
        db = self._cluster.db
        for run in db.runs.values():
            lane = db.lanes[run.business_id]
            if run.rewrite_pending:
                yield ("leads of a cancelled run that say queued", run.id), REWRITTEN_SECONDS
            if run.status in ENDED or run.status != "running" or not run.queued:
                continue
            for zone in run.zones:
                if zone.closes_at is None or zone.closes_at <= db.clock():
                    yield ("zone without a window of run", (run.id, zone.name)), WINDOW_SECONDS
            if len(lane.inflight) < lane.max_calls and run.in_progress < run.concurrency and not self._waits(run, lane):
                yield ("no lead taken of run, queued", (run.id, run.queued)), TAKEN_SECONDS

    def _waits(self, run: Run, lane: Lane) -> bool:
        """A lead waits while another lead's call to the same number is in progress, or a rule keeps it."""
        talking = {self._cluster.db.attempts[i].phone for i in lane.inflight}
        in_use = any(job.status == "queued" and job.phone in talking for job in run.jobs)
        return in_use or self._cluster.judge.rules.waits(run, 0.0)
