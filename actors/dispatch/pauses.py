"""Pauses a run that is refused one lead after the other: better a paused run with a reason than a burned list.

How many results of one kind in a row it takes is said in `telephony/refusals.py`, beside the table of what each of them means.

On the road of a call: beside 4, when there is none.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sql.errors import DatabaseUnavailableError
from telephony import refusals
from telephony.provider import RefusedCall, UnansweredCall, UnsentCall
from telephony.refusals import Action

if TYPE_CHECKING:
    from actors.services import Services
    from actors.tasks import Tasks
    from telephony.provider import PlaceResult

PAUSE_AGAIN_SECONDS = 0.5
# A run that ended badly is counted no more, and nobody says so: beyond this the one that was heard of longest ago is forgotten.
MAX_RUNS = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What results have in common that are counted together; `limit` of them in a row pause the run."""

    name: str
    limit: int


@dataclass(slots=True)
class _Row:
    """Results of one kind in a row: how many, and how many of them something else than the provider wrote."""

    kind: _Kind
    count: int = 0
    foreign: int = 0

    @property
    def is_full(self) -> bool:
        """True when the run is to be paused. Answers that prove nothing are one kind: in turn they would never be enough of either."""
        return self.count >= self.kind.limit or self.foreign >= refusals.FOREIGN_IN_A_ROW


class Pauses:
    """Counts the results of each run's POSTs, and pauses the run when they are all refusals of one kind."""

    def __init__(self, services: Services, tasks: Tasks) -> None:
        """`tasks` runs the pausing."""
        self._services = services
        self._tasks = tasks
        # What each run met last. A run that has met nothing bad is not in it.
        self._in_a_row: OrderedDict[int, _Row] = OrderedDict()
        self._pausing: set[int] = set()

    def note_result(self, business_id: int, run_id: int, result: PlaceResult) -> None:
        """Hear what became of a POST of this run."""
        if isinstance(result, UnsentCall):
            # The provider has not seen it, or asks to wait: neither says anything of the next lead.
            return
        kind = _kind(result)
        if kind is None:
            self._in_a_row.pop(run_id, None)
            return
        row = self._in_a_row.get(run_id)
        if row is None or row.kind != kind:
            row = self._in_a_row[run_id] = _Row(kind)
        row.count += 1
        row.foreign += isinstance(result, UnansweredCall) and result.foreign
        self._in_a_row.move_to_end(run_id)
        if len(self._in_a_row) > MAX_RUNS:
            self._in_a_row.popitem(last=False)
        if row.is_full and run_id not in self._pausing:
            self._pausing.add(run_id)
            self._tasks.spawn(self._pause(business_id, run_id, reason(result, row.count, row.foreign), kind.name))

    def forget(self, run_id: int) -> None:
        """Count anew: the run begins again, or has ended."""
        self._in_a_row.pop(run_id, None)

    async def _pause(self, business_id: int, run_id: int, text: str, name: str) -> None:
        log.error("run %d of business %d is paused: %s", run_id, business_id, name)
        try:
            # Until it is paused it goes on being refused.
            while not await self._is_paused(business_id, run_id, text):  # noqa: ASYNC110 - PostgreSQL is away and gives no event
                await asyncio.sleep(PAUSE_AGAIN_SECONDS)
        finally:
            self._pausing.discard(run_id)
            self.forget(run_id)

    async def _is_paused(self, business_id: int, run_id: int, text: str) -> bool:
        try:
            await self._services.workers.pause(business_id, run_id, text)
        except DatabaseUnavailableError:
            return False
        return True


def reason(result: PlaceResult, count: int, foreign: int) -> str:
    """What a person is told of it, in `last_error`; `foreign` of `count` results came from something else than the provider."""
    match result:
        case RefusedCall(code=code, message=message) if result.action is Action.LEAD:
            return f"The telephone company refused {count} leads in a row for the same reason: {message} ({code})"
        case RefusedCall(code=code, message=message):
            return f"The telephone company refuses this account or its number: {message} ({code})"
        case UnansweredCall(reason=why, foreign=True) if foreign >= refusals.FOREIGN_IN_A_ROW:
            many = f"{count} calls in a row" if foreign == count else f"{foreign} of {count} calls in a row"
            return (
                f"{many} were answered by something else than the telephone company ({why}): "
                "a proxy or a firewall between us and it, or a wrong TWILIO_API_URL"
            )
        case _:
            return f"The telephone company gave no usable answer to {count} calls in a row ({getattr(result, 'reason', '')})"


def _kind(result: PlaceResult) -> _Kind | None:
    match result:
        case RefusedCall(code=code) if result.action is Action.LEAD:
            return _Kind(f"lead after lead is refused with {code}", refusals.LEADS_IN_A_ROW)
        case RefusedCall(code=code):
            return _Kind(f"the provider refuses its account with {code}", refusals.ACCOUNT_IN_A_ROW)
        case UnansweredCall():
            return _Kind("no answer proves anything", refusals.UNANSWERED_IN_A_ROW)
        case _:
            return None
