"""The pace of one account over all workers: a token bucket in Redis, kept by Redis's own clock.

With Redis away each worker keeps its share of the pace by itself, without a burst.

On the road of a call: 3, behind the gate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.streams import AwayError

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
local till = now[1] + now[2] / 1000000 + tonumber(ARGV[1])
if till > tonumber(redis.call('HGET', KEYS[1], 'shut_until') or 0) then
    redis.call('HSET', KEYS[1], 'shut_until', string.format('%.6f', till))
    redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 1
"""


class Bucket:
    """The permits of one account."""

    def __init__(self, world: World, account_sid: str) -> None:
        """The pace comes from the settings; 0 means no pacing."""
        self._world = world
        self._rate = world.rules.calls_per_second
        self._burst = max(1.0, self._rate * BURST_SECONDS)
        self._key = f"dialer:gate:{{{account_sid}}}"
        self._shut_until = 0.0
        self._untold_seconds = 0.0
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

    def shut(self, seconds: float) -> None:
        """Give no permits for so long; the other workers hear of it with the next one asked for."""
        self._shut_until = max(self._shut_until, self._world.clock.boot() + seconds)
        self._untold_seconds = seconds

    async def _tell_shut(self) -> None:
        if not self._untold_seconds or self._rate == 0:
            return
        seconds, self._untold_seconds = self._untold_seconds, 0.0
        try:
            await self._world.wire.run_script(SHUT, [self._key], [str(seconds), str(KEEP_SECONDS)])
        except AwayError:
            self._untold_seconds = seconds

    def _take_alone(self) -> tuple[int, float]:
        now = self._world.clock.boot()
        if now < self._next_alone:
            return 0, self._next_alone - now
        self._next_alone = now + max(self._world.held.workers, 1) / self._rate
        return 1, 0.0
