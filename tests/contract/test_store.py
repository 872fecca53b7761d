"""The in-memory store of the simulation against PostgreSQL: the same operations, the same answers, the same rows after each step."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from dialer.messages import Command, CommandType
from dialer.model import AttemptState, Outcome
from sql.attempts.attempts import ClaimRequest, Fact
from sql.attempts.verdicts import VerdictCode
from sql.bulk.bulk_operations import BulkType
from sql.pool import open_pool
from sql.runs.new_lead import NewLead
from tests.contract.store_settings import CHANGES, FAR, RULES, SETTINGS, WINDOWS, ZONES
from tests.simulation.twins import Twins, states

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sql.pool import Pool
    from tests.rows import DatabaseFixture

EXAMPLES, STEPS = 45, 40
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
MOST_RUNS = 8
MANY_LEADS = 203  # more than are rewritten in the statement that cancels
LAG_SECONDS = 60.0
RUN_COMMANDS = [kind for kind in CommandType if kind is not CommandType.CANCEL_JOB]
PHONES = [f"+1202555{n:04}" for n in range(8)]
NO_CALL = [AttemptState.NOT_PLACED, AttemptState.NOT_PLACED, AttemptState.NOT_SENT]
REPORTED = [AttemptState.PLACED, AttemptState.RINGING, AttemptState.LIVE, AttemptState.OVER]
# How a call may end: by itself, or because the account had too many calls.
ENDS = [(Outcome.COMPLETED, None), (Outcome.NO_ANSWER, None), (Outcome.FAILED, 10004)]
SIDS = [None, "CA1", "CA2", "CA3", "CA4", "CA5"]


class Store(RuleBasedStateMachine):
    """Random operations on both; two workers that may own the same partitions one after the other."""

    pool: Pool
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.begun()
        self.twins = Twins(self.pool, self.runner.run)
        self.workers = [uuid4(), uuid4()]
        self.epochs: dict[UUID, dict[int, int]] = {worker: {} for worker in self.workers}
        self.entry = self.started = 0
        for worker in self.workers:
            self.twins.join(worker)
        self.business(3)
        self.run_(0, 5, ZONES[1:], 3, 0, {}, start=True)
        self.take_over(0)

    def begun(self) -> None:
        """Another example begins."""

    @property
    def db(self) -> Any:  # noqa: ANN401 shorter below
        return self.twins.memory

    @precondition(lambda self: len(self.db.lanes) < 3)
    @rule(max_calls=st.integers(1, 3))
    def business(self, max_calls: int) -> None:
        self.twins.business(max_calls)

    @precondition(lambda self: len(self.db.runs) < 5)
    @rule(
        n=st.integers(0, 2), leads=st.sampled_from([1, 2, 3, 5, MANY_LEADS]), zones=st.sampled_from([ZONES[1:], ZONES]),
        concurrency=st.integers(1, 3), priority=st.integers(0, 1), settings=st.sampled_from(SETTINGS), start=st.booleans(),
    )  # fmt: skip
    def run_(self, n: int, leads: int, zones: list[str], concurrency: int, priority: int, settings: dict[str, Any], *, start: bool) -> None:
        business_id = n % len(self.db.lanes) + 1
        phones = [PHONES[i] if i < len(PHONES) else f"+1202556{i:04}" for i in range(leads)]
        run_id = self.twins.load(business_id, phones, zones, concurrency, priority, settings)
        if start:
            self.twins.command(Command(business_id, f"start{run_id}", CommandType.START, run_id, requested_by="t"))

    @rule(n=st.integers(0, 9), change=st.sampled_from(CHANGES))
    def change_run(self, n: int, change: dict[str, Any]) -> None:
        self.twins.change_run(n % len(self.db.runs) + 1, change, None)

    @rule(n=st.integers(0, 9), start=st.booleans())
    def scheduled_start(self, n: int, *, start: bool) -> None:
        """A run, one that waits to be started if there is any, is taken to be due: before its time, by a time it had, and by its own."""
        pending = [run.id for run in self.db.runs.values() if run.status == "pending"] or list(self.db.runs)
        run_id = pending[n % len(pending)]
        for seconds, put_off in ((FAR, False), (-50.0, True), (-50.0, False))[: 3 if start else 2]:
            self.twins.change_run(run_id, {}, seconds)
            self.twins.to_start()
            self.started += 1
            self.twins.start_due(run_id, f"schedule{self.started}", put_off=put_off)

    @rule(n=st.integers(0, 9), leads=st.integers(1, 3), first=st.integers(0, 5), zones=st.sampled_from([ZONES[1:], ZONES, ZONES[:1]]))
    def add_leads(self, n: int, leads: int, first: int, zones: list[str]) -> None:
        """Some of them the run may have already, by their id or their number."""
        new = [NewLead(first + i, PHONES[(first + i) % len(PHONES)], None, zones[i % len(zones)]) for i in range(1, leads + 1)]
        self.twins.add_leads(n % len(self.db.runs) + 1, new)

    @precondition(lambda self: len(self.db.runs) < MOST_RUNS)
    @rule(
        n=st.integers(0, 9), kind=st.sampled_from(list(BulkType)), chunk=st.sampled_from([1, 2, 150]),
        chosen=st.one_of(st.none(), st.sets(st.integers(0, 5), min_size=1)),
    )  # fmt: skip
    def operation(self, n: int, kind: BulkType, chunk: int, chosen: set[int] | None) -> None:
        """It begins, and its first chunk is carried out; the others may follow."""
        run = self.db.runs[n % len(self.db.runs) + 1]
        jobs = None if chosen is None else [job.id for i, job in enumerate(run.jobs) if i in chosen]
        self.twins.begin(run.id, kind, jobs)
        self.carry_out(len(self.db.operations) - 1, chunk)

    @precondition(lambda self: len(self.db.runs) < MOST_RUNS)
    @rule(n=st.integers(0, 9), cancelled=st.booleans())
    def filled(self, n: int, *, cancelled: bool) -> None:
        """People are at a run while an operation fills it with the leads of one that was cancelled."""
        source, made = self.db.runs[n % len(self.db.runs) + 1], len(self.db.runs) + 1
        self.twins.command(Command(source.business_id, f"f{made}", CommandType.CANCEL, source.id, requested_by="t"))
        self.twins.begin(source.id, BulkType.AGAIN, [job.id for job in source.jobs[:4]])
        self.carry_out(len(self.db.operations) - 1, 1)
        if made in self.db.runs:
            self.twins.add_leads(made, [NewLead(90, PHONES[0], None, ZONES[0])])
            self.twins.change_run(made, {}, -50.0)
            kind = CommandType.CANCEL if cancelled else CommandType.START
            self.twins.command(Command(source.business_id, f"g{made}", kind, made, requested_by="t"))
            self.carry_out(len(self.db.operations) - 1, 2)

    @precondition(lambda self: self.db.operations)
    @rule(n=st.integers(0, 9), chunk=st.sampled_from([1, 2, 150]))
    def carry_out(self, n: int, chunk: int) -> None:
        self.twins.carry_out(n % len(self.db.operations) + 1, chunk)

    @rule(n=st.integers(0, 9), kind=st.sampled_from(RUN_COMMANDS), hang_up=st.booleans(), key=st.integers(0, 30), foreign=st.booleans())
    def command(self, n: int, kind: CommandType, key: int, *, hang_up: bool, foreign: bool) -> None:
        run = self.db.runs[n % len(self.db.runs) + 1]
        business_id = n % len(self.db.lanes) + 1 if foreign else run.business_id
        self.twins.command(Command(business_id, f"c{key}", kind, run.id, hang_up=hang_up, requested_by="t"))

    @rule(n=st.integers(0, 300), hang_up=st.booleans(), key=st.integers(0, 30))
    def cancel_job(self, n: int, key: int, *, hang_up: bool) -> None:
        job = self.db.jobs[n % min(len(self.db.jobs), 12) + 1]
        asked = Command(job.business_id, f"j{key}", CommandType.CANCEL_JOB, job.run_id, job.id, hang_up=hang_up, requested_by="t")
        self.twins.command(asked)

    @rule(
        asked=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(RUN_COMMANDS), st.integers(0, 10)), min_size=1, max_size=4),
        overtaken=st.booleans(),
    )
    def stream(self, asked: list[tuple[int, CommandType, int]], *, overtaken: bool) -> None:
        self.entry += len(asked)
        commands = []
        for at, (n, kind, key) in enumerate(asked):
            run = self.db.runs[n % len(self.db.runs) + 1]
            commands.append(Command(run.business_id, f"s{key}", kind, run.id, requested_by="t", entry=f"{self.entry}-{at}"))
        self.twins.stream(commands, f"{self.entry}-9", "0-0" if overtaken else None)

    @rule()
    def decide(self) -> None:
        self.twins.decide()

    @rule(worker=st.integers(0, 1), permits=st.lists(st.integers(1, 4), min_size=1, max_size=3), stale=st.integers(0, 5))
    def claim(self, worker: int, permits: list[int], stale: int) -> None:
        me = self.workers[worker]
        asks = []
        for business_id, wanted in enumerate(permits[: len(self.db.lanes)], start=1):
            partition = self.db.lanes[business_id].partition
            # The right epoch in the wrong hands is as wrong as an old one.
            epoch = self.db.partitions[partition].epoch if stale == 1 else self.epochs[me].get(partition, 0)
            asks.append(ClaimRequest(business_id, epoch - (stale == 0), wanted))
        self.twins.claim(me, asks)

    claim_again = rule(permits=st.lists(st.integers(1, 3), min_size=3, max_size=3))(lambda self, permits: self.claim(0, permits, 2))

    @rule(worker=st.integers(0, 1), kind=st.sampled_from([CommandType.CANCEL, CommandType.STOP, CommandType.PAUSE]))
    def ended_in_the_middle(self, worker: int, kind: CommandType) -> None:
        """A command comes between two claims, to the run that has most to lose."""
        run = max(self.db.runs.values(), key=lambda run: (run.status == "running", run.queued))
        self.claim(worker, [1, 1, 1], 2)
        self.twins.command(Command(run.business_id, f"m{run.id}{kind}", kind, run.id, requested_by="t"))
        self.claim(worker, [3, 3, 3], 2)

    @precondition(lambda self: self.db.attempts)
    @rule(data=st.data())
    def record(self, data: st.DataObject) -> None:
        newest = sorted(self.db.attempts)[-8:]
        ids = data.draw(st.lists(st.sampled_from(newest), min_size=1, max_size=3, unique=True))
        facts = {fact.sid or fact.attempt_id: fact for fact in (self._fact(data, attempt_id) for attempt_id in ids)}
        self.twins.record(list(facts.values()))

    @precondition(lambda self: self.db.attempts and len(self.db.runs) < MOST_RUNS)
    @rule(n=st.integers(0, 7), worker=st.integers(0, 1), state=st.sampled_from([AttemptState.OVER, AttemptState.NOT_SENT]))
    def called_before(self, n: int, worker: int, state: AttemptState) -> None:
        """A number is in another run soon after it was called, or was not called after all; then the gap decides."""
        attempt = self.db.attempts[sorted(self.db.attempts)[-8:][n % min(len(self.db.attempts), 8)]]
        ended: dict[str, Any] = {"sid": f"CA-{attempt.id}", "outcome": Outcome.NO_ANSWER} if state is AttemptState.OVER else {}
        self.twins.record([Fact(attempt.business_id, attempt.id, "", state, token=self.twins.tokens[attempt.id], **ended)])
        run_id = self.twins.load(attempt.business_id, [attempt.phone], ZONES[1:], 1, 5, {"min_gap_hours": 0.0103, "calling_hours": None})
        self.twins.command(Command(attempt.business_id, f"b{run_id}", CommandType.START, run_id, requested_by="t"))
        self.claim(worker, [3, 3, 3], 2)

    def _fact(self, data: st.DataObject, attempt_id: int) -> Fact:
        attempt = self.db.attempts[attempt_id]
        state = data.draw(st.sampled_from(states()))
        token = data.draw(st.sampled_from([self.twins.tokens[attempt_id], self.twins.tokens[attempt_id], None, str(uuid4())]))
        own = f"CA-{attempt_id}"
        sid = data.draw(st.sampled_from([own, own, own, None, *SIDS])) if state.rank >= AttemptState.PLACED.rank else None
        if state in {AttemptState.NOT_SENT, AttemptState.NOT_PLACED}:
            sid = None
        more: dict[str, Any] = {}
        if state is AttemptState.OVER:
            more["outcome"] = data.draw(st.sampled_from(list(Outcome)))
            more["answered_by"] = data.draw(st.sampled_from([None, "human", "machine_start", "fax"]))
            more["error_code"] = data.draw(st.sampled_from([None, None, 10004, 11200, 10001, 21215, 21211]))
            more["duration"] = data.draw(st.sampled_from([None, 0, 60, 61]))
        if state is AttemptState.NOT_PLACED:
            me = data.draw(st.sampled_from(self.workers))
            partition = self.db.lanes[attempt.business_id].partition
            more |= {"owner": str(me), "epoch": self.epochs[me].get(partition, 0), "lag_seconds": LAG_SECONDS}
            more["by_person"] = data.draw(st.sampled_from([None, None, True]))
        nonce = data.draw(st.sampled_from(["", "", "", "", "0" * 32]))
        more["account_sid"] = data.draw(st.sampled_from([None, None, attempt.account_sid, "AC9"]))
        return Fact(attempt.business_id, attempt_id, nonce, state, token=token, sid=sid, **more)

    @precondition(lambda self: self.db.attempts)
    @rule(n=st.integers(0, 7))
    def withdraw(self, n: int) -> None:
        self.twins.withdraw(self._newest(n))

    @precondition(lambda self: self.db.attempts)
    @rule(n=st.integers(0, 7))
    def the_provider_does_not_know_it(self, n: int) -> None:
        self.twins.keep_evidence(self._newest(n), {"missing": 1.0})

    @precondition(lambda self: self.db.attempts)
    @rule(n=st.integers(0, 7), states=st.lists(st.sampled_from(REPORTED), min_size=2, max_size=4))
    def callbacks(self, n: int, states: list[AttemptState]) -> None:
        """Callbacks of one call, in any order."""
        attempt = self._newest(n)
        for state in states:
            outcome = Outcome.COMPLETED if state is AttemptState.OVER else None
            self.twins.record([Fact(attempt.business_id, attempt.id, "", state, sid=f"CA-{attempt.id}", outcome=outcome)])

    @precondition(lambda self: self.db.attempts)
    @rule(n=st.integers(0, 7), worker=st.integers(0, 1), seconds=st.sampled_from([7.7, 61.0, 66.4]), state=st.sampled_from(NO_CALL))
    def silence(self, n: int, worker: int, seconds: float, state: AttemptState) -> None:
        """Nobody answers a POST, time passes, and one of the workers says that there is no call, or that it never asked for one."""
        attempt, me = self._newest(n), self.workers[worker]
        token = self.twins.tokens[attempt.id]
        self.twins.record([Fact(attempt.business_id, attempt.id, "", AttemptState.UNKNOWN, token=token)])
        self.twins.advance(seconds)
        epoch = self.epochs[me].get(self.db.lanes[attempt.business_id].partition, 0)
        fence = {"owner": str(me), "epoch": epoch, "lag_seconds": LAG_SECONDS}
        self.twins.record([Fact(attempt.business_id, attempt.id, "", state, token=token, **fence)])  # type: ignore[arg-type]

    @precondition(lambda self: self.db.attempts)
    @rule(
        n=st.integers(0, 7), worker=st.integers(0, 1), state=st.sampled_from(REPORTED), end=st.sampled_from(ENDS),
        meanwhile=st.sampled_from(["waits", "cancelled", "refused", "taken again"]),
    )  # fmt: skip
    def late_proof(self, n: int, worker: int, state: AttemptState, end: tuple[Outcome, int | None], meanwhile: str) -> None:
        """A call that was thought absent turns up, while its lead waits for another turn, has been taken again, cancelled or skipped."""
        attempt = self._newest(n)
        self.silence(n, worker, 66.4, AttemptState.NOT_PLACED)
        if meanwhile == "cancelled":
            asked = Command(attempt.business_id, f"l{attempt.id}", CommandType.CANCEL_JOB, attempt.run_id, attempt.job_id, requested_by="t")
            self.twins.command(asked)
        elif meanwhile == "refused":
            self.twins.refuse_number(attempt.business_id, attempt.phone)
        if meanwhile in {"refused", "taken again"}:
            self.claim(worker, [3, 3, 3], 2)
        for reported in (state, AttemptState.OVER):
            outcome, code = end if reported is AttemptState.OVER else (None, None)
            self.twins.record(
                [Fact(attempt.business_id, attempt.id, "", reported, sid=f"CA-{attempt.id}", outcome=outcome, error_code=code)]
            )

    @precondition(lambda self: self.db.attempts)
    @rule(n=st.integers(0, 7))
    def withdrawn(self, n: int) -> None:
        """A call that the provider kept in its queue is withdrawn there."""
        attempt = self._newest(n)
        self.twins.record([Fact(attempt.business_id, attempt.id, "", AttemptState.PLACED, sid=f"CA-{attempt.id}")])
        self.twins.withdraw(attempt)
        over = Fact(attempt.business_id, attempt.id, "", AttemptState.OVER, sid=f"CA-{attempt.id}", outcome=Outcome.CANCELED)
        self.twins.record([over])

    @precondition(lambda self: self.db.attempts)
    @rule(n=st.integers(0, 7), mine=st.booleans())
    def refusal(self, n: int, *, mine: bool) -> None:
        """A worker says that nothing was sent: the one that took the lead, or another."""
        attempt = self._newest(n)
        token = self.twins.tokens[attempt.id] if mine else str(uuid4())
        self.twins.record([Fact(attempt.business_id, attempt.id, "", AttemptState.NOT_SENT, token=token)])

    def _newest(self, n: int) -> Any:  # noqa: ANN401 an attempt in memory
        newest = sorted(self.db.attempts)[-8:]
        return self.db.attempts[newest[n % len(newest)]]

    @rule(n=st.integers(0, 2), change=st.sampled_from(RULES))
    def change_rules(self, n: int, change: dict[str, Any]) -> None:
        self.twins.change_rules(n % len(self.db.lanes) + 1, **change)

    @rule(n=st.integers(0, 2), phone=st.sampled_from(PHONES))
    def refuse_number(self, n: int, phone: str) -> None:
        self.twins.refuse_number(n % len(self.db.lanes) + 1, phone)

    @rule(n=st.integers(0, 9), zone=st.sampled_from(ZONES), window=st.sampled_from(WINDOWS))
    def open_zone(self, n: int, zone: str, window: tuple[float, float, float, float] | None) -> None:
        self.twins.open_zone(n % len(self.db.runs) + 1, zone, window)

    @rule(worker=st.integers(0, 1), window=st.sampled_from(WINDOWS), change=st.sampled_from(RULES))
    def claim_within_rules(self, worker: int, window: tuple[float, float, float, float] | None, change: dict[str, Any]) -> None:
        """The rules of the run that has most to lose change, and its zones open or close, before two claims."""
        run = max(self.db.runs.values(), key=lambda run: (run.status == "running", run.queued))
        self.twins.change_rules(run.business_id, **change)
        for zone in ZONES:
            self.twins.open_zone(run.id, zone, window)
        self.claim(worker, [3, 3, 3], 2)
        self.claim(worker, [3, 3, 3], 2)

    @rule(seconds=st.sampled_from([1.3, 2.6, 5.4, 7.7, 61.0]))
    def advance(self, seconds: float) -> None:
        self.twins.advance(seconds)

    @rule(worker=st.integers(0, 1))
    def take_over(self, worker: int) -> None:
        me = self.workers[worker]
        if not self.twins.renew(me):
            self.workers[worker] = me = uuid4()
            self.epochs[me] = {}
            self.twins.join(me)
        self.epochs[me] |= self.twins.take_over(me, sorted({lane.partition for lane in self.db.lanes.values()}))

    @rule(worker=st.integers(0, 1))
    def give_back(self, worker: int) -> None:
        self.twins.give_back(self.workers[worker], sorted({lane.partition for lane in self.db.lanes.values()}))

    @rule(n=st.integers(0, 2), max_calls=st.integers(1, 3))
    def set_max_calls(self, n: int, max_calls: int) -> None:
        self.twins.set_max_calls(n % len(self.db.lanes) + 1, max_calls)

    @rule(n=st.integers(0, 9))
    def rewrite(self, n: int) -> None:
        run = self.db.runs[n % len(self.db.runs) + 1]
        if run.rewrite_pending:
            start: int | None = 1
            while start is not None:
                start = self.twins.rewrite(run.business_id, run.id, start, 100)

    @invariant()
    def the_same(self) -> None:
        self.twins.compare()


@pytest.fixture
def store(database_url: str) -> Iterator[type[Store]]:
    """The machine, on a database of its own."""
    with asyncio.Runner() as runner:
        pool = runner.run(open_pool(database_url, name="differential", size=2))
        yield type("StoreHere", (Store,), {"pool": pool, "runner": runner})
        runner.run(pool.close())


@pytest.mark.timeout(300)
def test_the_store_of_the_simulation_does_what_postgresql_does(store: type[Store]) -> None:
    run_state_machine_as_test(
        store,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            phases=PHASES,
        ),
    )


async def test_a_partition_that_was_given_back_is_nobodys(database: DatabaseFixture) -> None:
    """Found by the machine above: without an owner the fence compared with NULL, and the verdict was "empty"."""
    business = await database.business()
    await database.run(business, 2)
    await database.workers.give_back(database.incarnation, [await database.partition(business)])
    attempts, verdicts = await database.claim(business)
    assert (attempts, verdicts[business].code) == ([], VerdictCode.NOT_OWNER)
