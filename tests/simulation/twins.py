"""PostgreSQL and the in-memory database side by side: each operation goes to both, and everything they hold is compared."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from dialer.messages import Command, CommandType
from dialer.model import AttemptState
from sql.attempts.attempts import Attempts, ClaimRequest, Fact
from sql.bulk.bulk_operations import BulkOperations, BulkRequest
from sql.businesses.businesses import Businesses
from sql.commands.commands import MAX_APPLIED_AT_ONCE, Commands
from sql.runs.changes import Addition, EndedRunError, RunChanges
from sql.runs.new_lead import NewLead
from sql.runs.new_run import NewRun, Request
from sql.runs.runs import Runs
from sql.workers.workers import Workers
from tests.simulation import changing, checking, claiming, commanding, operating, recording
from tests.simulation.loaders import load_business, load_run
from tests.simulation.rows import ACCOUNT_SID, ALWAYS, NEVER, Attempt, Database

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sql.bulk.bulk_operations import BulkType
    from sql.pool import Pool

TABLES = (
    "dialer.businesses, dialer.lanes, dialer.attempts, dialer.call_sids, dialer.run_zones, dialer.retries, dialer.callbacks,"
    " dialer.workers, dialer.lead_numbers, dialer.inbox, dialer.outbox, dialer.audit_log, dialer.users, dialer.tokens,"
    " dialer.do_not_call, dialer.prices, dialer.refusals, dialer.operations, outbound_call_jobs, outbound_call_runs"
)
SHIFT = """
UPDATE dialer.attempts SET send_by = send_by - $1::interval, next_check_at = next_check_at - $1::interval,
    created_at = created_at - $1::interval;
UPDATE dialer.retries SET due_at = due_at - $1::interval;
UPDATE dialer.run_zones SET opens_at = opens_at - $1::interval, closes_at = closes_at - $1::interval,
    day_from = day_from - $1::interval, day_to = day_to - $1::interval;
UPDATE dialer.workers SET lease_until = lease_until - $1::interval;
UPDATE public.outbound_call_runs SET schedule_at = schedule_at - $1::interval;
UPDATE dialer.inbox SET expires_at = expires_at - $1::interval
"""
LANES = "SELECT business_id, inflight, max_calls, cap FROM dialer.lanes ORDER BY business_id"
RUNS = """SELECT id, status, queued_count, in_progress_count, completed_count, failed_count, cancelled_count, skipped_count,
cursor_position, calls_count, amount_spent, cancel_requested, rewrite_pending,
started_at IS NOT NULL AS started, ended_at IS NOT NULL AS ended,
total_leads, concurrency, priority, settings, ancestors, schedule_at IS NOT NULL AS scheduled
FROM outbound_call_runs ORDER BY id"""
JOBS = """SELECT id, run_id, lead_id, phone, position, status, outcome, attempts, attempt_id, twilio_call_sid, reason
FROM outbound_call_jobs ORDER BY id"""
ATTEMPTS = """SELECT id, business_id, run_id, job_id, state, sid, excess, hang_up_at IS NOT NULL AS hang_up, checks, outcome, answered_by,
phone, account_sid, withdrawn_at IS NOT NULL AS withdrawn, evidence, error_code, minute_price, max_cost FROM dialer.attempts ORDER BY id"""
RETRIES = "SELECT job_id, zone, reason FROM dialer.retries ORDER BY job_id"
REFUSALS = "SELECT job_id, rule, verdict FROM dialer.refusals ORDER BY job_id, rule"
STOPPED = "UPDATE dialer.businesses SET stopped_at = CASE WHEN $2 THEN now() END WHERE business_id = $1"
# The names of the rules in the store of the simulation, and those of the columns where they differ.
COLUMNS = {"gap_hours": "min_gap_hours", "countries": "allowed_countries"}
WINDOW = """UPDATE dialer.run_zones SET opens_at = now() + $3 * interval '1 second', closes_at = now() + $4 * interval '1 second',
day_from = now() + $5 * interval '1 second', day_to = now() + $6 * interval '1 second' WHERE run_id = $1 AND zone = $2"""
REFUSED_NUMBER = "INSERT INTO dialer.do_not_call (business_id, phone) VALUES ($1, $2) ON CONFLICT DO NOTHING"
ZONES = """SELECT run_id, zone, first_position, last_position, next_position, opens_at IS NULL AS unknown,
coalesce(opens_at = '-infinity', FALSE) AS always, coalesce(opens_at = 'infinity', FALSE) AS never
FROM dialer.run_zones ORDER BY run_id, first_position"""
OPERATIONS = "SELECT operation_id, business_id, run_id, type, jobs, status, done, skipped, new_run_id FROM dialer.operations ORDER BY 1"
REFUSED = "SELECT business_id, phone FROM dialer.do_not_call ORDER BY business_id, phone"
START_AT = "SELECT floor(extract(epoch FROM schedule_at))::bigint FROM public.outbound_call_runs WHERE id = $1"
SIDS = "SELECT sid, attempt_id, excess, excess AND over_at IS NULL AS live FROM dialer.call_sids ORDER BY sid"
# In order within a business: the order of the events of two businesses in one statement means nothing.
OUTBOX = "SELECT type, business_id, run_id, job_id, command_id FROM dialer.outbox ORDER BY business_id, id"
INBOX = """SELECT business_id, id, answer FROM dialer.inbox WHERE type NOT LIKE 'jobs.%' AND type NOT IN ('run.create', 'run.add')
ORDER BY business_id, id"""
PARTITIONS = "SELECT partition, owner, epoch FROM dialer.partitions WHERE owner IS NOT NULL OR epoch > 0 ORDER BY partition"
MAX_MINUTES = 3
# Of a country, and of an area in it.
PRICES = {"1": Decimal("0.5"), "1202": Decimal("1.25")}
PRICE = "INSERT INTO dialer.prices (prefix, minute_price, currency) VALUES ($1, $2, 'USD')"
# Of two areas, and one of another country.
CALLER_IDS = ["+12025550100", "+12125550100", "+97231230000"]
# The fields of an answer that both databases write.
COMPARED = (
    "accepted",
    "code",
    "status",
    "cancel_requested",
    "in_progress",
    "already_ended",
    "cancelled_jobs",
    "job_id",
    "job_status",
    "foreign",
)


class Twins:
    """The two databases; `run` runs a coroutine on the loop of the pool."""

    def __init__(self, pool: Pool, run: Callable[[Any], Any]) -> None:
        self.pool = pool
        self.run = run
        self.offset = 0.0
        self.memory = Database(lambda: time.perf_counter() + self.offset, lambda: uuid4().hex, 256)
        self.attempts, self.commands, self.runs = Attempts(pool), Commands(pool), Runs(pool)
        self.memory.prices = PRICES
        self.changes, self.operations = RunChanges(pool), BulkOperations(pool)
        self.workers, self.businesses = Workers(pool), Businesses(pool)
        self.nonces: dict[int, str] = {}
        self.tokens: dict[int, str] = {}
        self.run(self._empty())

    async def _empty(self) -> None:
        await self.pool.execute(f"TRUNCATE {TABLES} RESTART IDENTITY CASCADE")
        await self.pool.execute("UPDATE dialer.partitions SET owner = NULL, epoch = 0")
        for prefix, price in PRICES.items():
            await self.pool.execute(PRICE, prefix, price)
        await self.pool.execute("UPDATE dialer.positions SET entry = '0-0'")

    def business(self, max_calls: int) -> int:
        made = self.run(self.businesses.create(name="B", caller_id=CALLER_IDS[0], region="US", timezone="UTC", max_calls=max_calls))
        self.run(self.businesses.change(made, {"caller_ids": CALLER_IDS}, "test"))
        partition = self.run(self.businesses.get(made)).partition
        assert load_business(self.memory, partition, max_calls, caller_ids=CALLER_IDS) == made
        return int(made)

    def load(
        self, business_id: int, phones: Sequence[str], zones: Sequence[str], concurrency: int, priority: int, settings: dict[str, Any]
    ) -> int:
        leads = [NewLead(n, phone, None, zones[n % len(zones)]) for n, phone in enumerate(phones, start=1)]
        new = NewRun(business_id, None, concurrency, leads, priority=priority, settings=settings)
        answer, _ = self.run(self.runs.create(new, Request(f"http:{uuid4()}", b"", "test", {})))
        assert load_run(self.memory, business_id, leads, concurrency=concurrency, priority=priority, settings=settings) == answer["run_id"]
        return int(answer["run_id"])

    def change_rules(self, business_id: int, **changes: object) -> None:
        """Change the rules of a business in both."""
        checking.change_rules(self.memory, business_id, **changes)
        columns = {COLUMNS.get(name, name): value for name, value in changes.items() if name != "stopped"}
        self.run(self.businesses.change(business_id, columns, "test"))
        self.run(self.pool.execute(STOPPED, business_id, self.memory.rules[business_id].stopped))

    def refuse_number(self, business_id: int, phone: str) -> None:
        """Put a number on the do-not-call list of a business."""
        self.run(self.pool.execute(REFUSED_NUMBER, business_id, phone))
        self.memory.rules[business_id].do_not_call[phone] = 0

    def change_run(self, run_id: int, changes: dict[str, Any], start_seconds: float | None) -> None:
        """Change columns and settings of a run; with schedule_at among them, it is to start in so many seconds."""
        theirs: dict[str, Any] = {name: value for name, value in changes.items() if name in changing.COLUMNS}
        theirs["settings"] = {name: value for name, value in changes.items() if name not in changing.COLUMNS}
        if start_seconds is not None:
            theirs["schedule_at"] = (datetime.now(UTC) + timedelta(seconds=start_seconds)).isoformat()
            changes = changes | {"schedule_at": self.memory.clock() + start_seconds}
        answer = self.run(self.changes.change(self.memory.runs[run_id].business_id, run_id, theirs, "test"))
        assert answer["code"] == changing.change_run(self.memory, run_id, changes)

    def start_due(self, run_id: int, command_id: str, *, put_off: bool) -> None:
        """A worker starts a run by the time that it read; it was another one when the start is `put_off`."""
        run = self.memory.runs[run_id]
        asked = Command(run.business_id, command_id, CommandType.START, run_id, requested_by="schedule")
        theirs = (self.run(self.pool.fetchval(START_AT, run_id)) or 0) - put_off
        ours = (0 if run.schedule_at is None else changing.epoch_second(run.schedule_at)) - put_off
        answer = self.run(self.commands.start_due(asked, theirs))
        expected = changing.start_due(self.memory, asked, ours)
        assert (answer.accepted, answer.code) == (expected["accepted"], expected.get("code", ""))

    def to_start(self) -> None:
        found = self.run(self.runs.to_start(sorted({lane.partition for lane in self.memory.lanes.values()}), 100))
        ours = [run.id for run in self.memory.runs.values() if run.status == "pending" and run.schedule_at is not None]
        assert sorted(run.run_id for run in found) == ours

    def add_leads(self, run_id: int, leads: Sequence[NewLead]) -> None:
        """Add leads to a run; where it cannot be, none are sent, since PostgreSQL would use up the ids of their jobs."""
        run = self.memory.runs[run_id]
        may_be = changing.add_leads(self.memory, run_id, ()) is not None
        addition = Addition(run.business_id, run_id, leads if may_be else (), lambda _: {})
        try:
            self.run(self.changes.add(addition, Request(f"http:{uuid4()}", b"", "test", {}, "run.add")))
        except EndedRunError:
            assert not may_be
        else:
            assert changing.add_leads(self.memory, run_id, leads) is not None

    def begin(self, run_id: int, kind: BulkType, job_ids: Sequence[int] | None) -> None:
        request = BulkRequest(self.memory.runs[run_id].business_id, run_id, kind, "test", f"http:{uuid4()}", job_ids=job_ids)
        assert self.run(self.operations.begin(request)) == operating.begin(self.memory, run_id, kind, job_ids)

    def carry_out(self, operation_id: int, chunk: int) -> None:
        business_id = self.memory.operations[operation_id].business_id
        carried_out = self.run(self.operations.carry_out(business_id, operation_id, chunk))
        assert carried_out == operating.operate(self.memory, operation_id, chunk)

    def open_zone(self, run_id: int, zone: str, window: tuple[float, float, float, float] | None) -> None:
        """Store a window, in seconds from now; None: it never opens."""
        offsets = window or (NEVER, NEVER, None, None)
        if window is None:
            never = "UPDATE dialer.run_zones SET opens_at = 'infinity', closes_at = 'infinity' WHERE run_id = $1 AND zone = $2"
            self.run(self.pool.execute(never, run_id, zone))
        else:
            self.run(self.pool.execute(WINDOW, run_id, zone, *window))
        times = [None if offset is None else self.memory.clock() + offset for offset in offsets]
        for row in (row for row in self.memory.runs[run_id].zones if row.name == zone):
            row.opens_at, row.closes_at = times[:2]
            if window is not None:
                row.day_from, row.day_to = times[2:]

    def join(self, incarnation: UUID) -> None:
        self.run(self.workers.join(incarnation, "w", 6.0))
        commanding.join(self.memory, incarnation, 6.0)

    def renew(self, incarnation: UUID) -> bool:
        ours = commanding.renew(self.memory, incarnation, 6.0)
        assert self.run(self.workers.renew(incarnation, 6.0)).renewed == ours
        return ours

    def take_over(self, incarnation: UUID, partitions: Sequence[int]) -> dict[int, int]:
        taken = commanding.take_over(self.memory, incarnation, partitions)
        assert self.run(self.workers.take_over(incarnation, partitions)) == taken
        return taken

    def give_back(self, incarnation: UUID, partitions: Sequence[int]) -> None:
        self.run(self.workers.give_back(incarnation, partitions))
        commanding.give_back(self.memory, incarnation, partitions)

    def set_max_calls(self, business_id: int, max_calls: int) -> None:
        self.run(self.businesses.set_max_calls(business_id, max_calls))
        commanding.set_max_calls(self.memory, business_id, max_calls)

    def claim(self, incarnation: UUID, requests: Sequence[ClaimRequest]) -> None:
        token = uuid4()
        attempts, verdicts = self.run(
            self.attempts.claim(
                incarnation, token, requests, send_seconds=5.0, ring_seconds=30, max_minutes=MAX_MINUTES, default_account=ACCOUNT_SID
            )
        )
        ours, codes = claiming.claim(self.memory, requests, claiming.Claim(incarnation, token, 5.0, 30, ACCOUNT_SID, MAX_MINUTES))
        assert [replace(i, nonce="") for i in sorted(attempts, key=lambda i: i.attempt_id)] == [replace(i, nonce="") for i in ours]
        assert {v.business_id: v.code for v in verdicts} == {v.business_id: v.code for v in codes}
        for theirs, mine in zip(sorted(attempts, key=lambda i: i.attempt_id), ours, strict=True):
            self.nonces[theirs.attempt_id] = theirs.nonce
            self.tokens[theirs.attempt_id] = str(token)
            assert self.memory.attempts[mine.attempt_id].nonce == mine.nonce

    def record(self, facts: Sequence[Fact]) -> None:
        """Record facts in both; a nonce of "" is replaced by each database's own."""
        theirs = [replace(fact, nonce=fact.nonce or self.nonces[fact.attempt_id]) for fact in facts]
        mine = [replace(fact, nonce=fact.nonce or self.memory.attempts[fact.attempt_id].nonce) for fact in facts]
        recorded = {answer.attempt_id: answer for answer in self.run(self.attempts.record(theirs))}
        ours = {answer.attempt_id: answer for answer in recording.record(self.memory, mine)}
        assert recorded == ours, f"PostgreSQL {recorded}, in memory {ours}"

    def withdraw(self, attempt: Attempt) -> None:
        self.run(self.attempts.withdraw(attempt.business_id, attempt.id))
        attempt.withdrawn = attempt.withdrawn or attempt.state in {AttemptState.UNKNOWN, AttemptState.PLACED}

    def keep_evidence(self, attempt: Attempt, evidence: dict[str, Any]) -> None:
        """Store the reconciler's evidence with the next check."""
        [found] = self.run(self.attempts.states([(attempt.business_id, attempt.id)]))
        self.run(self.attempts.postpone_check(found, 15.0, evidence))
        confused = {recording.CONFUSED: True} if recording.CONFUSED in (attempt.evidence or {}) else {}
        attempt.checks, attempt.evidence = attempt.checks + 1, {**evidence, **confused}

    def command(self, asked: Command) -> None:
        ours = commanding.command(self.memory, asked)
        answer = self.run(self.commands.apply(asked))
        assert {name: getattr(answer, name) for name in COMPARED if name in ours} == {name: ours[name] for name in COMPARED if name in ours}

    def stream(self, commands: Sequence[Command], end: str, start: str | None = None) -> None:
        """Receive what was read from `start` on; None is where the last reader came to."""
        position = self.run(self.commands.position())
        assert position == self.memory.position
        start = position if start is None else start
        theirs = self.run(self.commands.receive(start, end, commands))
        assert theirs == commanding.receive(self.memory, start, end, commands)

    def decide(self) -> None:
        waiting = self.run(self.commands.waiting())
        assert waiting == commanding.waiting(self.memory, 100)
        for business_id in waiting:
            applied, again = self.run(self.commands.apply_received(business_id))
            ours = commanding.apply_received(self.memory, business_id, MAX_APPLIED_AT_ONCE)
            assert [(a.hint.run_id, a.hint.command, a.answer.accepted, a.answer.code) for a in applied] == [
                (row.run_id, CommandType(row.type), found["accepted"], found.get("code", "")) for row, found in ours
            ]
            assert not again

    def rewrite(self, business_id: int, run_id: int, start: int, chunk: int) -> int | None:
        ours = commanding.rewrite_rows(self.memory, self.memory.runs[run_id], start, chunk)
        assert self.run(self.runs.rewrite(business_id, run_id, start, chunk)) == ours
        return ours

    def advance(self, seconds: float) -> None:
        """Advance the clock; in PostgreSQL, shift all times back instead."""
        self.offset += seconds
        for statement in SHIFT.split(";"):
            self.run(self.pool.execute(statement.replace("$1", f"'{seconds} seconds'")))

    def compare(self) -> None:
        """Compare all rows."""
        for theirs, ours in zip(self.run(self._rows()), self._ours(), strict=True):
            assert theirs == ours, f"PostgreSQL {theirs}, in memory {ours}"

    async def _rows(self) -> list[Any]:
        tables = (LANES, RUNS, JOBS, ATTEMPTS, RETRIES, REFUSALS, ZONES, OPERATIONS, REFUSED, SIDS, OUTBOX, PARTITIONS)
        found: list[Any] = [[tuple(row) for row in await self.pool.fetch(query)] for query in tables]
        answers = [dict(row) for row in await self.pool.fetch(INBOX)]
        found.append({(r["business_id"], r["id"]): _compared(r["answer"]) for r in answers})
        return found

    def _ours(self) -> list[Any]:
        db = self.memory
        return [
            [(lane.business_id, lane.inflight, lane.max_calls, lane.cap) for lane in db.lanes.values()],
            [(r.id, r.status, *r.counters().values(), r.cursor, r.calls_count, r.amount_spent, r.cancel_requested,
              r.rewrite_pending, r.started, r.ended_at is not None, r.total_leads, r.concurrency, r.priority,
              r.settings, list(r.ancestors), r.schedule_at is not None)
             for r in db.runs.values()],
            [(j.id, j.run_id, j.lead_id, j.phone, j.position, j.status, j.outcome, j.attempts, j.attempt_id, j.sid, j.reason)
             for j in db.jobs.values()],
            [(a.id, a.business_id, a.run_id, a.job_id, a.state, a.sid, a.excess, a.hang_up_at is not None, a.checks, a.outcome,
              a.answered_by, a.phone, a.account_sid, a.withdrawn, a.evidence, a.error_code, a.minute_price, a.max_cost)
             for a in db.attempts.values()],
            [(r.job_id, r.zone, r.reason) for r in sorted(db.retries.values(), key=lambda r: r.job_id)],
            sorted((job_id, rule, verdict) for (job_id, rule), verdict in db.refusals.items()),
            sorted(((r.id, z.name, z.first, z.last, z.next, z.opens_at is None, z.opens_at == ALWAYS, z.never_opens)
                    for r in db.runs.values() for z in r.zones), key=lambda zone: (zone[0], zone[2])),
            [(o.id, o.business_id, o.run_id, o.type, o.jobs, o.status, o.done, o.skipped, o.new_run_id) for o in db.operations.values()],
            sorted((business_id, phone) for business_id, rules in db.rules.items() for phone in rules.do_not_call),
            [(sid, attempt, sid in db.excess_sids, sid in db.excess_live) for sid, attempt in sorted(db.sids.items())],
            [(t.type, t.business_id, t.run_id, t.job_id, t.command_id) for t in sorted(db.every_event, key=lambda t: t.business_id)],
            [(n, p.owner, p.epoch) for n, p in enumerate(db.partitions) if p.owner is not None or p.epoch],
            {key: _compared(row.answer) for key, row in db.inbox.items()},
        ]  # fmt: skip


def _compared(answer: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if answer is None else {name: answer[name] for name in COMPARED if answer.get(name) is not None}


def states() -> list[AttemptState]:
    """Every state a fact may have."""
    return [state for state in AttemptState if state is not AttemptState.PLACING]
