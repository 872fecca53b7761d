"""The pace of one account over all workers: a token bucket in Redis, kept by Redis's own clock.

With Redis away each worker keeps its share of the pace by itself, without a burst.

On the road of a call: 3, behind the gate.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from dialer.streams import AwayError, gate_key

if TYPE_CHECKING:
    from actors.ports import World

# A tenth of a second's worth may go at once: asking for each permit alone would not reach a high pace.
BURST_SECONDS = 0.1
SHORTEST_WAIT_SECONDS = 0.005
# Long enough that nobody waits for a gate nobody uses.
KEEP_SECONDS = 3_600

TAKE = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local shut = tonumber(redis.call('HGET', KEYS[1], 'shut_until') or 0)
if wanted > 0 and shut > now then return {0, tostring(shut - now)} end
local tokens = tonumber(redis.call('HGET', KEYS[1], 'tokens') or burst)
local at = tonumber(redis.call('HGET', KEYS[1], 'at') or now)
tokens = math.min(burst, tokens + math.max(now - at, 0) * rate)
local granted = math.min(math.floor(tokens), wanted)
redis.call('HSET', KEYS[1], 'tokens', tostring(math.min(tokens - granted, burst)), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {granted, tostring((1 - tokens + granted) / rate)}
"""

SHUT = """
local now = redis.call('TIME')
local at = now[1] + now[2] / 1000000
local till = at + tonumber(ARGV[1])
if till > tonumber(redis.call('HGET', KEYS[1], 'shut_until') or 0) then
    redis.call('HSET', KEYS[1], 'shut_until', string.format('%.6f', till), 'reason', ARGV[3])
    redis.call('HSETNX', KEYS[1], 'shut_since', string.format('%.6f', at))
    redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 1
"""

# The provider has answered again: the screens need not say any more that it is waited for.
OPEN = """
redis.call('HDEL', KEYS[1], 'shut_until', 'shut_since', 'reason')
return 1
"""


class Bucket:
    """The permits of one account."""

    def __init__(self, world: World, account_sid: str) -> None:
        """The pace comes from the settings; 0 means no pacing."""
        self._world = world
        self._rate = world.rules.calls_per_second
        self._burst = max(1.0, self._rate * BURST_SECONDS)
        self._key = gate_key(account_sid)
        self._shut_until = 0.0
        self._untold: tuple[float, str] | None = None
        self._was_shut = False
        self._next_alone = 0.0

    async def take(self, wanted: int) -> tuple[int, float]:
        """At most `wanted` permits; how many there are, and when none, after how many seconds to ask again."""
        shut = self._shut_until - self._world.clock.boot()
        if shut > 0:
            await self._tell_shut()
            return 0, shut
        if self._rate == 0:
            return wanted, 0.0
        try:
            arguments = [str(self._rate), str(self._burst), str(wanted), str(KEEP_SECONDS)]
            granted, wait = await self._world.wire.run_script(TAKE, [self._key], arguments)
        except AwayError:
            return self._take_alone()
        return int(granted), max(float(wait), SHORTEST_WAIT_SECONDS)

    async def give_back(self, permits: int) -> None:
        """Return permits that were not used."""
        if self._rate == 0:
            return
        try:
            await self._world.wire.run_script(TAKE, [self._key], [str(self._rate), str(self._burst), str(-permits), str(KEEP_SECONDS)])
        except AwayError:
            self._next_alone = 0.0

    def shut(self, seconds: float, reason: str) -> None:
        """Give no permits for so long; the other workers and the screens hear of it with the next one asked for."""
        self._shut_until = max(self._shut_until, self._world.clock.boot() + seconds)
        self._untold = (seconds, reason)
        self._was_shut = True

    async def open(self) -> None:
        """The provider has answered: nobody needs to wait for it any more."""
        if self._was_shut:
            self._was_shut, self._shut_until, self._untold = False, 0.0, None
            with suppress(AwayError):
                await self._world.wire.run_script(OPEN, [self._key], [])

    async def _tell_shut(self) -> None:
        if self._untold is None:
            return
        (seconds, reason), self._untold = self._untold, None
        with suppress(AwayError):
            await self._world.wire.run_script(SHUT, [self._key], [str(seconds), str(KEEP_SECONDS), reason])

    def _take_alone(self) -> tuple[int, float]:
        now = self._world.clock.boot()
        if now < self._next_alone:
            return 0, self._next_alone - now
        self._next_alone = now + max(self._world.held.workers, 1) / self._rate
        return 1, 0.0
