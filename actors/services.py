"""The services that the actors use: PostgreSQL, Redis, the telephone company, the clock. A simulation brings its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from actors.keyed_semaphore import KeyedSemaphore
from actors.metrics import WorkerMetrics
from dialer.policy.call_prices import billed_minutes
from dialer.tracing.spans import Spans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from dialer.clock import Clock, Ids
    from dialer.messages import Command, Event, Hint
    from sql.accounts.account_rows import CredentialsRow
    from sql.attempts.attempts import ClaimedAttempt, ClaimRequest, ExcessCall, Fact, OpenAttempt, RecordResult, Verdict
    from sql.bulk.bulk_operations import RunningOperation
    from sql.commands.commands import Answer, AppliedCommand, MalformedCommand
    from sql.runs.runs import ScheduledRun
    from sql.runs.zone_windows import ClosedZone, ZoneWindow
    from sql.timelines.timelines import OrphanedCall, Timeline
    from sql.webhooks.deliveries import DueQueue, LeasedQueue, PendingDelivery, QueueKey, SealedKey, TryResult
    from sql.workers.workers import ActiveBusiness, PartitionOwner, Renewal, Stall
    from telephony.accounts import StoredAccount
    from telephony.provider import Account, Provider


class Attempts(Protocol):
    """The log of attempts; `sql.attempts.attempts.Attempts` is the real one."""

    async def claim(
        self,
        incarnation: UUID,
        token: UUID,
        requests: Sequence[ClaimRequest],
        *,
        send_seconds: float,
        ring_seconds: int,
        max_minutes: int,
        default_account: str,
        committed: Callable[[], None] = ...,
    ) -> tuple[list[ClaimedAttempt], list[Verdict]]: ...
    async def open_of_partitions(self, partitions: Sequence[int]) -> list[OpenAttempt]: ...
    async def states(self, attempts: Sequence[tuple[int, int]]) -> list[OpenAttempt]: ...
    async def lost_claim(self, business_ids: Sequence[int], token: UUID) -> list[tuple[int, int, str]]: ...
    async def postpone_check(self, attempt: OpenAttempt, seconds: float, evidence: dict[str, Any] | None = None) -> None: ...
    async def rivals(self, attempt: OpenAttempt) -> int: ...
    async def bound(self, sids: Sequence[str]) -> dict[str, int]: ...
    async def withdraw(self, business_id: int, attempt_id: int) -> None: ...
    async def excess_calls(self, partitions: Sequence[int]) -> list[ExcessCall]: ...
    async def excess_over(self, business_id: int, sid: str) -> None: ...


class FactWriter(Protocol):
    """Writes facts to the log; `sql.attempts.fact_writer.FactWriter` is the real one."""

    async def record(self, fact: Fact) -> RecordResult: ...


class Workers(Protocol):
    """Workers, leases and partitions; `sql.workers.workers.Workers` is the real one."""

    async def join(self, incarnation: UUID, name: str, lease_seconds: float) -> None: ...
    async def renew(self, incarnation: UUID, lease_seconds: float) -> Renewal: ...
    async def step_down(self, incarnation: UUID) -> None: ...
    async def leave(self, incarnation: UUID) -> None: ...
    async def live(self) -> list[UUID]: ...
    async def holdings(self) -> list[PartitionOwner]: ...
    async def take_over(self, incarnation: UUID, partitions: Sequence[int]) -> dict[int, int]: ...
    async def give_back(self, incarnation: UUID, partitions: Sequence[int]) -> None: ...
    async def heartbeat(self, incarnation: UUID, name: str, older_than_seconds: float, businesses: Sequence[int]) -> int: ...
    async def stalls(self, incarnation: UUID, stalls: Sequence[Stall]) -> None: ...
    async def busy_businesses(self, partitions: Sequence[int]) -> list[ActiveBusiness]: ...
    async def business(self, business_id: int) -> ActiveBusiness | None: ...
    async def progress(self, runs: Sequence[tuple[int, int]]) -> list[dict[str, Any]]: ...
    async def on_the_line(self, runs: Sequence[tuple[int, int]]) -> list[dict[str, Any]]: ...
    async def pause(self, business_id: int, run_id: int, reason: str, cause: Mapping[str, object]) -> None: ...


class Timelines(Protocol):
    """What the database may have lost in a fail-over or a restore; `sql.timelines.timelines.Timelines` is the real one."""

    async def present(self, business_id: int, shown_after_seconds: float) -> Timeline | None: ...
    async def adopt_calls(
        self,
        incarnation: UUID,
        epoch: int,
        business_id: int,
        timeline: Timeline,
        calls: Sequence[OrphanedCall],
        *,
        ring_seconds: int,
        max_minutes: int,
        account_sid: str,
    ) -> int | None: ...


class Commands(Protocol):
    """The inbox of commands; `sql.commands.commands.Commands` is the real one."""

    async def apply(self, command: Command) -> Answer: ...
    async def start_due(self, command: Command, at: int) -> Answer: ...
    async def position(self) -> str: ...
    async def receive(self, start: str, end: str, entries: Sequence[Command | MalformedCommand]) -> bool: ...
    async def waiting(self, but: Sequence[int] = ()) -> list[int]: ...
    async def apply_received(self, business_id: int) -> tuple[list[AppliedCommand], bool]: ...
    async def forget(self, limit: int) -> int: ...


class Runs(Protocol):
    """Runs, for the work on them in the background; `sql.runs.runs.Runs` is the real one."""

    async def to_rewrite(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[tuple[int, int]]: ...
    async def rewrite(self, business_id: int, run_id: int, start: int, chunk: int) -> int | None: ...
    async def to_end(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[tuple[int, int]]: ...
    async def end_if_done(self, business_id: int, run_id: int) -> bool: ...
    async def to_delete(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[tuple[int, int]]: ...
    async def delete_part(self, business_id: int, run_id: int, limit: int) -> int: ...
    async def to_start(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[ScheduledRun]: ...
    async def closed_zones(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[ClosedZone]: ...
    async def store_windows(self, windows: Sequence[ZoneWindow]) -> set[int]: ...


class BulkOperations(Protocol):
    """Operations on many leads; `sql.bulk.bulk_operations.BulkOperations` is the real one."""

    async def running(self, partitions: Sequence[int], limit: int, but: Sequence[int] = ()) -> list[RunningOperation]: ...
    async def carry_out(self, business_id: int, operation_id: int, chunk: int) -> bool: ...
    async def fail(self, business_id: int, operation_id: int) -> None: ...


class Streams(Protocol):
    """The streams; `dialer.streams.client.Streams` is the real one. May raise its RedisUnavailableError."""

    async def send_hint(self, partition: int, hint: Hint) -> bool: ...
    async def start_of_hints(self) -> str: ...
    async def hints_after(self, positions: Mapping[int, str], *, block_seconds: float) -> list[tuple[int, str, Hint | None]]: ...
    async def commands_after(self, entry: str, *, block_seconds: float) -> list[tuple[str, dict[str, str]]]: ...
    async def newest_command(self) -> str: ...
    async def forget_commands(self, before: str) -> None: ...
    async def publish(self, events: Sequence[Event]) -> bool: ...
    async def run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> Any: ...


class Relay(Protocol):
    """Relays the events that must not be lost; `sql.outbox.outbox.Relay` is the real one."""

    def kick(self) -> None:
        """Events have been written: relay them now."""


class AccountBook(Protocol):
    """The account of each business, and of each earlier call; `telephony.accounts.AccountBook` is the real one."""

    def account(self, business_id: int, account_sid: str | None, stored: Sequence[StoredAccount]) -> Account:
        """The account of a business; the default one when it has none of its own."""

    def of(self, business_id: int, account_sid: str) -> Account | None:
        """The account that placed a call of this business; None when its credentials are not known here (any more)."""

    def renew(self, sealed: str) -> str:
        """The same credentials, sealed with the first key of SECRET_KEY."""


class AccountRows(Protocol):
    """The stored credentials of all accounts; `sql.accounts.account_rows.Accounts` is the real one."""

    async def after(self, row_id: int, limit: int) -> list[CredentialsRow]: ...
    async def renew(self, row: CredentialsRow, sealed: str) -> None: ...


class Deliveries(Protocol):
    """The deliveries to webhooks; `sql.webhooks.deliveries.Deliveries` is the real one."""

    async def due(self, partitions: Sequence[int], *, of_webhook: int, limit: int) -> list[DueQueue]: ...
    async def lease(self, queues: Sequence[QueueKey], seconds: float) -> list[LeasedQueue]: ...
    async def pending(self, key: QueueKey, limit: int) -> list[PendingDelivery]: ...
    async def record(
        self, queue: LeasedQueue, delivery_id: int, result: TryResult, *, pause_seconds: float, lease_seconds: float
    ) -> bool: ...
    async def release(self, queue: LeasedQueue) -> None: ...
    async def forget(self, partitions: Sequence[int], *, kept: int, limit: int) -> int: ...
    async def after(self, webhook_id: int, limit: int) -> list[SealedKey]: ...
    async def renew(self, row: SealedKey, sealed: str) -> None: ...


class WebhookClient(Protocol):
    """HTTP for webhooks; `actors.webhooks.webhook_client.WebhookClient` is the real one."""

    async def post(self, url: str, headers: Mapping[str, str], body: str) -> TryResult: ...


class WebhookKeys(Protocol):
    """The keys of webhooks; `dialer.webhooks.signing.WebhookKeys` is the real one."""

    def open(self, sealed: str) -> str: ...
    def renew(self, sealed: str) -> str: ...


# How many fetches, and how many hang-ups, of one business are in flight at once: the provider's connections are shared by all businesses.
FETCHES_AT_ONCE = 8
HANG_UPS_AT_ONCE = 8
# Lists of calls are long, and a request for one may hang for half a minute.
LISTS_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """The settings for calls; times in seconds, `calls_per_second` for each account over all workers (0: no pacing).

    `default_account` is the sid of the account for businesses without one of their own.
    """

    public_url: str
    ring_seconds: int
    limit_seconds: int
    lag_seconds: float
    calls_per_second: float
    default_account: str

    @property
    def max_minutes(self) -> int:
        """The billed minutes of the longest call."""
        return billed_minutes(self.limit_seconds)


@dataclass(slots=True)
class Ownership:
    """The partitions this worker owns under its present incarnation, each with its epoch, and how many `workers` are live.

    Until `clock_trusted_from` (boot clock, seconds) the database's clock is not trusted, since it has jumped: no lead is claimed, and no
    proof that a call is absent counts.
    """

    incarnation: UUID
    epochs: dict[int, int]
    workers: int = 1
    clock_trusted_from: float = 0.0


@dataclass(frozen=True, slots=True)
class Services:
    """All services together, as the actors get them.

    `fetch_limit`, `list_limit` and `hang_up_limit` keep one business from taking all connections to the provider.
    """

    attempts: Attempts
    facts: FactWriter
    workers: Workers
    timelines: Timelines
    commands: Commands
    runs: Runs
    bulk_operations: BulkOperations
    streams: Streams
    relay: Relay
    provider: Provider
    accounts: AccountBook
    account_rows: AccountRows
    deliveries: Deliveries
    webhook_client: WebhookClient
    webhook_keys: WebhookKeys
    clock: Clock
    ids: Ids
    policy: CallPolicy
    ownership: Ownership
    fetch_limit: KeyedSemaphore[int] = field(default_factory=lambda: KeyedSemaphore(FETCHES_AT_ONCE))
    list_limit: KeyedSemaphore[int] = field(default_factory=lambda: KeyedSemaphore(LISTS_AT_ONCE))
    hang_up_limit: KeyedSemaphore[int] = field(default_factory=lambda: KeyedSemaphore(HANG_UPS_AT_ONCE))
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)
    spans: Spans = field(default_factory=Spans)
