"""The rows of the in-memory database: one class per table of PostgreSQL, times in seconds of the database's clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dialer.model import RANK, AttemptState, JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

# The account of businesses without one of their own.
ACCOUNT_SID = "AC0"

# A few seconds before a minute and a day begin: calling hours and daily caps have their edges there.
START = datetime(2029, 12, 31, 23, 59, 48, tzinfo=UTC)
NEVER, ALWAYS = float("inf"), float("-inf")
OPEN = frozenset(state for state, rank in RANK.items() if rank <= RANK[AttemptState.LIVE])
IN_PROGRESS = frozenset({JobStatus.DIALING, JobStatus.CALLING})
ENDED = frozenset({"completed", "cancelled", "stopped", "failed"})


def moment(seconds: float) -> datetime:
    """A time of the database's clock as clients see it."""
    return START + timedelta(seconds=seconds)


class CheckError(Exception):
    """A constraint of the schema is violated: PostgreSQL would refuse the statement."""


@dataclass(slots=True)
class Lane:
    business_id: int
    partition: int
    max_calls: int
    cap: int
    caller_ids: list[str]
    account_sid: str | None = None
    inflight: list[int] = field(default_factory=list)

    def hold(self, inflight: list[int]) -> None:
        """Replace the set; as in PostgreSQL, one too many is rejected."""
        if len(inflight) > self.cap:
            message = f"CHECK: lane {self.business_id} would hold {len(inflight)} of {self.cap}"
            raise CheckError(message)
        self.inflight = inflight


@dataclass(slots=True)
class Job:
    id: int
    run_id: int
    business_id: int
    lead_id: int
    phone: str
    position: int
    status: str = "queued"
    outcome: str | None = None
    attempts: int = 0
    attempt_id: int | None = None
    sid: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class Zone:
    """Open from `opens_at` to `closes_at`; None: not computed, so closed."""

    name: str
    first: int
    last: int
    next: int
    opens_at: float | None = None
    closes_at: float | None = None
    day_from: float | None = None
    day_to: float | None = None

    @property
    def never_opens(self) -> bool:
        return self.opens_at == NEVER


@dataclass(slots=True)
class BusinessRules:
    """The rules of calling of a business, as its row has them; `registers` are the do-not-call lists in force, 0 is its own."""

    calling_hours: dict[str, Any] | None = None
    retries: dict[str, Any] | None = None
    gap_hours: float = 0.0
    max_per_day: int | None = None
    countries: list[str] | None = None
    stopped: bool = False
    do_not_call: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    id: int
    business_id: int
    concurrency: int
    total_leads: int
    queued: int
    priority: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0
    cursor: int = 0
    status: str = "pending"
    started: bool = False
    cancel_requested: bool = False
    rewrite_pending: bool = False
    served_at: float = -1.0
    ended_at: float | None = None
    last_error: str | None = None
    last_error_cause: dict[str, object] | None = None
    ancestors: tuple[int, ...] = ()
    calls_count: int = 0
    amount_spent: Decimal = Decimal(0)
    schedule_at: float | None = None
    locked_by: str | None = None
    locked_at: float = -1e9
    jobs: list[Job] = field(default_factory=list)
    zones: list[Zone] = field(default_factory=list)

    def zone_of(self, position: int) -> Zone:
        """The zone of the lead at this position."""
        return next(zone for zone in self.zones if zone.first <= position <= zone.last)

    def counters(self) -> dict[str, int]:
        """The six counters by name."""
        return {name: getattr(self, name) for name in ("queued", "in_progress", "completed", "failed", "cancelled", "skipped")}


@dataclass(slots=True)
class Attempt:
    id: int
    business_id: int
    run_id: int
    job_id: int
    token: str
    nonce: str
    phone: str
    from_number: str
    account_sid: str
    ring_seconds: int
    created_at: float
    send_by: float
    next_check_at: float | None
    state: AttemptState = AttemptState.PLACING
    checks: int = 0
    sid: str | None = None
    hang_up_at: float | None = None
    excess: bool = False
    outcome: str | None = None
    duration: int | None = None
    answered_by: str | None = None
    evidence: dict[str, Any] | None = None
    withdrawn: bool = False
    error_code: int | None = None
    # With a budget in money: what a minute, and the longest call, costs.
    minute_price: Decimal | None = None
    max_cost: Decimal | None = None
    # It ended in a way that says nothing about the lead.
    no_fault: bool = False

    @property
    def open(self) -> bool:
        return self.state in OPEN


@dataclass(slots=True)
class Retry:
    job_id: int
    run_id: int
    business_id: int
    zone: str
    due_at: float
    reason: str


@dataclass(slots=True)
class Partition:
    owner: UUID | None = None
    epoch: int = 0
    taken_at: float = 0.0


@dataclass(slots=True)
class Received:
    """A row of the inbox."""

    seq: int
    business_id: int
    id: str
    digest: bytes
    type: str
    run_id: int
    job_id: int | None
    hang_up: bool
    entry: str | None
    expires_at: float
    requested_by: str = ""
    repeats: int = 0
    answer: dict[str, Any] | None = None


@dataclass(slots=True)
class Operation:
    """An operation on the leads of a run, in the order of `jobs`."""

    id: int
    business_id: int
    run_id: int
    type: str
    jobs: list[int]
    status: str = "running"
    done: int = 0
    skipped: int = 0
    new_run_id: int | None = None


@dataclass(slots=True)
class OutboxEvent:
    """A row of the outbox; kept after its deletion, for the judge."""

    serial: int
    business_id: int
    run_id: int | None
    type: str
    at: float
    data: dict[str, Any]
    job_id: int | None = None
    command_id: str | None = None


class Database:
    """All rows, and the clock; each function that works on it is one transaction."""

    def __init__(self, clock: Callable[[], float], nonce: Callable[[], str], partitions: int, faults: frozenset[str] = frozenset()) -> None:
        self.clock = clock
        self.nonce = nonce
        self.faults = faults
        self.lanes: dict[int, Lane] = {}
        self.runs: dict[int, Run] = {}
        self.runs_of: dict[int, list[Run]] = {}
        self.jobs: dict[int, Job] = {}
        self.attempts: dict[int, Attempt] = {}
        self.sids: dict[str, int] = {}
        # The sids of second calls, and those of them not known to be over.
        self.excess_sids: set[str] = set()
        self.excess_live: set[str] = set()
        self.retries: dict[int, Retry] = {}
        self.rules: dict[int, BusinessRules] = {}
        # The price of a minute, by the first digits of a number.
        self.prices: dict[str, Decimal] = {}
        # The verdict of each rule on a lead, the last time it kept it from being called.
        self.refusals: dict[tuple[int, str], str] = {}
        self.operations: dict[int, Operation] = {}
        self.workers: dict[UUID, float] = {}
        self.leaving: set[UUID] = set()
        self.partitions = [Partition() for _ in range(partitions)]
        self.inbox: dict[tuple[int, str], Received] = {}
        self.received = 0
        self.position = "0-0"
        self.outbox: dict[int, OutboxEvent] = {}
        self.every_event: list[OutboxEvent] = []
        # Runs whose rows were touched since the judge last checked.
        self.touched: set[int] = set()
        # PostgreSQL rewrites the job rows of runs up to this size at once, larger ones soon after.
        self.rewrite_here = 200

    def add_event(
        self,
        business_id: int,
        run_id: int | None,
        kind: str,
        data: dict[str, Any],
        *,
        job_id: int | None = None,
        command_id: str | None = None,
    ) -> None:
        """Write an event, in the transaction of its change."""
        event = OutboxEvent(len(self.every_event) + 1, business_id, run_id, kind, self.clock(), data, job_id, command_id)
        self.every_event.append(event)
        if "event_outside_the_transaction" not in self.faults or event.serial % 7:
            self.outbox[event.serial] = event

    def is_being_filled(self, run_id: int) -> bool:
        """Whether an operation still copies leads into this run."""
        return any(operation.status == "running" and operation.new_run_id == run_id for operation in self.operations.values())

    def owns(self, partition: int, owner: UUID | str | None, epoch: int | None) -> bool:
        """The fence: this worker, under this epoch."""
        row = self.partitions[partition]
        if "no_epoch_check" in self.faults:
            return True
        return row.owner is not None and str(row.owner) == str(owner) and row.epoch == epoch
