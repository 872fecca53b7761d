"""The circuit breaker of one provider account: stops calls while the provider throttles us or cannot be reached.

Each failure opens it for longer, with jitter. Then it is half open: one call goes through, and the others wait for its result. The state
is in Redis too, so that the other workers stop and the pages can say why.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from dialer.model import AttemptReason
from dialer.streams.client import RedisUnavailableError, account_key
from telephony.provider import UnansweredCall, UnsentCall

if TYPE_CHECKING:
    from actors.services import Services
    from dialer.concurrency.tasks import Tasks
    from telephony.provider import PlaceResult

FIRST_OPEN_SECONDS = 0.5
LONGEST_OPEN_SECONDS = 30.0
# So many unanswered POSTs in a row mean that the provider is in trouble; a single one may happen any day.
UNANSWERED_IN_A_ROW = 3
# A POST has been answered, or has timed out, long before this: a result that is still missing will not come.
RESULT_SECONDS = 60.0
# How long Redis keeps the state of an account that is not used.
KEEP_SECONDS = 3_600

# KEYS: the account. ARGV: seconds to stay open, seconds to keep the key, the reason.
TRIP = """
local now = redis.call('TIME')
local at = now[1] + now[2] / 1000000
local till = at + tonumber(ARGV[1])
if till > tonumber(redis.call('HGET', KEYS[1], 'open_until') or 0) then
    redis.call('HSET', KEYS[1], 'open_until', string.format('%.6f', till), 'reason', ARGV[3])
    redis.call('HSETNX', KEYS[1], 'open_since', string.format('%.6f', at))
    redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 1
"""

# The provider answers again: the pages stop saying that it does not.
RESET = """
redis.call('HDEL', KEYS[1], 'open_until', 'open_since', 'reason')
return 1
"""

log = logging.getLogger(__name__)


class CircuitBreaker:
    """Counts the results of an account's POSTs: closed, open until some time, or half open after that."""

    def __init__(self, services: Services, tasks: Tasks, account_sid: str) -> None:
        """Start closed; `tasks` tells Redis when it closes again."""
        self._services = services
        self._tasks = tasks
        self._account_sid = account_sid
        self._key = account_key(account_sid)
        # Since the last success.
        self._failures = 0
        self._trips = 0
        self._in_flight = 0
        self._tripped_by_these = False
        self._results_until = 0.0
        self._open_until = 0.0
        self._unpublished: tuple[float, str] | None = None
        self._has_tripped = False

    @property
    def half_open(self) -> bool:
        """True when only one call may go through; whether it is still open is in `open_seconds`."""
        return self._failures > 0

    @property
    def paused(self) -> bool:
        """True while no call, or only one, goes through."""
        return self._failures > 0 or self._open_until > self._services.clock.boot()

    def waits_for_result(self) -> bool:
        """True when it is half open and a call is in flight: the others wait for its result."""
        if self._in_flight and self._services.clock.boot() > self._results_until:
            self._in_flight, self._tripped_by_these = 0, False
        return self.half_open and self._in_flight > 0

    async def open_seconds(self) -> float:
        """How long it stays open, 0 or less when it does not; the other workers and the pages learn of it by this call."""
        seconds = self._open_until - self._services.clock.boot()
        if seconds > 0:
            await self._publish()
        return seconds

    def sent(self, calls: int) -> None:
        """So many calls are in flight now."""
        self._in_flight += calls
        self._results_until = self._services.clock.boot() + RESULT_SECONDS

    def record(self, result: PlaceResult) -> None:
        """A call is no longer in flight: open or close accordingly."""
        self._in_flight = max(self._in_flight - 1, 0)
        if not isinstance(result, UnsentCall | UnansweredCall):
            self._succeeded()
        elif not (isinstance(result, UnsentCall) and result.reason == AttemptReason.WITHDRAWN):
            self._failed(result)
        # While half open, no call goes through until all of these have a result.
        self._tripped_by_these = self._tripped_by_these and self._in_flight > 0

    def trip(self, reason: str, seconds: float = LONGEST_OPEN_SECONDS) -> None:
        """Open for so many seconds, or longer if it is open for longer already."""
        log.warning("account %s: no calls for %.1f s: %s", self._account_sid, seconds, reason)
        self._open_until = max(self._open_until, self._services.clock.boot() + seconds)
        self._unpublished = (seconds, reason)
        self._has_tripped = True
        self._services.metrics.pauses.inc()

    def _succeeded(self) -> None:
        if self._failures:
            self._failures = self._trips = 0
            self._tripped_by_these = False
            self._tasks.spawn(self._reset())

    def _failed(self, result: UnsentCall | UnansweredCall) -> None:
        self._failures += 1
        if isinstance(result, UnansweredCall) and self._failures < UNANSWERED_IN_A_ROW:
            return
        seconds = self._next_open_seconds()
        if isinstance(result, UnsentCall) and result.retry_after_seconds:
            seconds = max(seconds, result.retry_after_seconds)
        if seconds:
            self.trip(result.reason, seconds)

    def _next_open_seconds(self) -> float:
        """How long to open: longer each time the single call fails too. Calls that were in flight together count as one failure."""
        if self._tripped_by_these:
            return 0.0
        self._tripped_by_these = self._in_flight > 0
        longest = min(FIRST_OPEN_SECONDS * 2.0**self._trips, LONGEST_OPEN_SECONDS)
        self._trips += 1
        return longest * (0.5 + self._services.ids.fraction() / 2)

    async def _publish(self) -> None:
        if self._unpublished is None:
            return
        (seconds, reason), self._unpublished = self._unpublished, None
        with suppress(RedisUnavailableError):
            await self._services.streams.run_script(TRIP, [self._key], [str(seconds), str(KEEP_SECONDS), reason])

    async def _reset(self) -> None:
        if self._has_tripped:
            self._has_tripped, self._open_until, self._unpublished = False, 0.0, None
            with suppress(RedisUnavailableError):
                await self._services.streams.run_script(RESET, [self._key], [])
