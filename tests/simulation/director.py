"""Directs a schedule: starts everything, lets happen what the seed says, then calm, then waits for the end with a bound."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dialer.messages import CommandType
from tests.simulation import commanding
from tests.simulation.judge import ViolationError
from tests.simulation.liveness import Liveness
from tests.simulation.loop import StalledError, pause
from tests.simulation.rows import CheckError
from tests.simulation.schedule import LONGEST_SET_BACK_SECONDS, Schedule, draw
from tests.simulation.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

# Rule 4 and the look at a live call are the longest waits; both have passed twice within this.
MOST_CALM_SECONDS = 240.0
LOOK_SECONDS = 1.0
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


def run(schedule: Schedule, faults: frozenset[str] = frozenset(), prepare: Callable[[Stage], None] = lambda _: None) -> Report:
    """Run a schedule; `prepare` sees the stage before anything happens on it."""
    stage = Stage(schedule, faults)
    prepare(stage)
    violation = ""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        logger.handlers = [stage.errors]
    try:
        stage.loop.run(_direct(stage))
    except (ViolationError, CheckError, StalledError) as error:
        violation = str(error) or type(error).__name__
    return Report(
        schedule.seed, violation, stage.fingerprint(), len(stage.company.ledger), stage.loop.now, stage.judge.excess, stage.judge.steps
    )


async def _direct(stage: Stage) -> None:
    stage.load()
    stage.line.lost, stage.line.reply_lost = stage.schedule.troubles.statement_lost, stage.schedule.troubles.reply_lost
    stage.line.slow = stage.schedule.troubles.slow
    stage.open_front()
    for _ in range(stage.schedule.workers):
        stage.open_worker()
    Play(stage).plan()
    await pause(stage.schedule.trouble_seconds)
    stage.calm()
    await pause(ABSENCE_SECONDS[1] + REPLACED_AFTER_SECONDS[1])
    _go_on(stage)
    liveness = Liveness(stage, stage.loop.now)
    for _ in range(int(MOST_CALM_SECONDS / LOOK_SECONDS)):
        liveness.look()
        if stage.judge.everything_ended():
            break
        await pause(LOOK_SECONDS)
    stage.judge.close(stage.loop.errors + stage.errors.errors)


def _go_on(stage: Stage) -> None:
    """What people left paused goes on, so that it can be seen to end."""
    for run in stage.db.runs.values():
        if run.status in {"paused", "pending"} and stage.chance.hits(0.8):
            kind = CommandType.RESUME if run.status == "paused" else CommandType.START
            Play(stage).give(kind, run.id)
    if not any(machine.process.alive for machine in stage.machines):
        stage.open_worker()


class Play:
    """What happens in a schedule, and when."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._chance = stage.chance
        self._sent = 0

    def plan(self) -> None:
        """Set a timer for everything that is to happen."""
        troubles = self._stage.schedule.troubles
        for run_id in self._stage.db.runs:
            self._at(self._chance.random() * 3.0, partial(self.give, CommandType.START, run_id))
        for times, work in (
            (troubles.kills, self._kill), (troubles.freezes, self._freeze), (troubles.stops, self._stop),
            (troubles.commands, self._command), (troubles.pauses, self._pause),
            (troubles.flushes, self._flush), (troubles.wire_away, self._wire_away), (troubles.database_away, self._database_away),
            (troubles.company_away, self._company_away), (troubles.limits_changed, self._change_limit),
            (troubles.clock_jumps, self._jump), (troubles.account_changes, self._change_account),
        ):  # fmt: skip
            for _ in range(times):
                self._at(self._chance.random() * self._stage.schedule.trouble_seconds, work)

    def _at(self, seconds: float, work: Callable[[], None]) -> None:
        self._stage.loop.call_later(seconds, work, context=self._stage.loop.outside)

    def _kill(self) -> None:
        machine = self._chance.choice(self._stage.machines)
        process = machine.process
        process.kill_at = process.steps + self._chance.randint(1, STEPS_TO_A_KILL)
        after = self._chance.uniform(*REPLACED_AFTER_SECONDS)
        process.on_kill = lambda: self._at(after, self._replace)

    def _replace(self) -> None:
        self._stage.open_worker()

    def _freeze(self) -> None:
        process = self._chance.choice(self._stage.machines).process
        process.freeze_seconds = self._chance.uniform(*FREEZE_SECONDS) ** self._chance.choice([0.5, 1.0])
        process.freeze_at = process.steps + self._chance.randint(1, STEPS_TO_A_KILL)

    def _stop(self) -> None:
        machine = self._chance.choice(self._stage.machines)
        if machine.process.alive:
            machine.process.context.run(machine.stopping.set)
            self._at(self._chance.uniform(0.0, 2.0), self._replace)

    def _flush(self) -> None:
        self._stage.server.flush()

    def _wire_away(self) -> None:
        self._stage.server.is_away = True
        self._at(self._chance.uniform(*ABSENCE_SECONDS), lambda: setattr(self._stage.server, "is_away", False))

    def _database_away(self) -> None:
        self._stage.line.is_away = True
        self._at(self._chance.uniform(*ABSENCE_SECONDS), lambda: setattr(self._stage.line, "is_away", False))

    def _company_away(self) -> None:
        self._stage.company.is_away = True
        self._at(self._chance.uniform(*ABSENCE_SECONDS), lambda: setattr(self._stage.company, "is_away", False))

    def _change_limit(self) -> None:
        business_id, max_calls = self._chance.randint(1, len(self._stage.schedule.businesses)), self._chance.randint(1, 3)
        self._stage.judge.limit(business_id, max_calls)
        commanding.set_max_calls(self._stage.db, business_id, max_calls)

    def _jump(self) -> None:
        """Somebody sets the database's clock."""
        stage = self._stage
        stage.clock_seconds += self._chance.uniform(*self._chance.choice([AHEAD_SECONDS, BACK_SECONDS]))
        stage.judge.clock_jumped_at = stage.loop.now

    def _change_account(self) -> None:
        """A business gets an account of its own, another one, or none."""
        lane = self._stage.db.lanes[self._chance.randint(1, len(self._stage.schedule.businesses))]
        lane.account_sid = self._chance.choice([None, "AC1", "AC2"])

    def _pause(self) -> None:
        run_id = self._chance.choice(list(self._stage.db.runs))
        self.give(CommandType.PAUSE, run_id)
        self._at(self._chance.uniform(*PAUSED_SECONDS), lambda: self.give(CommandType.RESUME, run_id))

    def _command(self) -> None:
        run_id = self._chance.choice(list(self._stage.db.runs))
        kind = self._chance.choice(KINDS)
        if self._chance.hits(0.5):
            self.give(kind, run_id)
        else:
            for _ in range(self._chance.randint(1, 3)):
                self._send(self._chance.choice(KINDS), run_id)

    def give(self, kind: CommandType, run_id: int) -> None:
        """A person's command to the web process."""
        stage, run = self._stage, self._stage.db.runs[run_id]
        job_id = self._chance.choice(run.jobs).id if kind is CommandType.CANCEL_JOB else None
        hang_up, wait = self._chance.hits(0.3), self._chance.hits(0.5)
        if stage.front is not None:
            stage.front.receive(stage.front.give(run.business_id, kind, run_id, job_id=job_id, hang_up=hang_up, wait=wait))

    def _send(self, kind: CommandType, run_id: int) -> None:
        """Another service's command to the stream, twice now and then, with a malformed one before it now and then."""
        stage, run = self._stage, self._stage.db.runs[run_id]
        if stage.server.is_away:
            return
        self._sent += 1
        fields = {"v": "1", "id": f"s{self._sent}", "type": str(kind), "business_id": str(run.business_id), "run_id": str(run_id)}
        if kind is CommandType.CANCEL_JOB:
            fields["job_id"] = str(self._chance.choice(run.jobs).id)
        stage.judge.sent.append((run_id, fields["id"]))
        if self._chance.hits(0.2):
            stage.server.commands.add(stage.server.milliseconds, {"v": "1", "type": "nonsense"})
        for _ in range(2 if self._chance.hits(0.3) else 1):
            stage.server.commands.add(stage.server.milliseconds, fields)
        stage.server.ring()
