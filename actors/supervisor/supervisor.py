"""The businesses of this worker's partitions: hints come in from the streams, each business decides, and what it decided is done here.

On the road of a call: 3. The message of the button arrives here, and so does each fact that a callback brought.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from actors.calls.call import WITHDRAWN, Call, fact_of
from actors.calls.excess_calls import ExcessCalls
from actors.calls.live_calls import LiveCalls
from actors.calls.orphaned_calls import OrphanedCalls
from actors.dispatch.dispatcher import ClaimResult, Dispatcher
from actors.dispatch.pauses import Pauses
from actors.dispatch.rate_limiter import RateLimiter
from actors.supervisor.business import (
    Business,
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
from actors.supervisor.stalls import ACCOUNT, Stalls
from dialer.messages import CallChanged, RunChanged
from dialer.model import AttemptState
from dialer.sealing import BrokenSealError
from dialer.streams.client import RedisUnavailableError
from sql.attempts.attempts import ClaimRequest
from sql.errors import DatabaseUnavailableError
from telephony.provider import UnsentCall

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from actors.restarts import DutySupervisor
    from actors.services import Services
    from actors.supervisor.business import Effect, Message
    from actors.tasks import Tasks
    from dialer.messages import Hint
    from sql.attempts.attempts import ClaimedAttempt, OpenAttempt
    from sql.workers.workers import ActiveBusiness
    from telephony.provider import Account, PlaceResult

# Between two reads the partitions taken meanwhile are added to those that are listened to.
BLOCK_SECONDS = 0.5
# With Redis away the hints do not come; look into PostgreSQL this often, and otherwise as a net.
POLL_AWAY_SECONDS = 1.0
POLL_SECONDS = 5.0
# The moment is the database's, the clock this machine's: where it is ahead, the claim would be repeated without a pause until then.
SHORTEST_PUT_OFF_SECONDS = 0.25

log = logging.getLogger(__name__)


class BusinessSupervisor:
    """Everything this worker drives."""

    def __init__(self, services: Services, tasks: Tasks, duties: DutySupervisor, show: Callable[[int, int], None]) -> None:
        """`tasks` runs the calls, `duties` the gates; `show` hears which business's run has changed, for the screens."""
        self._services = services
        self._tasks = tasks
        self._duties = duties
        self._show = show
        self._positions: dict[int, str] = {}
        self._driven: dict[int, ActiveBusiness] = {}
        self._accounts: dict[int, Account] = {}
        self._businesses: dict[int, Business] = {}
        self._calls: dict[int, Call] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._dispatchers: dict[str, Dispatcher] = {}
        self._pauses = Pauses(services, tasks)
        self.live = LiveCalls(services, self._calls, tasks)
        self.excess = ExcessCalls(services, tasks)
        # When PostgreSQL last said that this business has something to do (boot clock).
        self._looked_at: dict[int, float] = {}
        self.stalls = Stalls(services, lambda: self._accounts)
        self._orphaned_calls = OrphanedCalls(services)
        self._wire_is_away = asyncio.Event()
        self._closed = False
        # While a round reads: which attempts have ended since it asked. Its answer may be older than what the hints have told.
        self._rounds = 0
        self._over: set[int] = set()

    # -- taking and leaving ------------------------------------------------------------------------------------------------------

    async def take(self, epochs: dict[int, int]) -> None:
        """Drive these partitions from now on, and adopt what the last owner left; `epochs` by partition."""
        start = await self._services.streams.start_of_hints()
        self._services.ownership.epochs.update(epochs)
        self._positions.update(dict.fromkeys(epochs, start))
        await self.poll_once(list(epochs))

    def driven_since(self, moment: float) -> list[int]:
        """The businesses this worker takes leads of, and has looked at since `moment` (boot clock)."""
        return [business_id for business_id in self._accounts if self._looked_at[business_id] >= moment]

    def placing(self, partitions: Iterable[int]) -> set[int]:
        """Those of these partitions with a POST in progress."""
        asked = set(partitions)
        return {self._partition_of(call) for call in self._calls.values() if call.placing} & asked

    def leave(self, partitions: Iterable[int]) -> None:
        """Drive these no more. Their calls go on; a POST in progress is finished and written, a fact needs no fence."""
        left = set(partitions)
        for partition in left:
            self._services.ownership.epochs.pop(partition, None)
            self._positions.pop(partition, None)
        for business_id in [b for b, driven in self._driven.items() if driven.partition in left]:
            self._forget(business_id)

    def close(self) -> None:
        """Take no more leads, and listen no more."""
        self._closed = True
        self.live.close()
        self.excess.close()
        for dispatcher in self._dispatchers.values():
            dispatcher.close()

    # -- hearing -----------------------------------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """Read the hints to this worker's partitions until closed."""
        while not self._closed:
            if not self._positions:
                await asyncio.sleep(BLOCK_SECONDS)
                continue
            try:
                hints = await self._services.streams.hints_after(dict(self._positions), block_seconds=BLOCK_SECONDS)
            except RedisUnavailableError:
                await self._wire_lost()
                continue
            for partition, entry, hint in hints:
                if partition in self._positions:
                    self._positions[partition] = entry
                    self._route(hint)

    async def poll(self) -> None:
        """Look into PostgreSQL for what the hints have not told, until closed."""
        while not self._closed:
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wire_is_away.wait()
            except TimeoutError:
                pass
            self._wire_is_away.clear()
            try:
                await self.poll_once(list(self._services.ownership.epochs))
            except DatabaseUnavailableError as error:
                log.warning("%s", error)

    async def poll_once(self, partitions: list[int]) -> None:
        """Adopt every open attempt nobody here follows, end those that are over, and wake every business with a running run.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is away.
        """
        if not partitions:
            return
        self._rounds += 1
        try:
            await self._poll_once(partitions)
        finally:
            self._rounds -= 1
            if not self._rounds:
                self._over.clear()

    async def _poll_once(self, partitions: list[int]) -> None:
        followed = {attempt_id: call for attempt_id, call in self._calls.items() if not call.placing}
        found = await self._services.attempts.open_of_partitions(partitions)
        busy = await self._services.workers.busy_businesses(partitions)
        for driven in busy:
            self._drive(driven)
        self._forget_blind(partitions, {driven.business_id for driven in busy})
        for attempt in found:
            if attempt.attempt_id not in self._over:
                self._handle(attempt.business_id, OpenCall(attempt))
        still_open = {attempt.attempt_id for attempt in found}
        for attempt_id, call in followed.items():
            if attempt_id not in still_open and self._partition_of(call) in partitions:
                name = call.name
                self._handle(name.business_id, CallChanged(name.business_id, name.run_id, name.job_id, attempt_id, AttemptState.OVER))
        for business_id in list(self._businesses):
            if self._driven[business_id].partition in partitions:
                self._handle(business_id, Wake())

    async def _wire_lost(self) -> None:
        self._wire_is_away.set()
        await asyncio.sleep(POLL_AWAY_SECONDS)

    def _route(self, hint: Hint | None) -> None:
        if hint is None:
            return
        if isinstance(hint, RunChanged):
            self._pauses.forget(hint.run_id)
        elif hint.hang_up:
            # Perhaps a second call of its attempt.
            self.excess.kick()
        if hint.business_id in self._businesses:
            self._handle(hint.business_id, hint)
        else:
            self._tasks.spawn(self._handle_unknown(hint))

    async def _handle_unknown(self, hint: RunChanged | CallChanged) -> None:
        """A business that had nothing to do has something now."""
        try:
            driven = await self._services.workers.business(hint.business_id)
        except DatabaseUnavailableError:
            # The poll will find it.
            return
        if driven and driven.partition in self._services.ownership.epochs:
            self._drive(driven)
            self._handle(hint.business_id, hint)
            self._handle(hint.business_id, Wake())

    async def _adopt(self, hint: CallChanged) -> None:
        """A call that nobody follows is to be hung up: one whose attempt had ended as not placed, and that exists all the same."""
        try:
            found = await self._services.attempts.states([(hint.business_id, hint.attempt_id)])
        except DatabaseUnavailableError:
            # The poll will find it.
            return
        for attempt in found:
            if attempt.state.open:
                self._handle(hint.business_id, OpenCall(attempt))

    def _drive(self, driven: ActiveBusiness) -> None:
        if driven.partition not in self._services.ownership.epochs:
            return
        try:
            account = self._services.accounts.account(driven.business_id, driven.account_sid, driven.auth_token_sealed)
        except BrokenSealError:
            self._blind(driven)
        else:
            if driven.business_id not in self._accounts:
                self.stalls.clear(driven.business_id)
            self._accounts[driven.business_id] = account
        self._driven[driven.business_id] = driven
        self._looked_at[driven.business_id] = self._services.clock.boot()
        business = self._businesses.setdefault(driven.business_id, Business(driven.business_id, driven.max_calls))
        business.max_calls = driven.max_calls

    def _blind(self, driven: ActiveBusiness) -> None:
        """Its account cannot be opened: no lead of it is taken. Its open calls are followed; the account that placed them may be known."""
        account = self._accounts.pop(driven.business_id, None)
        if account:
            self._dispatcher(account.sid).forget(driven.business_id)
        if self.stalls.note(driven.business_id, ACCOUNT):
            log.error("business %d takes no lead: the auth token of its account cannot be opened", driven.business_id)

    def _forget_blind(self, partitions: list[int], busy: set[int]) -> None:
        """One that takes no lead hears no verdict that it has nothing left to do."""
        for business_id in self._driven.keys() - self._accounts.keys() - busy:
            if self._driven[business_id].partition in partitions:
                self._forget(business_id)

    def _handle(self, business_id: int, message: Message) -> None:
        if self._rounds and (isinstance(message, CallOver) or (isinstance(message, CallChanged) and not AttemptState(message.state).open)):
            self._over.add(message.attempt_id)
        business = self._businesses.get(business_id)
        for effect in business.handle(message) if business else ():
            self._do(business_id, effect)

    def _claimed(self, dispatcher: Dispatcher, business_id: int, message: ClaimResult) -> None:
        if business_id in self._accounts:
            self.stalls.note_verdict(business_id, message.verdict.code)
            self._handle(business_id, message)
            return
        # The business is not ours any more, or takes no lead, and these were not sent: only we may say so.
        for intent in message.intents:
            dispatcher.answered(UnsentCall(WITHDRAWN))
            self._tasks.spawn(self._disown(intent))

    # -- doing -------------------------------------------------------------------------------------------------------------------

    def _do(self, business_id: int, effect: Effect) -> None:  # noqa: C901, PLR0912 - one effect, one branch
        driven = self._driven[business_id]
        match effect:
            case RequestPermits(permits=permits):
                self._ask(driven, permits)
            case PlaceCall(intent=intent, deadline=deadline):
                call = self._call(driven, intent)
                self._spawn(call, lambda: call.make(intent, deadline))
            case FollowCall(attempt=attempt):
                call = self._call(driven, attempt)
                self._spawn(call, lambda: call.follow(0 if attempt.hang_up else attempt.check_in))
            case NotifyCall(attempt_id=attempt_id, hint=hint):
                if attempt_id in self._calls:
                    self._calls[attempt_id].notify(hint)
                elif hint.hang_up:
                    self._tasks.spawn(self._adopt(hint))
            case CancelUnsent(attempt_id=attempt_id):
                if attempt_id in self._calls:
                    self._calls[attempt_id].withdrawn = True
            case FindOrphanedCalls():
                self._tasks.spawn(self._search(driven, self._accounts[business_id]))
            case Rest(seconds=seconds):
                self._wake(business_id, seconds, RestOver())
            case WakeAt(moment=moment):
                self._wake(business_id, max((moment - self._services.clock.now()).total_seconds(), SHORTEST_PUT_OFF_SECONDS), Wake())
            case PublishProgress(run_id=run_id):
                self._show(business_id, run_id)
            case Release():
                self._forget(business_id)

    def _ask(self, driven: ActiveBusiness, permits: int) -> None:
        epoch, account = self._services.ownership.epochs.get(driven.partition), self._accounts.get(driven.business_id)
        if epoch is not None and account is not None and not self._closed:
            self._dispatcher(account.sid).ask(ClaimRequest(driven.business_id, epoch, permits))

    def _dispatcher(self, sid: str) -> Dispatcher:
        if sid not in self._dispatchers:
            dispatcher = Dispatcher(
                self._services,
                self._tasks,
                RateLimiter(self._services, sid),
                lambda business_id, message: self._claimed(dispatcher, business_id, message),
            )
            self._dispatchers[sid] = dispatcher
            self._duties.keep_up_alone(f"dispatcher of {sid}", dispatcher.run)
        return self._dispatchers[sid]

    def _call(self, driven: ActiveBusiness, name: ClaimedAttempt | OpenAttempt) -> Call:
        account = self._accounts.get(driven.business_id)
        # The answer to a POST goes to the gate that let it through; a call that is followed had none.
        dispatcher = self._dispatcher(account.sid if account else name.account_sid)

        def answered(result: PlaceResult) -> None:
            dispatcher.answered(result)
            self._pauses.note_result(driven.business_id, name.run_id, result)

        # It is the account that placed the call whose calls come too fast.
        return Call(self._services, name, answered, self._dispatcher(name.account_sid).slow_down)

    async def _search(self, driven: ActiveBusiness, account: Account) -> None:
        """Find what the log has forgotten; when that cannot be had now, some time later."""
        try:
            if await self._orphaned_calls.search(account, driven):
                for call in self._calls.values():
                    if call.name.business_id == driven.business_id:
                        call.check_now()
                await self.poll_once([driven.partition])
        except DatabaseUnavailableError as error:
            log.warning("%s", error)

    def _spawn(self, call: Call, work: Callable[[], Coroutine[None, None, None]]) -> None:
        attempt_id = call.name.attempt_id
        self._calls[attempt_id] = call
        self._running[attempt_id] = self._tasks.spawn(self._to_the_end(call, work))

    async def _to_the_end(self, call: Call, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """A call whose coroutine fails is adopted again by the next poll: the log still holds it open."""
        name = call.name
        try:
            await work()
        except Exception:
            log.exception("the coroutine of attempt %d ended early", name.attempt_id)
        finally:
            self._drop(call)
        self._handle(name.business_id, CallOver(name.attempt_id, name.run_id))

    async def _disown(self, intent: ClaimedAttempt) -> None:
        await self._services.facts.record(fact_of(intent, UnsentCall(WITHDRAWN)))

    def _wake(self, business_id: int, seconds: float, message: Message) -> None:
        asyncio.get_running_loop().call_later(seconds, self._handle, business_id, message)

    def _forget(self, business_id: int) -> None:
        self._businesses.pop(business_id, None)
        driven = self._driven.pop(business_id, None)
        if driven:
            account = self._accounts.pop(business_id, None)
            if account:
                self._dispatcher(account.sid).forget(business_id)
            del self._looked_at[business_id]
            self.stalls.clear(business_id)
        for attempt_id, call in list(self._calls.items()):
            if call.name.business_id == business_id and not call.placing:
                self._running[attempt_id].cancel()
                self._drop(call)

    def _drop(self, call: Call) -> None:
        if self._calls.get(call.name.attempt_id) is call:
            del self._calls[call.name.attempt_id], self._running[call.name.attempt_id]

    def _partition_of(self, call: Call) -> int:
        driven = self._driven.get(call.name.business_id)
        return driven.partition if driven else -1
