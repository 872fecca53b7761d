"""The dispatchers of a worker: one for each provider account, started when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.dispatch.circuit_breaker import CircuitBreaker
from actors.dispatch.dispatcher import Dispatcher
from actors.dispatch.rate_limiter import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.dispatch.dispatcher import ClaimResult
    from actors.restarts import DutySupervisor
    from actors.services import Services
    from dialer.concurrency.tasks import Tasks
    from telephony.provider import Account


class Dispatchers:
    """The dispatchers by the sid of their account."""

    def __init__(
        self, services: Services, tasks: Tasks, duties: DutySupervisor, claimed: Callable[[Dispatcher, int, ClaimResult], None]
    ) -> None:
        """`claimed` gets the answer to each claim, and the dispatcher that made it; `duties` restarts a dispatcher that fails."""
        self._services = services
        self._tasks = tasks
        self._duties = duties
        self._claimed = claimed
        self._by_sid: dict[str, Dispatcher] = {}
        self._limiters: dict[str, RateLimiter] = {}
        self._breakers: dict[str, CircuitBreaker] = {}

    def of(self, account_sid: str) -> Dispatcher:
        """The dispatcher of an account."""
        if account_sid not in self._by_sid:
            self._by_sid[account_sid] = self._started(account_sid)
        return self._by_sid[account_sid]

    def of_account(self, account: Account) -> Dispatcher:
        """The dispatcher of an account, at the account's own pace from now on, if it has one."""
        dispatcher = self.of(account.sid)
        self._limiters[account.sid].set_pace(account.calls_per_second)
        return dispatcher

    def paced_since(self) -> dict[int, float]:
        """The businesses that wait for a permit of their account, each since when by the boot clock."""
        return {
            business_id: since for dispatcher in list(self._by_sid.values()) for business_id, since in list(dispatcher.paced_since.items())
        }

    def paused(self) -> int:
        """How many accounts place no calls now, or one at a time, since the provider does not take them."""
        return sum(breaker.paused for breaker in list(self._breakers.values()))

    def close(self) -> None:
        """Claim nothing more."""
        for dispatcher in self._by_sid.values():
            dispatcher.loop.close()

    def _started(self, account_sid: str) -> Dispatcher:
        self._limiters[account_sid] = RateLimiter(self._services, account_sid)
        self._breakers[account_sid] = CircuitBreaker(self._services, self._tasks, account_sid)
        dispatcher = Dispatcher(
            self._services,
            self._tasks,
            self._limiters[account_sid],
            self._breakers[account_sid],
            lambda business_id, result: self._claimed(dispatcher, business_id, result),
        )
        self._duties.run_isolated(f"dispatcher of {account_sid}", dispatcher.loop.run)
        return dispatcher
