"""Directs a schedule: starts everything, lets happen what the seed says, then calm, then waits for the end with a bound."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dialer.messages import CommandType
from tests.simulation import checking, commanding
from tests.simulation.cluster import SimulatedCluster
from tests.simulation.judge import ViolationError
from tests.simulation.liveness import Liveness
from tests.simulation.loop import StalledError, pause
from tests.simulation.people import People
from tests.simulation.randomness import SeededRandom
from tests.simulation.rows import CheckError
from tests.simulation.rules import LONGEST_STOP_SECONDS, draw_change, with_calendar
from tests.simulation.schedule import LONGEST_SET_BACK_SECONDS, Schedule, draw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Rule 4, the check of a live call, and hours that are closed for minutes are the longest waits; all have passed twice within this.
MOST_CALM_SECONDS = 480.0
CHECK_SECONDS = 1.0
STEPS_TO_A_KILL = 300
ABSENCE_SECONDS = (0.2, 8.0)
FREEZE_SECONDS = (0.5, 25.0)
REPLACED_AFTER_SECONDS = (0.1, 9.0)
PAUSED_SECONDS = (3.0, 30.0)
# Set back, everything that is due by this clock is due so much later: that is waited for, and no more than the calm after it allows.
AHEAD_SECONDS, BACK_SECONDS = (2.5, 300.0), (-LONGEST_SET_BACK_SECONDS, -2.5)
KINDS = list(CommandType)
LOGGERS = ("actors", "dialer", "sql")


@dataclass(frozen=True, slots=True)
class Report:
    """How a schedule went."""

    seed: int
    violation: str
    fingerprint: str
    calls: int
    seconds: float
    excess: int
    steps: int


def play(seed: int, faults: frozenset[str] = frozenset()) -> Report:
    """Run the schedule of a seed."""
    return run(draw(seed), faults)


def run(schedule: Schedule, faults: frozenset[str] = frozenset(), prepare: Callable[[SimulatedCluster], None] = lambda _: None) -> Report:
    """Run a schedule; `prepare` sees the cluster before anything happens on it."""
    cluster = SimulatedCluster(schedule, faults)
    prepare(cluster)
    violation = ""
    try:
        with _errors_to(cluster.errors):
            cluster.loop.run(_direct(cluster))
    except (ViolationError, CheckError, StalledError) as error:
        violation = str(error) or type(error).__name__
    return Report(
        schedule.seed,
        violation,
        cluster.fingerprint(),
        len(cluster.twilio.calls),
        cluster.loop.now,
        cluster.judge.excess,
        cluster.judge.steps,
    )


@contextmanager
def _errors_to(handler: logging.Handler) -> Iterator[None]:
    """Send our errors to `handler` alone; afterwards the loggers are as they were, for the other tests of this process."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, logger.propagate, logger.handlers) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
        logger.propagate, logger.handlers = False, [handler]
    try:
        yield
    finally:
        for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.propagate, logger.handlers = propagate, handlers


async def _direct(cluster: SimulatedCluster) -> None:
    cluster.load()
    cluster.link.lost, cluster.link.reply_lost = cluster.schedule.troubles.statement_lost, cluster.schedule.troubles.reply_lost
    cluster.link.slow = cluster.schedule.troubles.slow
    cluster.open_web()
    for _ in range(cluster.schedule.workers):
        cluster.open_worker()
    ScheduleRunner(cluster).plan()
    await pause(cluster.schedule.trouble_seconds)
    cluster.calm()
    await pause(ABSENCE_SECONDS[1] + REPLACED_AFTER_SECONDS[1])
    _go_on(cluster)
    liveness = Liveness(cluster, cluster.loop.now)
    for _ in range(int(MOST_CALM_SECONDS / CHECK_SECONDS)):
        liveness.check()
        if cluster.judge.everything_ended():
            break
        await pause(CHECK_SECONDS)
    cluster.judge.close(cluster.loop.errors + cluster.errors.errors)


def _go_on(cluster: SimulatedCluster) -> None:
    """What people left paused goes on, so that it can be seen to end."""
    for run in cluster.db.runs.values():
        starts_itself = run.status == "pending" and run.schedule_at is not None
        if run.status in {"paused", "pending"} and not starts_itself and cluster.chance.hits(0.8):
            kind = CommandType.RESUME if run.status == "paused" else CommandType.START
            ScheduleRunner(cluster).submit(kind, run.id)
    if not any(machine.process.alive for machine in cluster.machines):
        cluster.open_worker()


class ScheduleRunner:
    """What happens in a schedule, and when."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self._cluster = cluster
        self._chance = cluster.chance
        self._calendar = SeededRandom(cluster.schedule.seed, "changed calendar")
        self._sent = 0

    def plan(self) -> None:
        """Set a timer for everything that is to happen."""
        troubles, rules = self._cluster.schedule.troubles, self._cluster.schedule.rules
        for run_id, run in self._cluster.db.runs.items():
            seconds = self._chance.random() * 3.0
            if run.schedule_at is None:
                self._at(seconds, partial(self.submit, CommandType.START, run_id))
        People(self._cluster, self._at).plan()
        for times, work in (
            (troubles.kills, self._kill), (troubles.freezes, self._freeze), (troubles.stops, self._stop),
            (troubles.commands, self._command), (troubles.pauses, self._pause),
            (troubles.flushes, self._flush), (troubles.redis_away, self._redis_away), (troubles.database_away, self._database_away),
            (troubles.provider_away, self._provider_away), (troubles.limits_changed, self._change_limit),
            (troubles.clock_jumps, self._jump), (troubles.account_changes, self._change_account),
            (rules.changes, self._change_rules), (rules.refused_numbers, self._refuse_number), (rules.stops, self._stop_dialling),
        ):  # fmt: skip
            for _ in range(times):
                self._at(self._chance.random() * self._cluster.schedule.trouble_seconds, work)

    def _at(self, seconds: float, work: Callable[[], None]) -> None:
        self._cluster.loop.call_later(seconds, work, context=self._cluster.loop.outside)

    def _kill(self) -> None:
        machine = self._chance.choice(self._cluster.machines)
        process = machine.process
        process.kill_at = process.steps + self._chance.randint(1, STEPS_TO_A_KILL)
        after = self._chance.uniform(*REPLACED_AFTER_SECONDS)
        process.on_kill = lambda: self._at(after, self._replace)

    def _replace(self) -> None:
        self._cluster.open_worker()

    def _freeze(self) -> None:
        process = self._chance.choice(self._cluster.machines).process
        process.freeze_seconds = self._chance.uniform(*FREEZE_SECONDS) ** self._chance.choice([0.5, 1.0])
        process.freeze_at = process.steps + self._chance.randint(1, STEPS_TO_A_KILL)

    def _stop(self) -> None:
        machine = self._chance.choice(self._cluster.machines)
        if machine.process.alive:
            machine.process.context.run(machine.stopping.set)
            self._at(self._chance.uniform(0.0, 2.0), self._replace)

    def _flush(self) -> None:
        self._cluster.server.flush()

    def _redis_away(self) -> None:
        self._cluster.server.is_away = True
        self._at(self._chance.uniform(*ABSENCE_SECONDS), lambda: setattr(self._cluster.server, "is_away", False))

    def _database_away(self) -> None:
        self._cluster.link.is_away = True
        self._at(self._chance.uniform(*ABSENCE_SECONDS), lambda: setattr(self._cluster.link, "is_away", False))

    def _provider_away(self) -> None:
        self._cluster.twilio.is_away = True
        self._at(self._chance.uniform(*ABSENCE_SECONDS), lambda: setattr(self._cluster.twilio, "is_away", False))

    def _change_limit(self) -> None:
        business_id, max_calls = self._chance.randint(1, len(self._cluster.schedule.businesses)), self._chance.randint(1, 3)
        self._cluster.judge.limit(business_id, max_calls)
        commanding.set_max_calls(self._cluster.db, business_id, max_calls)

    def _jump(self) -> None:
        """Somebody sets the database's clock."""
        cluster = self._cluster
        cluster.clock_seconds += self._chance.uniform(*self._chance.choice([AHEAD_SECONDS, BACK_SECONDS]))
        cluster.judge.clock_jumped_at = cluster.loop.now

    def _change_account(self) -> None:
        """A business gets an account of its own, another one, or none."""
        lane = self._cluster.db.lanes[self._chance.randint(1, len(self._cluster.schedule.businesses))]
        lane.account_sid = self._chance.choice([None, "AC1", "AC2"])

    def _change_rules(self) -> None:
        """An admin changes rules of a business."""
        drawn, business_id = draw_change(self._chance, ("calling_hours", "gap_hours", "max_per_day", "countries")), self._a_business()
        changes = with_calendar(self._calendar, drawn)
        checking.change_rules(self._cluster.db, business_id, **changes)
        self._cluster.judge.rules.businesses[business_id] |= changes

    def _refuse_number(self) -> None:
        """A person does not want to be called any more."""
        db = self._cluster.db
        job = self._chance.choice(list(db.jobs.values()))
        db.rules[job.business_id].do_not_call[job.phone] = self._chance.choice([0, 1])
        self._cluster.judge.rules.refused.add((job.business_id, job.phone))

    def _stop_dialling(self) -> None:
        business_id = self._a_business()
        self._set_stopped(business_id, stopped=True)
        self._at(self._chance.uniform(1.0, LONGEST_STOP_SECONDS), lambda: self._set_stopped(business_id, stopped=False))

    def _set_stopped(self, business_id: int, *, stopped: bool) -> None:
        self._cluster.db.rules[business_id].stopped = stopped
        (self._cluster.judge.rules.stopped.add if stopped else self._cluster.judge.rules.stopped.discard)(business_id)

    def _a_business(self) -> int:
        return self._chance.randint(1, len(self._cluster.schedule.businesses))

    def _pause(self) -> None:
        run_id = self._chance.choice(list(self._cluster.db.runs))
        self.submit(CommandType.PAUSE, run_id)
        self._at(self._chance.uniform(*PAUSED_SECONDS), lambda: self.submit(CommandType.RESUME, run_id))

    def _command(self) -> None:
        run_id = self._chance.choice(list(self._cluster.db.runs))
        kind = self._chance.choice(KINDS)
        if self._chance.hits(0.5):
            self.submit(kind, run_id)
        else:
            for _ in range(self._chance.randint(1, 3)):
                self._send(self._chance.choice(KINDS), run_id)

    def submit(self, kind: CommandType, run_id: int) -> None:
        """A person's command to the web process."""
        cluster, run = self._cluster, self._cluster.db.runs[run_id]
        job_id = self._chance.choice(run.jobs).id if kind is CommandType.CANCEL_JOB else None
        hang_up, wait = self._chance.hits(0.3), self._chance.hits(0.5)
        if cluster.web is not None:
            cluster.web.receive(cluster.web.send_command(run.business_id, kind, run_id, job_id=job_id, hang_up=hang_up, wait=wait))

    def _send(self, kind: CommandType, run_id: int) -> None:
        """Another service's command to the stream, twice now and then, with a malformed one before it now and then."""
        cluster, run = self._cluster, self._cluster.db.runs[run_id]
        if cluster.server.is_away:
            return
        self._sent += 1
        fields = {"v": "1", "id": f"s{self._sent}", "type": str(kind), "business_id": str(run.business_id), "run_id": str(run_id)}
        if kind is CommandType.CANCEL_JOB:
            fields["job_id"] = str(self._chance.choice(run.jobs).id)
        cluster.judge.sent.append((run_id, fields["id"]))
        if self._chance.hits(0.2):
            cluster.server.commands.add(cluster.server.milliseconds, {"v": "1", "type": "nonsense"})
        for _ in range(2 if self._chance.hits(0.3) else 1):
            cluster.server.commands.add(cluster.server.milliseconds, fields)
        cluster.server.ring()
