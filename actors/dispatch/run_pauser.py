"""Pauses a run whose leads are refused one after the other: better a paused run with a reason than a burned list.

How many results of one kind in a row it takes is in `telephony/refusals.py`, beside the table of what each result means.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dialer.model import PauseKind
from sql.errors import DatabaseUnavailableError
from telephony import refusals
from telephony.provider import RefusedCall, UnansweredCall, UnsentCall
from telephony.refusals import Action

if TYPE_CHECKING:
    from actors.services import Services
    from dialer.concurrency.tasks import Tasks
    from telephony.provider import PlaceResult

RETRY_SECONDS = 0.5
# The end of a run is not reported here: beyond this number, the run with the oldest result is dropped.
MAX_RUNS = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PauseReason:
    """Why a run is paused: `text` in English, `cause` for programs."""

    text: str
    cause: dict[str, object]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of results that are counted together; `limit` of them in a row pause the run."""

    name: str
    limit: int


@dataclass(slots=True)
class _Streak:
    """Results of one kind in a row: how many, and how many of them came from something other than the provider."""

    kind: _Kind
    count: int = 0
    foreign: int = 0

    @property
    def is_full(self) -> bool:
        """True when the run is to be paused. Answers that prove nothing are one kind, or alternating ones would never add up."""
        return self.count >= self.kind.limit or self.foreign >= refusals.FOREIGN_IN_A_ROW


class RunPauser:
    """Counts the results of each run's POSTs, and pauses the run when they are all refusals of one kind."""

    def __init__(self, services: Services, tasks: Tasks) -> None:
        """`tasks` writes the pauses to PostgreSQL."""
        self._services = services
        self._tasks = tasks
        # The present streak of each run with a bad last result.
        self._streaks: OrderedDict[int, _Streak] = OrderedDict()
        self._pausing: set[int] = set()

    def note_result(self, business_id: int, run_id: int, result: PlaceResult) -> None:
        """Count the result of a POST of this run."""
        if isinstance(result, UnsentCall):
            # The provider has not seen it, or asks us to wait: neither says anything about the next lead.
            return
        kind = _kind(result)
        if kind is None:
            self._streaks.pop(run_id, None)
            return
        streak = self._streaks.get(run_id)
        if streak is None or streak.kind != kind:
            streak = self._streaks[run_id] = _Streak(kind)
        streak.count += 1
        streak.foreign += isinstance(result, UnansweredCall) and result.foreign
        self._streaks.move_to_end(run_id)
        if len(self._streaks) > MAX_RUNS:
            self._streaks.popitem(last=False)
        if streak.is_full and run_id not in self._pausing:
            self._pausing.add(run_id)
            self._tasks.spawn(self._pause(business_id, run_id, pause_reason(result, streak.count, streak.foreign), kind.name))

    def forget(self, run_id: int) -> None:
        """Start counting from zero: the run starts again, or has ended."""
        self._streaks.pop(run_id, None)

    async def _pause(self, business_id: int, run_id: int, reason: PauseReason, name: str) -> None:
        log.error("pausing run %d of business %d: %s", run_id, business_id, name)
        try:
            # Until it is paused, its leads go on being refused.
            while not await self._is_paused(business_id, run_id, reason):  # noqa: ASYNC110 - PostgreSQL is away, and there is no event to wait for
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._pausing.discard(run_id)
            self.forget(run_id)

    async def _is_paused(self, business_id: int, run_id: int, reason: PauseReason) -> bool:
        try:
            await self._services.workers.pause(business_id, run_id, reason.text, reason.cause)
        except DatabaseUnavailableError:
            return False
        return True


def pause_reason(result: PlaceResult, count: int, foreign: int) -> PauseReason:
    """Why a run is paused after `count` results in a row, `result` the last; `foreign` of them came from something but the provider."""
    match result:
        case RefusedCall(code=code, message=message) if result.action is Action.LEAD:
            text = f"The provider refused {count} leads in a row, the last one with: {message} ({code})"
            return PauseReason(text, {"kind": PauseKind.LEADS_REFUSED, "code": code, "message": message, "count": count})
        case RefusedCall(code=code, message=message):
            text = f"The provider refuses this account or its number: {message} ({code})"
            return PauseReason(text, {"kind": PauseKind.ACCOUNT_REFUSED, "code": code, "message": message})
        case UnansweredCall(reason=why, foreign=True) if foreign >= refusals.FOREIGN_IN_A_ROW:
            return _foreign_answers(why, count, foreign)
        case _:
            why = str(getattr(result, "reason", ""))
            text = f"The provider gave no usable answer to {count} calls in a row ({why})"
            return PauseReason(text, {"kind": PauseKind.NO_ANSWERS, "reason": why, "count": count})


def _foreign_answers(why: str, count: int, foreign: int) -> PauseReason:
    many = f"{count} calls in a row" if foreign == count else f"{foreign} of {count} calls in a row"
    text = (
        f"{many} were answered by something other than the provider ({why}): "
        "a proxy or a firewall between us and it, or a wrong TWILIO_API_URL"
    )
    return PauseReason(text, {"kind": PauseKind.FOREIGN_ANSWERS, "reason": why, "count": count, "foreign": foreign})


def _kind(result: PlaceResult) -> _Kind | None:
    match result:
        case RefusedCall() if result.action is Action.LEAD:
            # Whatever the codes: a list of which every number is refused is not a list of wrong numbers.
            return _Kind("lead after lead is refused", refusals.LEADS_IN_A_ROW)
        case RefusedCall(code=code):
            return _Kind(f"the provider refuses its account with {code}", refusals.ACCOUNT_IN_A_ROW)
        case UnansweredCall():
            return _Kind("no answer proves anything", refusals.UNANSWERED_IN_A_ROW)
        case _:
            return None
