"""The simulator: its call log, its faults, its numbers, and a reset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from telephony.simulator.accounts.account_pace import AccountPace
from telephony.simulator.call_log import INBOUND, Call, CallLog
from telephony.simulator.deliveries import Deliveries
from telephony.simulator.faults import NONE, Faults
from telephony.simulator.scenarios import Course, Plan, Scenario, plan, plan_course
from telephony.simulator.summary import Summary, summarize
from telephony.simulator.switchboard import Switchboard
from telephony.simulator.voice.voice_services import VoiceServices

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from dialer.clock import Clock, Ids
    from telephony.simulator.background_tasks import BackgroundTasks
    from telephony.simulator.call_log import ReceivedRequest
    from telephony.simulator.webhooks import Webhooks


# Twilio's default.
INBOUND_SECONDS: Final = 4 * 3600


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The address others reach the simulator at, if it is not the one it serves on; whether callbacks may go to private hosts."""

    public_url: str | None = None
    private_hosts: bool = True


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
        self.accounts = webhooks.accounts
        self.pace = AccountPace()
        self.settings = ServerSettings()
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
        voice = VoiceServices(self.call_log, webhooks, tasks, ids, self.course, lambda: self.address, speed)
        self.switchboard = Switchboard(voice, self._deliveries)
        self._numbers: dict[str, tuple[Course, ...]] = {}
        self._faults_from = 0
        self.set_faults(NONE)

    @property
    def address(self) -> str:
        """The address that the simulator names itself by."""
        return self.settings.public_url or self.url

    @property
    def faults(self) -> Faults:
        """The faults injected now."""
        return self._faults

    def set_faults(self, faults: Faults) -> None:
        """Replace the faults, from the next request on."""
        self._faults = self._deliveries.faults = faults
        self._faults_from = len(self.call_log.received)

    def set_number(self, to: str, courses: Sequence[Scenario | Course]) -> None:
        """Set how the calls to one number go: one course per call, the last of them for all later ones; none: as all others."""
        self._numbers.pop(to, None)
        if courses:
            self._numbers[to] = tuple(Course(scenario=course) if isinstance(course, Scenario) else course for course in courses)

    def strikes(self, fault: str, received: ReceivedRequest) -> bool:
        """True when a fault is injected into this request for a call."""
        since = received.number - self._faults_from
        return since < self._faults.first_requests and self._faults.hits(fault, self.seed, received.to, received.number)

    def course(self, to: str) -> Plan:
        """How the next call to a number goes."""
        nth = self.call_log.nth(to)
        own = self._numbers.get(to)
        if own is None:
            return plan(self.scenario, self.seed, to, nth)
        return plan_course(own[min(nth, len(own) - 1)], self.scenario, self.seed, to, nth)

    def call_back(self, account: str, from_: str, to: str, url: str) -> Call:
        """Let a person call one of the account's numbers: an inbound call, which hears the script at `url`."""
        call = Call(
            sid=f"CA{self.ids.nonce()}",
            account=account,
            to=to,
            from_=from_,
            url=url,
            twiml=None,
            status_callback=None,
            events=frozenset(),
            ring_timeout_seconds=0,
            time_limit_seconds=INBOUND_SECONDS,
            machine_detection=None,
            plan=self.course(from_),
            created_at=self.clock.now(),
            opened=0,
            direction=INBOUND,
        )
        self.call_log.open(call)
        self.switchboard.connect(call)
        return call

    def shown_before(self) -> datetime:
        """The time after which calls are not listed yet."""
        return self.clock.now() - timedelta(seconds=self._faults.listing_lag_seconds)

    @property
    def ahead(self) -> timedelta:
        """How far ahead of ours the provider's clock is in its answers."""
        return timedelta(seconds=self._faults.clock_ahead_seconds)

    def summary(self, after: datetime | None = None) -> Summary:
        """Recount the call log; see `summarize`."""
        return summarize(self.call_log, after, listings=self.listings, fetches=self.fetches)

    def reset(self) -> None:
        """Start from scratch: calls end without callbacks, the log is empty, no faults, no courses for numbers, the first accounts."""
        self.tasks.cancel_all()
        self.switchboard.clear()
        self._deliveries.clear()
        self.call_log.clear()
        self._numbers.clear()
        self.listings = self.fetches = 0
        self.accounts.reset()
        self.pace.clear()
        self.set_faults(NONE)
