"""Twilio's client keeps the promises of a provider, against the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from pydantic import SecretStr

from dialer.clock import SystemClock
from telephony import simulator
from telephony.conformance import SILENCE_SECONDS, Line, ProviderPromises, Trouble
from telephony.provider import Account
from telephony.simulator import Course, Faults, Scenario
from telephony.twilio.client import TwilioProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SPEED: Final = 50.0
TALK_SECONDS: Final = 50_000.0
TROUBLES: Final[dict[Trouble, Faults]] = {
    "none": Faults(),
    "throttled": Faults(throttle=1, retry_after_seconds=7),
    "error before": Faults(error_before=1),
    "error after": Faults(error_after=1, error_status=500),
    "drop before": Faults(drop_before=1),
    "drop after": Faults(drop_after=1),
    "garbled": Faults(garble=1),
    "silent": Faults(delay_answer=1, delay_answer_seconds=SILENCE_SECONDS),
    "asking fails": Faults(ask_error=1),
    "account refused": Faults(refuse_before=1, refuse_code=21205),
    "foreign before": Faults(refuse_before=1, refuse_status=403, refuse_body="html"),
    "foreign after": Faults(refuse_after=1, refuse_status=403, refuse_body="html"),
    "forgotten": Faults(forget=1),
}


class SimulatedLine(Line):
    """The simulator at the far end."""

    def __init__(self, sim: simulator.Simulator, provider: TwilioProvider) -> None:
        self.provider = provider
        self.clock = SystemClock()
        self.account = Account(simulator.TEST_ACCOUNT, SecretStr(simulator.TEST_TOKEN))
        self.wrong_account = Account(simulator.TEST_ACCOUNT, SecretStr("not the token"))
        self._simulator = sim

    def answers(self, to: str, how: str) -> None:
        # A slow call talks until it is ended, or its time limit: on a machine that stands still it would be over before it is listed.
        self._simulator.set_number(to, [Course(scenario=Scenario(how), talk_seconds=TALK_SECONDS if how == Scenario.SLOW else None)])

    def trouble(self, kind: Trouble) -> None:
        self._simulator.set_faults(TROUBLES[kind])

    def calls(self, to: str) -> Sequence[str]:
        return [call.sid for call in self._simulator.call_log.calls.values() if call.to == to]

    async def until(self, sid: str, statuses: frozenset[str]) -> None:
        await self._simulator.call_log.until(lambda log: log.calls[sid].status in statuses)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    async with simulator.running(scenario="answer", speed=SPEED) as sim:
        provider = TwilioProvider(sim.url, SystemClock())
        yield SimulatedLine(sim, provider)
        await provider.close()


class TestTwilioKeepsThem(ProviderPromises):
    """The promises, one test each."""
