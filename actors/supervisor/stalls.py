"""Reports why no lead of a business is claimed: what this worker knows of it, written to PostgreSQL for the pages.

Written only when a reason changes. A reason that passes by itself in a moment is not written at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dialer.concurrency.loop import Loop
from sql.attempts.verdicts import VerdictCode
from sql.workers.workers import Stall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from actors.services import Services

PAUSE_SECONDS = 1.0
# A partition that changes hands brings its rows along, so write all reasons this often even if none has changed.
WRITE_ALL_EVERY_ROUNDS = 10

ACCOUNT, HISTORY, BUSY, PARKED, CLOCK, PACED = "account", "history", "busy", "parked", "clock", "paced"
DETAILS = {
    ACCOUNT: "The credentials of the account cannot be opened with this SECRET_KEY.",
    HISTORY: "The database has been restored or failed over: its calls are compared with the provider's before the next lead is taken.",
    BUSY: "Another program holds a row of this business or of its run in the database.",
    PARKED: "Taking a lead fails with an error of this business alone; it is tried again every 30 seconds. The log has the error.",
    CLOCK: "The clock of the database has jumped.",
    PACED: "It waits for its turn: calls of its provider account are placed at a limited pace.",
}
# Rows are locked for milliseconds all the time, and a turn comes within seconds.
REPORT_AFTER_SECONDS = {BUSY: 3.0, PACED: 3.0}
# Verdicts of a claim that say nothing about the business.
NEUTRAL = frozenset({VerdictCode.AWAY, VerdictCode.NOT_OWNER})
REASONS = {VerdictCode.UNLISTED: HISTORY, VerdictCode.BUSY: BUSY, VerdictCode.PARKED: PARKED}


@dataclass(frozen=True, slots=True)
class _Reason:
    code: str
    since: float


class StallReporter:
    """The stalled businesses of this worker, each with one reason at most."""

    def __init__(self, services: Services, claiming: Callable[[], Iterable[int]], paced: Callable[[], Mapping[int, float]]) -> None:
        """`claiming` returns the businesses that this worker claims leads for, `paced` those that wait for a permit, each since when."""
        self._services = services
        self._claiming = claiming
        self._paced = paced
        self._reasons: dict[int, _Reason] = {}
        # None: not known.
        self._written: dict[int, str] | None = None
        self._rounds = 0
        self.loop = Loop("stalls", self._write_changes, pause=PAUSE_SECONDS)

    def note(self, business_id: int, reason: str) -> bool:
        """No lead of it is claimed, for this reason; True when the reason is new."""
        known = self._reasons.get(business_id)
        if known is not None and known.code == reason:
            return False
        self._reasons[business_id] = _Reason(reason, self._services.clock.boot())
        return True

    def clear(self, business_id: int) -> None:
        """Its leads are claimed, or it is not this worker's any more."""
        self._reasons.pop(business_id, None)

    def note_verdict(self, business_id: int, verdict: VerdictCode) -> None:
        """A claim for it had this verdict."""
        if verdict in REASONS:
            self.note(business_id, REASONS[verdict])
        elif verdict not in NEUTRAL:
            self.clear(business_id)

    async def _write_changes(self) -> None:
        stalls = self._stalls()
        reasons = {stall.business_id: stall.reason for stall in stalls}
        self._rounds += 1
        if reasons == self._written and self._rounds % WRITE_ALL_EVERY_ROUNDS:
            return
        self._written = None
        await self._services.workers.stalls(self._services.ownership.incarnation, stalls)
        self._written = reasons

    def _stalls(self) -> list[Stall]:
        now, trusted_from = self._services.clock.boot(), self._services.ownership.clock_trusted_from
        paced = {business_id: _Reason(PACED, since) for business_id, since in self._paced().items()}
        current = paced | self._reasons
        if now < trusted_from:
            jumped_at = trusted_from - self._services.policy.lag_seconds
            current |= {business_id: _Reason(CLOCK, jumped_at) for business_id in self._claiming()}
        return [
            Stall(business_id, reason.code, DETAILS[reason.code], now - reason.since)
            for business_id, reason in sorted(current.items())
            if now - reason.since >= REPORT_AFTER_SECONDS.get(reason.code, 0.0)
        ]
