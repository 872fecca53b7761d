"""Why a business takes no lead: what this worker knows of it, written where the pages can read it.

Written only when a reason changes. A reason that passes by itself in a moment is not written at all.

On the road of a call: beside 3; what a person sees of a business that stands still.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.rounds import PeriodicDuty
from sql.workers.workers import Stall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.services import Services

ROUND_SECONDS = 1.0
# What changes hands brings its rows along: compared with what is known here so often, changed or not.
WHOLE_EVERY_ROUNDS = 10

ACCOUNT, HISTORY, BUSY, PARKED, CLOCK = "account", "history", "busy", "parked", "clock"
DETAILS = {
    ACCOUNT: "The auth token of the account cannot be opened with this SECRET_KEY.",
    HISTORY: "The database has been restored or failed over: its calls are compared with the provider's before the next lead is taken.",
    BUSY: "Another program holds a row of this business or of its run in the database.",
    PARKED: "Taking a lead fails with an error of this business alone; it is tried again every 30 seconds. The log has the error.",
    CLOCK: "The clock of the database has jumped.",
}
# Rows are locked for milliseconds all the time.
TOLD_AFTER_SECONDS = {BUSY: 3.0}
# Verdicts of a claim that say nothing of how the business stands.
SILENT = frozenset({"away", "not_owner"})
VERDICTS = {"unlisted": HISTORY, "busy": BUSY, "parked": PARKED}


@dataclass(frozen=True, slots=True)
class _Note:
    reason: str
    since: float


class Stalls(PeriodicDuty):
    """What this worker has noted, a reason a business at most."""

    def __init__(self, services: Services, driven: Callable[[], Iterable[int]]) -> None:
        """`driven` are the businesses this worker drives."""
        super().__init__("stalls", ROUND_SECONDS, self._round)
        self._services = services
        self._driven = driven
        self._noted: dict[int, _Note] = {}
        self._written: dict[int, str] | None = None
        self._rounds = 0

    def note(self, business_id: int, reason: str) -> bool:
        """It takes no lead, for this reason; True when that is new."""
        known = self._noted.get(business_id)
        if known is not None and known.reason == reason:
            return False
        self._noted[business_id] = _Note(reason, self._services.clock.boot())
        return True

    def clear(self, business_id: int) -> None:
        """It takes leads, or is not this worker's any more."""
        self._noted.pop(business_id, None)

    def note_verdict(self, business_id: int, verdict: str) -> None:
        """A claim was answered so."""
        if verdict in VERDICTS:
            self.note(business_id, VERDICTS[verdict])
        elif verdict not in SILENT:
            self.clear(business_id)

    async def _round(self) -> None:
        due = self._due()
        reasons = {stall.business_id: stall.reason for stall in due}
        self._rounds += 1
        if reasons == self._written and self._rounds % WHOLE_EVERY_ROUNDS:
            return
        self._written = None
        await self._services.workers.stalls(self._services.ownership.incarnation, due)
        self._written = reasons

    def _due(self) -> list[Stall]:
        now, trusted_from = self._services.clock.boot(), self._services.ownership.clock_trusted_from
        noted = dict(self._noted)
        if now < trusted_from:
            jumped_at = trusted_from - self._services.policy.lag_seconds
            noted |= {business_id: _Note(CLOCK, jumped_at) for business_id in self._driven()}
        return [
            Stall(business_id, one.reason, DETAILS[one.reason], now - one.since)
            for business_id, one in sorted(noted.items())
            if now - one.since >= TOLD_AFTER_SECONDS.get(one.reason, 0.0)
        ]
