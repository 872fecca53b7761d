"""What a worker measures: claims, calls, what the provider refuses, the pace, its lease."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Histogram

from dialer.watch.process_metrics import ProcessMetrics, begin
from sql.attempts.verdicts import VerdictCode
from telephony.provider import PlacedCall, RefusedCall, UnansweredCall, UnsentCall
from telephony.refusals import CODES, Action

if TYPE_CHECKING:
    from telephony.provider import PlaceResult

# Seconds; a claim takes milliseconds, and is given up after 17 s.
CLAIM_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
KNOWN_CODES: Final = frozenset(str(rule.code) for rule in CODES)
# The labels of refusals that have no code of the table.
ANOTHER, THROTTLED, FOREIGN, NO_ANSWER = "another", "throttled", "foreign", "no_answer"
PLACED, REFUSED, UNSENT, UNANSWERED = "placed", "refused", "unsent", "unanswered"
NO_STATE: Final = "no_answer"


class WorkerMetrics(ProcessMetrics):
    """The metrics of one worker."""

    def __init__(self) -> None:
        super().__init__()
        self.claims = Counter("worker_claims", "Businesses that were claimed for, by verdict.", ["verdict"], registry=self.registry)
        self.claim_seconds = Histogram("worker_claim_seconds", "Time of a claim.", registry=self.registry, buckets=CLAIM_BUCKETS)
        self.leads = Counter("worker_leads_claimed", "Leads taken from the queue, each with its slot.", registry=self.registry)
        self.posts = Counter("worker_posts", "Requests to place a call, by result.", ["result"], registry=self.registry)
        self.refusals = Counter("worker_refusals", "Calls the provider did not take.", ["rule", "action"], registry=self.registry)
        self.checks = Counter("worker_reconciliations", "Checks of silent calls with the provider.", ["state"], registry=self.registry)
        self.permits = Counter("worker_permits", "Permits to place a call, by who keeps the pace.", ["source"], registry=self.registry)
        self.pauses = Counter("worker_account_pauses", "Times the calls of an account were paused.", registry=self.registry)
        self.failures = Counter("worker_duty_failures", "Duties that failed, and were restarted.", ["duty"], registry=self.registry)
        begin(self.claims, VerdictCode)
        begin(self.posts, (PLACED, REFUSED, UNSENT, UNANSWERED))
        begin(self.permits, ("redis", "alone"))
        for rule in CODES:
            self.refusals.labels(str(rule.code), rule.action)
        self.refusals.labels(ANOTHER, Action.ACCOUNT)
        self.refusals.labels(THROTTLED, Action.WAIT)
        for rule_name in (FOREIGN, NO_ANSWER):
            self.refusals.labels(rule_name, Action.UNKNOWN)

    def count_claim(self, verdicts: list[VerdictCode], leads: int, seconds: float) -> None:
        """Count a claim that was answered after `seconds`: a verdict for each of its businesses, and the leads it took."""
        self.claim_seconds.observe(seconds)
        self.leads.inc(leads)
        for verdict in verdicts:
            self.count_verdict(verdict)

    def count_verdict(self, verdict: VerdictCode, businesses: int = 1) -> None:
        """Count businesses whose claim had this verdict."""
        self.claims.labels(verdict).inc(businesses)

    def count_post(self, result: PlaceResult) -> None:
        """Count the result of a request to place a call, and why the provider did not take it."""
        match result:
            case PlacedCall():
                self.posts.labels(PLACED).inc()
            case RefusedCall(code=code, action=action):
                self.posts.labels(REFUSED).inc()
                self.refusals.labels(str(code) if str(code) in KNOWN_CODES else ANOTHER, action).inc()
            case UnsentCall(throttled=throttled):
                self.posts.labels(UNSENT).inc()
                if throttled:
                    self.refusals.labels(THROTTLED, Action.WAIT).inc()
            case UnansweredCall(foreign=foreign):
                self.posts.labels(UNANSWERED).inc()
                self.refusals.labels(FOREIGN if foreign else NO_ANSWER, Action.UNKNOWN).inc()

    def count_check(self, state: str | None) -> None:
        """Count a check with the provider, and the state it found; None: no answer that proves anything."""
        self.checks.labels(state or NO_STATE).inc()

    def count_failure(self, duty: str) -> None:
        """Count a failed duty; those of one account are counted together."""
        self.failures.labels(duty.split(" of ", 1)[0]).inc()
