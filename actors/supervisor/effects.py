"""Delivers messages to the businesses, and carries out the effects they answer with.

It queues the business at its dispatcher, and starts the coroutine of each call.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from actors import worker_spans
from actors.calls.call import Call, about_call, fact_of
from actors.calls.orphaned_calls import OrphanedCalls
from actors.dispatch.dispatchers import Dispatchers
from actors.supervisor.messages import (
    CallOver,
    CancelUnsent,
    FindOrphanedCalls,
    FollowCall,
    NotifyCall,
    OpenCall,
    PlaceCall,
    PublishProgress,
    Release,
    RequestPermits,
    Rest,
    RestOver,
    Wake,
    WakeAt,
)
from actors.supervisor.registry import Registry
from dialer.messages import CallChanged
from dialer.model import AttemptReason, AttemptState
from sql.attempts.attempts import ClaimRequest
from sql.errors import DatabaseUnavailableError
from telephony.provider import UnsentCall

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from actors.dispatch.dispatcher import ClaimResult, Dispatcher
    from actors.dispatch.run_pauser import RunPauser
    from actors.restarts import DutySupervisor
    from actors.services import Services
    from actors.supervisor.messages import Effect, Message
    from actors.supervisor.registry import BusinessEntry
    from actors.supervisor.stalls import StallReporter
    from dialer.concurrency.tasks import Tasks
    from sql.attempts.attempts import ClaimedAttempt, OpenAttempt
    from telephony.provider import PlaceResult

# `due_at` is database time. If our clock runs ahead we would claim in a tight loop until then.
SHORTEST_WAKE_SECONDS = 0.25
LONGEST_WAKE_SECONDS = 15.0

log = logging.getLogger(__name__)


class EffectRunner:
    """The one place where the decisions of a business meet dispatchers, calls, timers and the screens."""

    def __init__(
        self,
        services: Services,
        tasks: Tasks,
        duties: DutySupervisor,
        stalls: StallReporter,
        pauser: RunPauser,
        publish: Callable[[int, int], None],
        poll: Callable[[list[int]], Awaitable[None]],
    ) -> None:
        """`tasks` runs the calls, `duties` the dispatchers.

        `publish` gets the business and the run that has changed, `poll` the partitions that are to be polled now.
        """
        self._services = services
        self._tasks = tasks
        self._stalls = stalls
        self._pauser = pauser
        self._publish = publish
        self._poll = poll
        self._orphaned_calls = OrphanedCalls(services)
        self._closed = False
        self.dispatchers = Dispatchers(services, tasks, duties, self._claimed)
        self.registry = Registry(services, self.dispatchers, stalls)

    def close(self) -> None:
        """Request no more permits, and claim nothing more."""
        self._closed = True
        self.dispatchers.close()

    def deliver(self, business_id: int, message: Message) -> None:
        """Give a message to a business, if this worker drives it, and carry out the effects."""
        if isinstance(message, CallOver) or (isinstance(message, CallChanged) and not AttemptState(message.state).open):
            self.registry.record_end(message.attempt_id)
            if message.attempt_id in self.registry.calls:
                self.registry.calls[message.attempt_id].note_end()
        entry = self.registry.get(business_id)
        if entry is None:
            return
        for effect in entry.business.handle(message):
            self._carry_out(entry, effect)

    def _carry_out(self, entry: BusinessEntry, effect: Effect) -> None:  # noqa: C901 - one effect, one branch
        match effect:
            case RequestPermits(permits=permits):
                self._request_permits(entry, permits)
            case PlaceCall(attempt=attempt, deadline=deadline):
                call = self._call(entry, attempt)
                self._start(call, partial(call.place_and_follow, attempt, deadline))
            case FollowCall(attempt=attempt):
                worker_spans.call_adopted(self._services, attempt)
                call = self._call(entry, attempt)
                self._start(call, partial(call.follow, 0 if attempt.hang_up else attempt.check_in))
            case NotifyCall(attempt_id=attempt_id, hint=hint):
                self._notify_call(attempt_id, hint)
            case CancelUnsent(attempt_id=attempt_id):
                if attempt_id in self.registry.calls:
                    self.registry.calls[attempt_id].withdrawn = True
            case FindOrphanedCalls():
                self._tasks.spawn(self._find_orphaned_calls(entry))
            case Rest(seconds=seconds):
                self._deliver_later(entry, seconds, RestOver())
            case WakeAt(due_at=due_at):
                self._wake_at(entry, (due_at - self._services.clock.now()).total_seconds())
            case PublishProgress(run_id=run_id):
                self._publish(entry.business_id, run_id)
            case Release():
                self.registry.drop(entry.business_id)

    def _wake_at(self, entry: BusinessEntry, seconds: float) -> None:
        # Later than this, the poll has asked again: without a bound, each poll of a closed business would leave a timer.
        if seconds <= LONGEST_WAKE_SECONDS:
            self._deliver_later(entry, max(seconds, SHORTEST_WAKE_SECONDS), Wake())

    def _deliver_later(self, entry: BusinessEntry, seconds: float, message: Message) -> None:
        asyncio.get_running_loop().call_later(seconds, self.deliver, entry.business_id, message)

    # -- claims ------------------------------------------------------------------------------------------------------------------

    def _request_permits(self, entry: BusinessEntry, permits: int) -> None:
        epoch = self._services.ownership.epochs.get(entry.partition)
        if epoch is not None and entry.account and not self._closed:
            self.dispatchers.of_account(entry.account).enqueue(ClaimRequest(entry.business_id, epoch, permits))

    def _claimed(self, dispatcher: Dispatcher, business_id: int, result: ClaimResult) -> None:
        entry = self.registry.get(business_id)
        if entry and entry.account:
            self._stalls.note_verdict(business_id, result.verdict.code)
            self.deliver(business_id, result)
            return
        # The business is not ours any more, or no leads are claimed for it: these were not sent, and only we can record that.
        for attempt in result.attempts:
            dispatcher.record(UnsentCall(AttemptReason.WITHDRAWN))
            self._tasks.spawn(self._record_unsent(attempt))

    async def _record_unsent(self, attempt: ClaimedAttempt) -> None:
        await self._services.facts.record(fact_of(attempt, UnsentCall(AttemptReason.WITHDRAWN)))

    # -- calls -------------------------------------------------------------------------------------------------------------------

    def _call(self, entry: BusinessEntry, attempt: ClaimedAttempt | OpenAttempt) -> Call:
        # The result of a POST goes to the dispatcher that claimed it; a call that is only followed has none.
        dispatcher = self.dispatchers.of(entry.account.sid if entry.account else attempt.account_sid)

        def posted(result: PlaceResult) -> None:
            dispatcher.record(result)
            self._pauser.note_result(attempt.business_id, attempt.run_id, result)

        # The account that placed the call is the one whose calls come too fast.
        return Call(self._services, attempt, posted, self.dispatchers.of(attempt.account_sid).slow_down)

    def _start(self, call: Call, work: Callable[[], Coroutine[None, None, None]]) -> None:
        self.registry.calls[call.attempt.attempt_id] = call
        call.task = self._tasks.spawn(self._run_call(call, work))

    async def _run_call(self, call: Call, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a call to its end. A call whose coroutine fails is adopted again by the next poll: it is still recorded as open."""
        attempt = call.attempt
        with about_call(attempt, self._services.spans.trace_of(attempt.business_id, attempt.run_id)):
            try:
                await work()
                call.note_end()
            except Exception:
                log.exception("the coroutine of attempt %d failed; the next poll adopts it", attempt.attempt_id)
            finally:
                self.registry.remove_call(call)
        self.deliver(attempt.business_id, CallOver(attempt.attempt_id, attempt.run_id))

    def _notify_call(self, attempt_id: int, hint: CallChanged) -> None:
        if attempt_id in self.registry.calls:
            self.registry.calls[attempt_id].notify(hint)
        elif hint.hang_up:
            self._tasks.spawn(self._adopt(hint))

    async def _adopt(self, hint: CallChanged) -> None:
        """Hang up a call without a coroutine: its attempt had ended as not placed, and the call exists all the same."""
        try:
            attempts = await self._services.attempts.states([(hint.business_id, hint.attempt_id)])
        except DatabaseUnavailableError:
            # The poll will find it.
            return
        for attempt in attempts:
            if attempt.state.open:
                self.deliver(attempt.business_id, OpenCall(attempt))

    async def _find_orphaned_calls(self, entry: BusinessEntry) -> None:
        """Find the calls that the database has lost; after a failure the next poll leads here again."""
        if entry.account is None:
            return
        try:
            if await self._orphaned_calls.search(entry.account, entry.row):
                for call in self.registry.calls_of(entry.business_id):
                    call.check_now()
                await self._poll([entry.partition])
        except DatabaseUnavailableError as error:
            log.warning("business %d: finding its orphaned calls is postponed: %s", entry.business_id, error)
