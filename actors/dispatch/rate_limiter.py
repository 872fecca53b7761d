"""The pace of one account over all workers: a token bucket in Redis, kept by Redis's own clock, with turns that are fair by business.

Each worker says how many businesses wait at it. A permit goes to the worker whose businesses have had the fewest each (stride scheduling);
one that falls to a worker that is not asking at this moment is kept for its next question. So it does not matter who is nearer to Redis.
With Redis away each worker keeps its share of the pace by itself.

On the road of a call: 3, behind the gate.
"""

from __future__ import annotations

from contextlib import suppress
from math import ceil
from typing import TYPE_CHECKING

from dialer.streams.client import RedisUnavailableError, gate_key, turns_key

if TYPE_CHECKING:
    from actors.services import Services

# A tenth of a second's worth may go at once: asking for each permit alone would not reach a high pace.
BURST_SECONDS = 0.1
# So much of the pace is kept for a worker that is not asking: as long as a claim takes at a bad time.
ROOM_SECONDS = 0.25
SHORTEST_WAIT_SECONDS = 0.005
# A worker that waits asks at least this often, so that the others know that it lives.
LONGEST_WAIT_SECONDS = 0.5
# One that has not asked for this long has lost its turn, and the permits kept for it go back.
GONE_SECONDS = 2.0
# Long enough that nobody waits for a gate nobody uses.
KEEP_SECONDS = 3_600

# KEYS: the bucket, the turns. ARGV: rate, burst, seconds to keep the keys, seconds until a worker is gone; this worker, how many
# businesses wait at it, how many permits they want, how many of them it takes now; the longest wait, how many are kept for one. Answers
# how many it gets, and in how many seconds to ask again.
#
# The turns have a field for each worker: when it last asked, its turn, its businesses, the permits it still wants, those kept for it. A
# turn is how many permits each of its businesses has had; the lowest comes next. The field `turn` is the highest that has come: whoever
# begins to wait begins there, so that nobody saves up for later.
TAKE = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local rate, burst, gone = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local me, wanted, most = ARGV[5], tonumber(ARGV[7]), tonumber(ARGV[8])
local shut = tonumber(redis.call('HGET', KEYS[1], 'shut_until') or 0)
if wanted > 0 and shut > now then return {0, tostring(shut - now)} end

local tokens = tonumber(redis.call('HGET', KEYS[1], 'tokens') or burst)
local at = tonumber(redis.call('HGET', KEYS[1], 'at') or now)
tokens = tokens + math.max(now - at, 0) * rate

local turn = tonumber(redis.call('HGET', KEYS[2], 'turn') or 0)
local workers, mine = {}, nil
local fields = redis.call('HGETALL', KEYS[2])
for n = 1, #fields, 2 do
    if fields[n] ~= 'turn' then
        local seen, its, businesses, wants, kept = string.match(fields[n + 1], '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
        local worker = {name = fields[n], seen = tonumber(seen), turn = tonumber(its), businesses = tonumber(businesses),
                        wants = tonumber(wants), kept = tonumber(kept)}
        if math.abs(now - worker.seen) > gone then
            tokens = tokens + worker.kept
            worker.kept, worker.wants = 0, 0
        end
        if worker.name == me then mine = worker end
        workers[#workers + 1] = worker
    end
end
table.sort(workers, function (one, other) return one.name < other.name end)
if not mine then
    mine = {name = me, turn = turn, wants = 0, kept = 0}
    workers[#workers + 1] = mine
end
if mine.wants == 0 then mine.turn = math.max(mine.turn, turn) end
mine.seen, mine.businesses = now, math.max(tonumber(ARGV[6]), 1)

local kept = math.min(mine.kept, wanted)
tokens = math.min(tokens + mine.kept - kept, burst)
local granted = math.min(kept, most)
mine.kept, mine.wants = kept - granted, wanted - kept

local room = tonumber(ARGV[10])
while tokens >= 1 do
    local first = nil
    for _, worker in ipairs(workers) do
        if worker.kept >= room then
            worker.turn = math.max(worker.turn, turn)
        end
        if worker.wants > 0 and (worker.kept < room or (worker == mine and granted < most)) then
            -- Of equals the one that asks: the others will be first when they do.
            if not first or worker.turn < first.turn or (worker.turn == first.turn and worker == mine) then first = worker end
        end
    end
    if not first then break end
    turn = math.max(turn, first.turn)
    first.turn, first.wants, tokens = first.turn + 1 / first.businesses, first.wants - 1, tokens - 1
    if first == mine and granted < most then granted = granted + 1 else first.kept = first.kept + 1 end
end

-- How many go to others before the next one of this worker.
local before = 0
for _, worker in ipairs(workers) do
    if worker ~= mine and worker.turn < mine.turn then
        local turns = math.ceil((mine.turn - worker.turn) * worker.businesses)
        before = before + math.max(math.min(turns, worker.wants, room - worker.kept), 0)
    end
    if worker.wants == 0 and worker.kept == 0 and worker.turn <= turn then
        redis.call('HDEL', KEYS[2], worker.name)
    else
        redis.call('HSET', KEYS[2], worker.name, string.format('%.6f %.17g %d %d %d',
            worker.seen, worker.turn, worker.businesses, worker.wants, worker.kept))
    end
end
redis.call('HSET', KEYS[2], 'turn', string.format('%.17g', turn))
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return {granted, tostring(math.min((before + 1 - tokens) / rate, tonumber(ARGV[9])))}
"""

GIVE_BACK = """
local tokens = tonumber(redis.call('HGET', KEYS[1], 'tokens') or ARGV[1])
redis.call('HSET', KEYS[1], 'tokens', tostring(math.min(tokens + tonumber(ARGV[2]), tonumber(ARGV[1]))))
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
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


class RateLimiter:
    """The permits of one account."""

    def __init__(self, services: Services, account_sid: str) -> None:
        """The pace comes from the settings; 0 means no pacing."""
        self._services = services
        self._rate = services.policy.calls_per_second
        self._burst = max(1.0, self._rate * BURST_SECONDS)
        self._room = max(ceil(self._rate * ROOM_SECONDS), 1)
        self._key, self._turns = gate_key(account_sid), turns_key(account_sid)
        self._waiting = False
        self._shut_until = 0.0
        self._untold: tuple[float, str] | None = None
        self._was_shut = False
        # While Redis is away: what this worker may take by itself, and since when.
        self._alone = (1.0, 0.0)

    async def take(self, wanted: int, *, businesses: int = 1, most: int | None = None) -> tuple[int, float]:
        """At most `most` of the `wanted` permits of so many businesses.

        Returns how many there are, and when none, after how many seconds to ask again.
        """
        most = wanted if most is None else min(most, wanted)
        shut = self._shut_until - self._services.clock.boot()
        if shut > 0:
            await self._tell_shut()
            return 0, shut
        if self._rate == 0:
            return most, 0.0
        try:
            granted, wait = await self._ask(wanted, businesses, most)
        except RedisUnavailableError:
            self._waiting = False
            return self._take_alone(most)
        self._waiting = wanted > granted
        if granted:
            # What comes from Redis is not to be had a second time when it goes away.
            self._alone = (0.0, self._services.clock.boot())
        return granted, max(wait, SHORTEST_WAIT_SECONDS)

    async def leave(self) -> None:
        """Nobody waits here any more: let the others have what would be kept for this worker."""
        if self._waiting:
            self._waiting = False
            with suppress(RedisUnavailableError):
                await self._ask(0, 1, 0)

    async def give_back(self, permits: int) -> None:
        """Return permits that were not used."""
        if self._rate == 0:
            return
        try:
            await self._services.streams.run_script(GIVE_BACK, [self._key], [str(self._burst), str(permits), str(KEEP_SECONDS)])
        except RedisUnavailableError:
            tokens, at = self._alone
            self._alone = (tokens + permits, at)

    def shut(self, seconds: float, reason: str) -> None:
        """Give no permits for so long; the other workers and the screens hear of it with the next one asked for."""
        self._shut_until = max(self._shut_until, self._services.clock.boot() + seconds)
        self._untold = (seconds, reason)
        self._was_shut = True

    async def open(self) -> None:
        """The provider has answered: nobody needs to wait for it any more."""
        if self._was_shut:
            self._was_shut, self._shut_until, self._untold = False, 0.0, None
            with suppress(RedisUnavailableError):
                await self._services.streams.run_script(OPEN, [self._key], [])

    async def _tell_shut(self) -> None:
        if self._untold is None:
            return
        (seconds, reason), self._untold = self._untold, None
        with suppress(RedisUnavailableError):
            await self._services.streams.run_script(SHUT, [self._key], [str(seconds), str(KEEP_SECONDS), reason])

    async def _ask(self, wanted: int, businesses: int, most: int) -> tuple[int, float]:
        limits = [str(self._rate), str(self._burst), str(KEEP_SECONDS), str(GONE_SECONDS)]
        asked = [
            self._services.ownership.incarnation.hex,
            str(businesses),
            str(wanted),
            str(most),
            str(LONGEST_WAIT_SECONDS),
            str(self._room),
        ]
        granted, wait = await self._services.streams.run_script(TAKE, [self._key, self._turns], [*limits, *asked])
        return int(granted), float(wait)

    def _take_alone(self, most: int) -> tuple[int, float]:
        now = self._services.clock.boot()
        share = self._rate / max(self._services.ownership.workers, 1)
        tokens, at = self._alone
        tokens = min(tokens + (now - at) * share, max(1.0, share * BURST_SECONDS))
        granted = min(int(tokens), most)
        self._alone = (tokens - granted, now)
        return granted, max((1 - tokens) / share, SHORTEST_WAIT_SECONDS)
