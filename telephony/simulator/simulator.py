"""The simulator: its call log, its faults, its numbers, and a reset."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from telephony.simulator.call_log import CallLog
from telephony.simulator.deliveries import Deliveries
from telephony.simulator.faults import NONE, Faults
from telephony.simulator.scenarios import Plan, Scenario, plan
from telephony.simulator.summary import Summary, summarize
from telephony.simulator.switchboard import Switchboard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from dialer.clock import Clock, Ids
    from telephony.simulator.background_tasks import BackgroundTasks
    from telephony.simulator.call_log import ReceivedRequest
    from telephony.simulator.webhooks import Webhooks


class Simulator:
    """The object behind the API and the control API; tests in the same process may use it directly."""

    def __init__(
        self,
        *,
        clock: Clock,
        ids: Ids,
        tasks: BackgroundTasks,
        webhooks: Webhooks,
        seed: int,
        scenario: Scenario,
        speed: float,
        call_log_file: Path | None,
    ) -> None:
        self.url = ""
        self.clock = clock
        self.ids = ids
        self.seed = seed
        self.scenario = scenario
        # How many lists, and how many single calls, have been requested.
        self.listings = 0
        self.fetches = 0
        self.tasks = tasks
        self.call_log = CallLog(clock, call_log_file)
        self._deliveries = Deliveries(webhooks, tasks, self.call_log, clock, seed)
        self.switchboard = Switchboard(self.call_log, self._deliveries, webhooks, tasks, speed)
        self._numbers: dict[str, tuple[Scenario, ...]] = {}
        self._faults_from = 0
        self.set_faults(NONE)

    @property
    def faults(self) -> Faults:
        """The faults injected now."""
        return self._faults

    def set_faults(self, faults: Faults) -> None:
        """Replace the faults, from the next request on."""
        self._faults = self._deliveries.faults = faults
        self._faults_from = len(self.call_log.received)

    def set_number(self, to: str, scenarios: Sequence[Scenario]) -> None:
        """Set how the calls to one number go: one scenario per call, the last of them for all later ones; none: as all others."""
        self._numbers.pop(to, None)
        if scenarios:
            self._numbers[to] = tuple(scenarios)

    def strikes(self, fault: str, received: ReceivedRequest) -> bool:
        """True when a fault is injected into this request for a call."""
        since = received.number - self._faults_from
        return since < self._faults.first_requests and self._faults.hits(fault, self.seed, received.to, received.number)

    def course(self, to: str) -> Plan:
        """How the next call to a number goes."""
        nth = self.call_log.nth(to)
        own = self._numbers.get(to)
        return plan(own[min(nth, len(own) - 1)] if own else self.scenario, self.seed, to, nth)

    def shown_before(self) -> datetime:
        """The time after which calls are not listed yet."""
        return self.clock.now() - timedelta(seconds=self._faults.listing_lag_seconds)

    @property
    def ahead(self) -> timedelta:
        """How far ahead of ours the provider's clock is in its answers."""
        return timedelta(seconds=self._faults.clock_ahead_seconds)

    def summary(self, after: datetime | None = None) -> Summary:
        """Recount the call log; see `summarize`."""
        return summarize(self.call_log, after)

    def reset(self) -> None:
        """Start from scratch: calls end without callbacks, the log is empty, there are no faults and no scenarios for numbers."""
        self.tasks.cancel_all()
        self.switchboard.clear()
        self._deliveries.clear()
        self.call_log.clear()
        self._numbers.clear()
        self.set_faults(NONE)
