"""The services of the actors over the in-memory database: attempts, workers, timelines, commands, runs and the outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dialer.messages import CommandType, Event, RunChanged
from dialer.model import AttemptReason, AttemptState
from dialer.policy.checks import EXPIRY_SECONDS
from sql.attempts.attempts import ExcessCall, Fact, OpenAttempt
from sql.commands.commands import MAX_APPLIED_AT_ONCE, Answer, AppliedCommand
from sql.errors import RowLockedError
from sql.workers.workers import ActiveBusiness, PartitionOwner, Renewal
from tests.simulation import changing, claiming, commanding, recording
from tests.simulation.network import StatementError
from tests.simulation.recording import CONFUSED
from tests.simulation.rows import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from uuid import UUID

    from dialer.messages import Command
    from dialer.streams.relay_script import Topic
    from sql.attempts.attempts import ClaimedAttempt, ClaimRequest, RecordResult, Verdict
    from sql.commands.commands import MalformedCommand
    from sql.timelines.timelines import OrphanedCall, Timeline
    from sql.workers.workers import Stall
    from tests.simulation.network import Link
    from tests.simulation.rows import Attempt, Database

LIMIT = 100
MAX_CHECKS = 1000


class FakeStore:
    """A client of the database; `locked` is the probability that another session has locked a row it needs."""

    def __init__(self, db: Database, link: Link) -> None:
        self.db = db
        self.link = link
        self.locked = 0.0

    def held(self) -> frozenset[int]:
        """The businesses whose lanes another session has locked at this moment."""
        if not self.locked:
            return frozenset()
        return frozenset(business_id for business_id in self.db.lanes if self.link.chance.hits(self.locked))

    def wait_for_lock(self) -> None:
        """Wait for a lock, as a statement without SKIP LOCKED does; sometimes it times out."""
        if self.locked and self.link.chance.hits(self.locked / 4):
            raise StatementError(RowLockedError())


class FakeAttempts(FakeStore):
    """`sql.attempts.attempts.Attempts`."""

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
        committed: Callable[[], None] = lambda: None,
    ) -> tuple[list[ClaimedAttempt], list[Verdict]]:
        def statement() -> tuple[list[ClaimedAttempt], list[Verdict]]:
            parameters = claiming.Claim(incarnation, token, send_seconds, ring_seconds, default_account, max_minutes, self.held())
            return claiming.claim(self.db, requests, parameters)

        found: tuple[list[ClaimedAttempt], list[Verdict]] = await self.link.ask(statement)
        committed()
        if found[0]:
            await self.link.ask(lambda: None)  # the flush
        return found

    async def record(self, facts: Sequence[Fact], committed: Callable[[], None] = lambda: None) -> list[RecordResult]:
        found: list[RecordResult] = await self.link.ask(lambda: recording.record(self.db, facts, self.held()))
        committed()
        await self.link.ask(lambda: None)  # the flush
        return found

    async def open_of_partitions(self, partitions: Sequence[int]) -> list[OpenAttempt]:
        def statement() -> list[OpenAttempt]:
            asked = set(partitions)
            held = {i for lane in self.db.lanes.values() if lane.partition in asked for i in lane.inflight}
            excess = {a.id for a in self.db.attempts.values() if a.excess and a.open and self.db.lanes[a.business_id].partition in asked}
            return [self._open(self.db.attempts[i]) for i in sorted(held | excess)]

        found: list[OpenAttempt] = await self.link.ask(statement)
        return found

    async def states(self, attempts: Sequence[tuple[int, int]]) -> list[OpenAttempt]:
        found: list[OpenAttempt] = await self.link.ask(lambda: [self._open(self.db.attempts[i]) for _, i in attempts])
        return found

    async def lost_claim(self, business_ids: Sequence[int], token: UUID) -> list[tuple[int, int, str]]:
        def statement() -> list[tuple[int, int, str]]:
            rows = [self.db.attempts[i] for b in business_ids for i in self.db.lanes[b].inflight]
            return [(a.business_id, a.id, a.nonce) for a in rows if a.token == str(token) and a.state is AttemptState.PLACING]

        found: list[tuple[int, int, str]] = await self.link.ask(statement)
        return found

    async def placing_of_run(self, business_id: int, run_id: int) -> list[tuple[Fact, bool, bool]]:
        def statement() -> list[tuple[Fact, bool, bool]]:
            now, unknown = self.db.clock(), AttemptState.UNKNOWN
            rows = [self.db.attempts[i] for i in self.db.lanes[business_id].inflight]
            return [
                (
                    Fact(business_id, a.id, a.nonce, unknown, reason=AttemptReason.EXPIRED),
                    a.state is unknown,
                    now > a.send_by + EXPIRY_SECONDS,
                )
                for a in rows
                if a.run_id == run_id and a.state in {AttemptState.PLACING, unknown}
            ]

        found: list[tuple[Fact, bool, bool]] = await self.link.ask(statement)
        return found

    async def postpone_check(self, attempt: OpenAttempt, seconds: float, evidence: dict[str, Any] | None = None) -> None:
        def statement() -> None:
            row = self.db.attempts[attempt.attempt_id]
            if row.state is attempt.state:
                row.next_check_at, row.checks = self.db.clock() + seconds, min(row.checks + 1, MAX_CHECKS)
                confused = {CONFUSED: True} if CONFUSED in (row.evidence or {}) else {}
                row.evidence = row.evidence if evidence is None else {**evidence, **confused}

        await self.link.ask(statement)

    async def rivals(self, attempt: OpenAttempt) -> int:
        def statement() -> int:
            rows = [self.db.attempts[i] for lane in self.db.lanes.values() for i in lane.inflight if i != attempt.attempt_id]
            waiting = {AttemptState.PLACING, AttemptState.UNKNOWN}
            same = (attempt.phone, attempt.from_number, attempt.account_sid)
            return sum(1 for a in rows if (a.phone, a.from_number, a.account_sid) == same and a.state in waiting)

        return int(await self.link.ask(statement))

    async def bound(self, sids: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = await self.link.ask(lambda: {sid: self.db.sids[sid] for sid in sids if sid in self.db.sids})
        return found

    async def withdraw(self, business_id: int, attempt_id: int) -> None:  # noqa: ARG002 ids are unique here
        def statement() -> None:
            row = self.db.attempts[attempt_id]
            row.withdrawn = row.withdrawn or row.state in {AttemptState.UNKNOWN, AttemptState.PLACED}

        await self.link.ask(statement)

    async def excess_calls(self, partitions: Sequence[int]) -> list[ExcessCall]:
        def statement() -> list[ExcessCall]:
            rows = [(sid, self.db.attempts[self.db.sids[sid]]) for sid in sorted(self.db.excess_live)]
            asked = set(partitions)
            return [
                ExcessCall(a.business_id, a.id, a.account_sid, sid) for sid, a in rows if self.db.lanes[a.business_id].partition in asked
            ]

        found: list[ExcessCall] = await self.link.ask(statement)
        return found

    async def excess_over(self, business_id: int, sid: str) -> None:  # noqa: ARG002 sids are unique here
        await self.link.ask(lambda: self.db.excess_live.discard(sid))

    def _open(self, a: Attempt) -> OpenAttempt:
        now = self.db.clock()
        return OpenAttempt(
            a.business_id, a.id, a.run_id, a.job_id, a.state, a.nonce, a.token, a.sid, a.phone, a.from_number, a.account_sid,  # type: ignore[arg-type]
            moment(a.send_by), moment(a.created_at), moment(now), max((a.next_check_at or now) - now, 0.0),
            a.checks, a.hang_up_at is not None,
            self.db.lanes[a.business_id].partition, a.evidence,
        )  # fmt: skip


class FakeWorkers(FakeStore):
    """`sql.workers.workers.Workers`."""

    async def join(self, incarnation: UUID, name: str, lease_seconds: float) -> None:  # noqa: ARG002
        await self.link.ask(lambda: commanding.join(self.db, incarnation, lease_seconds))

    async def renew(self, incarnation: UUID, lease_seconds: float) -> Renewal:
        def statement() -> Renewal:
            alive = commanding.lives(self.db, incarnation)
            if alive and self.locked and self.link.chance.hits(self.locked):
                return Renewal(None, self.db.clock())
            return Renewal(commanding.renew(self.db, incarnation, lease_seconds), self.db.clock())

        found: Renewal = await self.link.ask(statement)
        return found

    async def step_down(self, incarnation: UUID) -> None:
        await self.link.ask(lambda: self.db.leaving.add(incarnation))

    async def leave(self, incarnation: UUID) -> None:
        await self.link.ask(lambda: commanding.leave(self.db, incarnation))

    async def live(self) -> list[UUID]:
        found: list[UUID] = await self.link.ask(
            lambda: sorted(w for w in self.db.workers if commanding.lives(self.db, w) and w not in self.db.leaving)
        )
        return found

    async def holdings(self) -> list[PartitionOwner]:
        def statement() -> list[PartitionOwner]:
            now = self.db.clock()
            return [
                PartitionOwner(n, p.owner, p.epoch, commanding.lives(self.db, p.owner), now - p.taken_at)
                for n, p in enumerate(self.db.partitions)
            ]

        found: list[PartitionOwner] = await self.link.ask(statement)
        return found

    async def take_over(self, incarnation: UUID, partitions: Sequence[int]) -> dict[int, int]:
        found: dict[int, int] = await self.link.ask(lambda: commanding.take_over(self.db, incarnation, partitions))
        return found

    async def give_back(self, incarnation: UUID, partitions: Sequence[int]) -> None:
        await self.link.ask(lambda: commanding.give_back(self.db, incarnation, partitions))

    async def stalls(self, incarnation: UUID, stalls: Sequence[Stall]) -> None:
        """What the pages say of a business; nothing in a schedule reads it."""
        await self.link.ask(lambda: (incarnation, stalls))

    async def heartbeat(self, incarnation: UUID, name: str, older_than_seconds: float, businesses: Sequence[int]) -> int:
        def statement() -> int:
            beaten, now = 0, self.db.clock()
            for run in self.db.runs.values():
                mine = run.business_id in businesses and self.db.partitions[self.db.lanes[run.business_id].partition].owner == incarnation
                if mine and run.status == "running" and run.started and (run.locked_at < now - older_than_seconds or run.locked_by != name):
                    run.locked_by, run.locked_at, beaten = name, now, beaten + 1
            return beaten

        return int(await self.link.ask(statement))

    async def busy_businesses(self, partitions: Sequence[int]) -> list[ActiveBusiness]:
        def statement() -> list[ActiveBusiness]:
            db, asked = self.db, set(partitions)
            excess = {a.business_id for a in db.attempts.values() if a.excess and a.open}
            busy = [
                b for b, lane in db.lanes.items() if lane.partition in asked
                and (lane.inflight or b in excess or any(r.status == "running" and r.started for r in db.runs_of[b]))
            ]  # fmt: skip
            return [self._driven(b) for b in busy]

        found: list[ActiveBusiness] = await self.link.ask(statement)
        return found

    async def business(self, business_id: int) -> ActiveBusiness | None:
        found: ActiveBusiness | None = await self.link.ask(lambda: self._driven(business_id))
        return found

    async def progress(self, runs: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.link.ask(
            lambda: [{"business_id": b, "run_id": r, "status": self.db.runs[r].status} for b, r in runs]
        )
        return found

    async def on_the_line(self, runs: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:  # noqa: ARG002
        found: list[dict[str, Any]] = await self.link.ask(list)
        return found

    async def pause(self, business_id: int, run_id: int, reason: str, cause: Mapping[str, object]) -> None:
        def statement() -> None:
            self.wait_for_lock()
            commanding.pause_refused(self.db, business_id, run_id, reason, cause)

        await self.link.ask(statement)

    def _driven(self, business_id: int) -> ActiveBusiness:
        lane = self.db.lanes[business_id]
        return ActiveBusiness(business_id, lane.partition, lane.account_sid, [], lane.caller_ids, lane.max_calls)


class FakeTimelines(FakeStore):
    """`sql.timelines.timelines.Timelines`: the database of a schedule has one timeline, and forgets nothing."""

    async def present(self, business_id: int, shown_after_seconds: float) -> Timeline | None:
        raise AssertionError(business_id, shown_after_seconds)

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
    ) -> int | None:
        raise AssertionError(incarnation, epoch, business_id, timeline, calls, ring_seconds, max_minutes, account_sid)


class FakeCommands(FakeStore):
    """`sql.commands.commands.Commands`."""

    async def apply(self, command: Command) -> Answer:
        def statement() -> Answer:
            self.wait_for_lock()
            return Answer.of(commanding.command(self.db, command))

        found: Answer = await self.link.ask(statement)
        return found

    async def start_due(self, command: Command, at: int) -> Answer:
        def statement() -> Answer:
            busy = {"accepted": False, "code": "busy"}
            return Answer.of(busy if command.business_id in self.held() else changing.start_due(self.db, command, at))

        found: Answer = await self.link.ask(statement)
        return found

    async def position(self) -> str:
        return str(await self.link.ask(lambda: self.db.position))

    async def receive(self, start: str, end: str, entries: Sequence[Command | MalformedCommand]) -> bool:
        return bool(await self.link.ask(lambda: commanding.receive(self.db, start, end, entries)))

    async def waiting(self, but: Sequence[int] = ()) -> list[int]:
        found: list[int] = await self.link.ask(lambda: commanding.waiting(self.db, LIMIT, but))
        return found

    async def apply_received(self, business_id: int) -> tuple[list[AppliedCommand], bool]:
        def statement() -> tuple[list[AppliedCommand], bool]:
            if business_id in self.held():
                return [], True
            rows = commanding.apply_received(self.db, business_id, MAX_APPLIED_AT_ONCE)
            applied = [
                AppliedCommand(RunChanged(business_id, row.run_id, CommandType(row.type), row.job_id, row.hang_up), Answer.of(found))
                for row, found in rows
            ]
            return applied, False

        found: tuple[list[AppliedCommand], bool] = await self.link.ask(statement)
        return found

    async def forget(self, limit: int) -> int:  # noqa: ARG002
        """Nothing is old enough in a schedule."""
        return 0


class FakeOutbox(FakeStore):
    """`sql.outbox.outbox.Outbox`."""

    async def next(self, limit: int, without: Collection[Topic] = ()) -> list[Event]:
        def statement() -> list[Event]:
            rows = [s for s in sorted(self.db.outbox) if (self.db.outbox[s].business_id, self.db.outbox[s].run_id) not in without][:limit]
            found = [self.db.outbox[serial] for serial in rows]
            return [
                Event(t.type, t.business_id, t.run_id, t.job_id, t.command_id, at=moment(t.at), data=dict(t.data), serial=t.serial)
                for t in found
            ]

        found: list[Event] = await self.link.ask(statement)
        return found

    async def delete(self, serials: list[int]) -> None:
        def statement() -> None:
            for serial in serials:
                self.db.outbox.pop(serial, None)

        await self.link.ask(statement)
