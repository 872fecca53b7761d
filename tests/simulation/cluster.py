"""One schedule from beginning to end: the real worker on the ports of this folder, everything else around it, and the judge."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import SecretStr

from actors.services import CallPolicy, Ownership, Services
from actors.worker import Worker
from dialer.clock import SeededIds
from sql.attempts.fact_writer import FactWriter
from sql.errors import DatabaseUnavailableError
from sql.outbox.outbox import Relay
from sql.runs.new_lead import NewLead
from telephony.provider import Account
from tests.simulation.fake_operations import FakeBulkOperations
from tests.simulation.fake_redis import FakeRedis, FakeStreams
from tests.simulation.fake_runs import FakeRuns
from tests.simulation.fake_store import (
    FakeAttempts,
    FakeCommands,
    FakeOutbox,
    FakeStore,
    FakeTimelines,
    FakeWorkers,
)
from tests.simulation.fake_twilio import FakeProvider, FakeTwilio
from tests.simulation.fake_web import FakeWeb
from tests.simulation.judge import Judge
from tests.simulation.loaders import load_business, load_run
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.network import Link
from tests.simulation.randomness import SeededRandom
from tests.simulation.rows import ACCOUNT_SID, Database, moment
from tests.simulation.rules import MINUTE_PRICE
from tests.simulation.schedule import LAG_SECONDS, LIMIT_SECONDS, RING_SECONDS, Schedule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from sql.accounts.account_rows import CredentialsRow
    from sql.webhooks.deliveries import DueQueue, SealedKey
    from telephony.accounts import StoredAccount

WORKER_PATIENCE_SECONDS, WEB_PATIENCE_SECONDS = 7 * 24 * 3600.0, 2.0
BOOT_SECONDS = 1000.0
D = TypeVar("D", bound=FakeStore)


class MachineClock:
    """The clocks of one machine: its own boot, and a wall clock that is wrong by `skew_seconds`."""

    def __init__(self, loop: VirtualLoop, skew_seconds: float) -> None:
        self._loop = loop
        self._skew = timedelta(seconds=skew_seconds)

    def boot(self) -> float:
        return self._loop.now + BOOT_SECONDS

    def now(self) -> datetime:
        return moment(self._loop.now) + self._skew


class Book:
    """The accounts of businesses; the credentials of the accounts in `forgotten` are gone."""

    def __init__(self, forgotten: set[str], db: Database) -> None:
        self.forgotten = forgotten
        self._db = db

    def renew(self, sealed: str) -> str:
        return sealed

    def account(self, business_id: int, account_sid: str | None, stored: Sequence[StoredAccount]) -> Account:  # noqa: ARG002
        return Account(account_sid or ACCOUNT_SID, SecretStr(""))

    def of(self, business_id: int, account_sid: str) -> Account | None:
        if "account_of_now" in self._db.faults:
            return self.account(business_id, self._db.lanes[business_id].account_sid, ())
        return None if account_sid in self.forgotten else Account(account_sid, SecretStr(""))


class NoAccountRows:
    """No seal to be renewed."""

    async def after(self, row_id: int, limit: int) -> list[CredentialsRow]:
        del row_id, limit
        return []

    async def renew(self, row: CredentialsRow, sealed: str) -> None:
        raise AssertionError(row, sealed)


class NoWebhooks:
    """No webhook: the simulation is about calls. Deliveries, client and keys in one."""

    async def due(self, partitions: Sequence[int], *, of_webhook: int, limit: int) -> list[DueQueue]:
        del partitions, of_webhook, limit
        return []

    async def forget(self, partitions: Sequence[int], *, kept: int, limit: int) -> int:
        del partitions, kept, limit
        return 0

    async def after(self, webhook_id: int, limit: int) -> list[SealedKey]:
        del webhook_id, limit
        return []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - nothing else is ever called
        raise AssertionError(name)


class ErrorLog(logging.Handler):
    """Collects what our own code calls an error with a traceback: nothing in a schedule should be one."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # A server that is away may end a task: it is begun again, and the judge sees whether that was enough.
        if record.exc_info and record.exc_info[1] is not None and not isinstance(record.exc_info[1], DatabaseUnavailableError):
            self.errors.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


@dataclass(slots=True)
class Machine:
    """A worker process, and the way to tell it to stop."""

    process: Process
    stopping: asyncio.Event
    ownership: Ownership | None = None


class SimulatedCluster:
    """Everything of one schedule."""

    def __init__(self, schedule: Schedule, faults: frozenset[str] = frozenset()) -> None:
        self.schedule = schedule
        self.faults = faults
        self.chance = SeededRandom(schedule.seed, "director")
        self.loop = VirtualLoop()  # type: ignore[abstract]  # the methods that the simulation does not need are missing
        nonces = SeededIds(schedule.seed)
        # How far the database's clock has been set ahead, or back.
        self.clock_seconds = 0.0
        self.db = Database(lambda: self.loop.time() + self.clock_seconds, nonces.nonce, schedule.partitions, faults)
        self.db.rewrite_here = 3
        self.link = Link(self.loop, SeededRandom(schedule.seed, "database"), lambda: DatabaseUnavailableError("simulated"))
        self.server = FakeRedis(self.loop)
        self.twilio = FakeTwilio(self.loop, schedule, SeededRandom(schedule.seed, "company"), faults)
        self.judge = Judge(schedule, self.db, self.twilio, self.server)
        self.link.after = self.judge.check
        self.twilio.created = self.judge.created
        self.twilio.written = self.judge.written
        self.opened_streams: list[FakeStreams] = []
        self.stores: list[FakeStore] = []
        self.machines: list[Machine] = []
        self.errors = ErrorLog()
        self.forgotten_accounts: set[str] = set()
        self._born = 0
        # Kill, or freeze for longer than a lease, the first worker at this step of its tasks; 0: not.
        self.first_kill = self.first_freeze = 0
        self.web: FakeWeb | None = None

    # -- people and rows -------------------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Businesses, runs and leads."""
        schedule = self.schedule
        for n, max_calls in enumerate(schedule.businesses, start=1):
            account = f"AC{n % schedule.accounts}"
            partition = n * 2654435761 % 4294967296 >> 24
            load_business(self.db, partition % schedule.partitions, max_calls, caller_ids=[f"+120255501{n:02}"], account_sid=account)
            self.judge.limit(n, max_calls)
            self.judge.rules.businesses[n] = dict(schedule.rules.businesses[n - 1] if schedule.rules.businesses else {})
            for name, value in self.judge.rules.businesses[n].items():
                setattr(self.db.rules[n], name, value)
        self.db.prices = {"1": Decimal(MINUTE_PRICE)}
        number, zones = 0, schedule.rules.zones
        for run, (business_id, leads, concurrency) in enumerate(schedule.runs, start=1):
            found = []
            for n in range(1, leads + 1):
                number += 1
                phone = f"+1202555{n:04}" if schedule.shared_numbers else f"+1202555{number + 500:04}"
                found.append(NewLead(n, phone, None, zones[n % len(zones)] if run % 2 else zones[0]))
            settings = schedule.rules.runs[run - 1] if schedule.rules.runs else {}
            earlier = [r.id for r in self.db.runs_of[business_id]]
            ancestors = tuple(earlier) if settings and self.chance.hits(0.3) else ()
            self._load_run(business_id, found, concurrency, settings, ancestors)

    def _load_run(
        self, business_id: int, leads: list[NewLead], concurrency: int, settings: dict[str, Any], ancestors: tuple[int, ...]
    ) -> None:
        """Load a run, and tell the judge what it was given."""
        nth, starts = len(self.db.runs), self.schedule.changes.starts
        start = starts[nth] if starts else None
        more: dict[str, Any] = {"settings": settings, "ancestors": ancestors, "schedule_at": start}
        run_id = load_run(self.db, business_id, leads, concurrency=concurrency, **more)
        self.judge.rules.settings[run_id] = dict(settings)
        self.judge.rules.zones |= {(run_id, int(lead.lead_id or 0)): lead.zone for lead in leads}
        self.judge.changes.starts[run_id] = start

    # -- processes -------------------------------------------------------------------------------------------------------------------

    def open_streams(self, clock: MachineClock) -> FakeStreams:
        """A client of Redis for one process."""
        streams = FakeStreams(self.server, self.link.chance, clock)
        streams.lost, streams.repeats = self.schedule.troubles.redis_lost, self.schedule.troubles.redis_repeats
        if self.twilio.troubles is None:
            streams.calm()
        self.opened_streams.append(streams)
        return streams

    @asynccontextmanager
    async def _log(self, attempts: FakeAttempts, streams: FakeStreams, patience_seconds: float) -> AsyncIterator[tuple[Relay, FactWriter]]:
        """The real relay and the real fact writer, as each process has them."""
        async with (
            Relay(self._store(FakeOutbox), streams) as relay,  # type: ignore[arg-type]
            FactWriter(attempts, patience_seconds=patience_seconds, wrote=relay.kick) as facts,  # type: ignore[arg-type]
        ):
            yield relay, facts

    def open_web(self) -> None:
        """Start the web process."""
        process = Process(self.loop, "web")
        clock = MachineClock(self.loop, 0.0)
        attempts, streams = self._store(FakeAttempts), self.open_streams(clock)

        async def serve() -> None:
            async with self._log(attempts, streams, WEB_PATIENCE_SECONDS) as (_relay, facts):
                self.web = FakeWeb(process, self.twilio, facts, attempts, self._store(FakeCommands), streams, self.judge)
                self.twilio.call_back = self.web.call_back
                await self.loop.create_future()

        process.spawn(serve())

    def open_worker(self) -> Machine:
        """Start a worker process."""
        self._born += 1
        process = Process(self.loop, f"worker-{self._born}")
        if self._born == 1:
            process.kill_at, process.freeze_at = self.first_kill, self.first_freeze
            process.on_kill = lambda: self.loop.call_later(1.0, self.open_worker, context=self.loop.outside)
        machine = Machine(process, asyncio.Event())
        work = process.spawn(self._work(machine, SeededIds(self.schedule.seed * 1009 + self._born), self._born))
        work.add_done_callback(self._worker_ended)
        self.machines.append(machine)
        return machine

    def _worker_ended(self, work: asyncio.Task[None]) -> None:
        if not work.cancelled() and (error := work.exception()) is not None:
            self.errors.errors.append(f"a worker process ended: {error!r}")

    async def _work(self, machine: Machine, ids: SeededIds, nth: int) -> None:
        skew = self.schedule.troubles.skew_seconds * (1 if nth % 2 else -1)
        clock = MachineClock(self.loop, skew)
        lag = 0.0 if "lag_is_ignored" in self.faults else LAG_SECONDS
        streams, attempts = self.open_streams(clock), self._store(FakeAttempts)
        async with self._log(attempts, streams, WORKER_PATIENCE_SECONDS) as (relay, facts):
            services = Services(
                    attempts=attempts, facts=facts, workers=self._store(FakeWorkers), timelines=self._store(FakeTimelines),
                    commands=self._store(FakeCommands), runs=self._store(FakeRuns), bulk_operations=self._store(FakeBulkOperations),
                    streams=streams, relay=relay, provider=FakeProvider(self.twilio, clock),
                    accounts=Book(self.forgotten_accounts, self.db), account_rows=NoAccountRows(),
                    deliveries=NoWebhooks(), webhook_client=NoWebhooks(), webhook_keys=NoWebhooks(), clock=clock, ids=ids,
                    policy=CallPolicy("https://x", RING_SECONDS, LIMIT_SECONDS, lag, self.schedule.calls_per_second, ACCOUNT_SID),
                    ownership=Ownership(ids.uuid(), {}),
                )  # fmt: skip
            machine.ownership = services.ownership
            worker = Worker(services, machine.process.name, machine.stopping)
            await worker.start()
            await machine.stopping.wait()
            await worker.stop()
        machine.process.kill()

    def _store(self, kind: type[D]) -> D:
        store = kind(self.db, self.link)
        store.locked = self.schedule.troubles.locked if self.twilio.troubles is not None else 0.0
        self.stores.append(store)
        return store

    # -- the schedule ----------------------------------------------------------------------------------------------------------------

    def calm(self) -> None:
        """From now on nothing goes wrong any more."""
        self.twilio.troubles = None
        self.twilio.is_away = self.server.is_away = False
        self.link.calm()
        for streams in self.opened_streams:
            streams.calm()
        for store in self.stores:
            store.locked = 0.0

    def fingerprint(self) -> str:
        """What happened, in one hash: the same seed gives the same."""
        seen = hashlib.sha256()
        for event in self.db.every_event:
            seen.update(repr(event).encode())
        for entry in self.twilio.calls.values():
            seen.update(repr(entry).encode())
        seen.update(repr((self.loop.now, self.loop.born, self.server.published, self.judge.steps)).encode())
        return seen.hexdigest()
