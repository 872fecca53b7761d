"""What the web process does, as far as it matters here: callbacks are applied, the owner is notified, people send commands."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from dialer.messages import CallChanged, Command, CommandType, RunChanged
from dialer.model import AttemptState
from sql.attempts.attempts import Fact
from sql.attempts.fact_writer import NotRecordedError
from sql.attempts.verdicts import RecordVerdict
from sql.errors import DatabaseUnavailableError
from telephony.twilio.callbacks import STATES
from tests.simulation.fake_twilio import DELIVERIES, TERMINAL
from tests.simulation.loop import pause

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from sql.attempts.fact_writer import FactWriter
    from tests.simulation.fake_redis import FakeStreams
    from tests.simulation.fake_store import FakeAttempts, FakeCommands
    from tests.simulation.fake_twilio import Entry, FakeTwilio
    from tests.simulation.judge import Judge
    from tests.simulation.loop import Process

WAIT_SECONDS, POLL_SECONDS = 8.0, 0.05
TRIES = 20
CLOSED = frozenset({AttemptState.OVER, AttemptState.NOT_SENT, AttemptState.NOT_PLACED})


class FakeWeb:
    """The web process."""

    def __init__(
        self,
        process: Process,
        twilio: FakeTwilio,
        facts: FactWriter,
        attempts: FakeAttempts,
        commands: FakeCommands,
        streams: FakeStreams,
        judge: Judge,
    ) -> None:
        self._process = process
        self._twilio = twilio
        self._facts = facts
        self._attempts = attempts
        self._commands = commands
        self._streams = streams
        self._judge = judge
        self._sent = 0

    def call_back(self, entry: Entry, status: str, sequence: int, nth: int) -> None:
        """A callback arrives."""
        self._process.spawn(self._apply(entry, status, sequence, nth))

    def receive(self, request: Coroutine[Any, Any, None]) -> None:
        """A request of a person arrives."""
        self._process.spawn(request)

    async def _apply(self, entry: Entry, status: str, sequence: int, nth: int) -> None:
        named = entry.reference
        state = STATES[status]
        fact = Fact(
            named.business_id, named.attempt_id, named.nonce, state, sid=entry.sid, sequence=sequence,
            outcome=status if status in TERMINAL else None, answered_by=entry.answered_by if status == "completed" else None,
            duration=entry.duration_seconds if status == "completed" else None,
            error_code=entry.error_code if status in TERMINAL else None,
        )  # fmt: skip
        try:
            result = await self._facts.record(fact)
        except NotRecordedError:
            # 503: the provider tries again.
            if nth < DELIVERIES:
                self._twilio.deliver(entry, status, sequence, nth + 1)
            return
        if status == "in-progress" and (result.hang_up or result.state in CLOSED):
            # The script that the call fetches would hang up at once; so does this.
            self._twilio.end(entry, "completed")
        if result.run_id is None or result.job_id is None or result.state is None or result.partition is None:
            return
        if result.verdict != RecordVerdict.KNOWN or result.hang_up:
            hint = CallChanged(
                named.business_id, result.run_id, result.job_id, named.attempt_id, result.state, result.sid, hang_up=result.hang_up,
                error_code=fact.error_code,
            )  # fmt: skip
            await self._streams.send_hint(result.partition, hint)

    async def send_command(
        self, business_id: int, kind: CommandType, run_id: int, *, job_id: int | None, hang_up: bool, wait: bool
    ) -> None:
        """A person's command, retried until it is answered; the judge gets the answer."""
        self._sent += 1
        command = Command(business_id, f"http:{self._sent}", kind, run_id, job_id, hang_up, "person")
        for _ in range(TRIES):
            try:
                answer = await self._commands.apply(command)
            except DatabaseUnavailableError:
                await pause(POLL_SECONDS)
                continue
            self._judge.answered(command, answer)
            if answer.accepted and answer.partition is not None:
                await self._streams.send_hint(answer.partition, RunChanged(business_id, run_id, kind, job_id, hang_up))
            if wait and answer.accepted and kind in {CommandType.CANCEL, CommandType.STOP}:
                await self._wait(business_id, run_id)
            return

    async def _wait(self, business_id: int, run_id: int) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while await self._being_placed(business_id, run_id):
                    await pause(POLL_SECONDS)
        except TimeoutError:
            pass
        except NotRecordedError:
            return
        except DatabaseUnavailableError:
            # 503: nothing was promised.
            return
        self._judge.waited(run_id)

    async def _being_placed(self, business_id: int, run_id: int) -> bool:
        found = await self._attempts.placing_of_run(business_id, run_id)
        expired = [fact for fact, unknown, past in found if past and not unknown]
        for fact in expired:
            await self._facts.record(fact)
        return any(not unknown for _, unknown, _ in found) and len(expired) < sum(not unknown for _, unknown, _ in found)
