"""The lists of live calls: a business whose facts cannot be recorded does not delay the others of its account."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from pydantic import SecretStr

from actors.calls.live_calls import LiveCalls
from dialer.clock import SystemClock
from dialer.concurrency.tasks import Tasks
from dialer.model import AttemptState
from sql.attempts.attempts import OpenAttempt
from sql.attempts.verdicts import RecordVerdict
from telephony.provider import Account, CallFacts, LiveListing

if TYPE_CHECKING:
    from actors.calls.call import Call
    from actors.services import Services
    from sql.attempts.attempts import Fact

ACCOUNT = Account("AC" + "0" * 32, SecretStr("x"))
HELD, FREE = 1, 2
ROUNDS = 10
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Followed:
    """A call that counts how often it is to ask the provider."""

    def __init__(self) -> None:
        self.checks = 0

    def check_now(self) -> None:
        self.checks += 1

    def confirm(self) -> None:
        pass


def attempt(number: int, state: AttemptState) -> OpenAttempt:
    """The only attempt of business `number`."""
    return OpenAttempt(
        business_id=number, attempt_id=number, run_id=number, job_id=number, state=state, nonce="n", token=UUID(int=number),
        sid=f"CA{number}", phone="+972501234567", from_number="+97225551234", account_sid=ACCOUNT.sid, send_by=NOW,
        created_at=NOW - timedelta(seconds=30), as_of=NOW, check_in=0.0, checks=0, hang_up=False, partition=0,
    )  # fmt: skip


class Floor:
    """One account, two businesses; facts of the first cannot be recorded, since its rows are locked."""

    def __init__(self) -> None:
        self.live = {"CA1", "CA2"}
        self.lists = 0
        self.recorded: list[Fact] = []
        self.calls = {HELD: Followed(), FREE: Followed()}
        self.held = asyncio.Event()

    async def list_live(self, _account: Account) -> LiveListing:
        self.lists += 1
        nothing = dict.fromkeys(("created_at", "started_at", "ended_at", "duration_seconds", "answered_by"))
        calls = [CallFacts(sid=sid, status="in-progress", to="", from_="", **cast("Any", nothing)) for sid in sorted(self.live)]
        return LiveListing(tuple(calls), complete=True)

    async def record(self, fact: Fact) -> SimpleNamespace:
        self.recorded.append(fact)
        await self.held.wait()
        return SimpleNamespace(hang_up=False, sid=None, verdict=RecordVerdict.APPLIED)

    async def open_of_partitions(self, _partitions: list[int]) -> list[OpenAttempt]:
        return [attempt(HELD, AttemptState.RINGING), attempt(FREE, AttemptState.LIVE)]

    def services(self) -> Services:
        services = SimpleNamespace(
            ownership=SimpleNamespace(epochs={0: 1}),
            attempts=self,
            provider=self,
            facts=self,
            accounts=SimpleNamespace(of=lambda _business, _sid: ACCOUNT),
            clock=SystemClock(),
        )
        return cast("Services", services)


async def test_a_fact_that_cannot_be_recorded_delays_no_other_business() -> None:
    floor, tasks = Floor(), Tasks()
    rounds = LiveCalls(floor.services(), cast("dict[int, Call]", floor.calls), tasks)
    for number in range(ROUNDS):
        await rounds.round()
        for _ in range(5):
            await asyncio.sleep(0)
        if number == 0:
            # The call of the other business ends, and its callback gets lost.
            floor.live.discard("CA2")
    assert floor.lists == ROUNDS
    assert floor.calls[FREE].checks == ROUNDS - 1
    assert [fact.attempt_id for fact in floor.recorded] == [HELD], "one pending fact is enough, however many lists repeat it"
    floor.held.set()
    await tasks.finish(10.0)
    assert len(tasks) == 0
