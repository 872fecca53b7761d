"""The simulator as one thing: its ledger, its faults, its numbers, and a way to start it from scratch.

On the road of a call: stands where Twilio stands.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from telephony.simulator import judgement
from telephony.simulator.call_log import CallLog
from telephony.simulator.deliveries import Deliveries
from telephony.simulator.faults import NONE, Faults
from telephony.simulator.scenarios import Plan, Scenario, plan
from telephony.simulator.switchboard import Switchboard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from dialer.clock import Clock, Ids
    from telephony.simulator.call_log import ReceivedRequest
    from telephony.simulator.chores import Chores
    from telephony.simulator.webhooks import Webhooks


class Simulator:
    """Everything the API and the control API act on; tests in the same process may act on it themselves."""

    def __init__(
        self,
        *,
        clock: Clock,
        ids: Ids,
        chores: Chores,
        webhooks: Webhooks,
        seed: int,
        scenario: Scenario,
        speed: float,
        ledger_file: Path | None,
    ) -> None:
        self.url = ""
        self.clock = clock
        self.ids = ids
        self.seed = seed
        self.scenario = scenario
        # How many lists, and how often one call, has been asked for.
        self.listings = 0
        self.questions = 0
        self.chores = chores
        self.ledger = CallLog(clock, ledger_file)
        self._deliveries = Deliveries(webhooks, chores, self.ledger, clock, seed)
        self.switchboard = Switchboard(self.ledger, self._deliveries, webhooks, chores, speed)
        self._numbers: dict[str, tuple[Scenario, ...]] = {}
        self._faults_from = 0
        self.set_faults(NONE)

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose now."""
        return self._faults

    def set_faults(self, faults: Faults) -> None:
        """Let other things go wrong from the next request on; those not named stop."""
        self._faults = self._deliveries.faults = faults
        self._faults_from = len(self.ledger.received)

    def set_number(self, to: str, scenarios: Sequence[Scenario]) -> None:
        """Say how the calls to one number go: one scenario a call, the last of them for all later ones; none: as all others."""
        self._numbers.pop(to, None)
        if scenarios:
            self._numbers[to] = tuple(scenarios)

    def strikes(self, fault: str, received: ReceivedRequest) -> bool:
        """Say whether a fault strikes this request for a call."""
        since = received.number - self._faults_from
        return since < self._faults.first_requests and self._faults.hits(fault, self.seed, received.to, received.number)

    def course(self, to: str) -> Plan:
        """Draw how the next call to a number goes."""
        nth = self.ledger.nth(to)
        own = self._numbers.get(to)
        return plan(own[min(nth, len(own) - 1)] if own else self.scenario, self.seed, to, nth)

    def shown_before(self) -> datetime:
        """Give the time after which calls do not show yet."""
        return self.clock.now() - timedelta(seconds=self._faults.listing_lag_seconds)

    @property
    def ahead(self) -> timedelta:
        """How far the provider's clock is ahead of ours, in what it says."""
        return timedelta(seconds=self._faults.clock_ahead_seconds)

    def summary(self, after: datetime | None = None) -> judgement.Summary:
        """Recount the ledger; see `judgement.summary`."""
        return judgement.summary(self.ledger, after)

    def reset(self) -> None:
        """Start from scratch: every call is gone without a word, the ledger empty, no faults, no numbers of their own."""
        self.chores.cancel_all()
        self.switchboard.clear()
        self._deliveries.clear()
        self.ledger.clear()
        self._numbers.clear()
        self.set_faults(NONE)
