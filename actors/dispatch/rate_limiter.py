"""The rate limiter of one account over all workers: a token bucket in Redis, by Redis's clock, with turns that are fair by business.

Each worker reports how many of its businesses are waiting. A permit goes to the worker whose businesses have had the fewest each (stride
scheduling); a permit for a worker that is not asking at this moment is kept for its next request. So it makes no difference which worker is
nearer to Redis. While Redis is away, each worker takes its share of the rate by itself.
"""

from __future__ import annotations

from contextlib import suppress
from math import ceil
from typing import TYPE_CHECKING

from actors.dispatch.circuit_breaker import KEEP_SECONDS
from dialer.streams.client import RedisUnavailableError, account_key, turns_key

if TYPE_CHECKING:
    from actors.services import Services

# A burst is the permits of this long: requesting each permit alone would not reach a high rate.
BURST_SECONDS = 0.1
# The permits of this long are kept for a worker that is not asking: a claim may take that long at a bad time.
KEPT_FOR_WORKER_SECONDS = 0.25
SHORTEST_WAIT_SECONDS = 0.005
# A waiting worker asks at least this often, so that the others know that it is alive.
LONGEST_WAIT_SECONDS = 0.5
# A worker that has not asked for this long has lost its turn, and the permits kept for it go back to the bucket.
GONE_SECONDS = 2.0

# KEYS: the bucket, the turns. ARGV: rate, burst, seconds to keep the keys, seconds until a worker is gone; this worker, how many of its
# businesses are waiting, how many permits they want, how many of those it takes now; the longest wait, how many are kept for one worker.
# Returns how many it gets, and in how many seconds to ask again. While the circuit breaker is open (circuit_breaker.py) it gets none.
#
# The turns have a field for each worker: when it last asked, its turn, its businesses, the permits it still wants, those kept for it. A
# turn is how many permits each of its businesses has had; the lowest comes next. The field `turn` is the highest so far: a worker that
# starts to wait starts there, so that none can save up turns.
TAKE = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local rate, burst, gone = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local me, wanted, most = ARGV[5], tonumber(ARGV[7]), tonumber(ARGV[8])
local open_until = tonumber(redis.call('HGET', KEYS[1], 'open_until') or 0)
if wanted > 0 and open_until > now then return {0, tostring(open_until - now)} end

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
            -- Among equals the worker that asks: the others are first when they ask.
            if not first or worker.turn < first.turn or (worker.turn == first.turn and worker == mine) then first = worker end
        end
    end
    if not first then break end
    turn = math.max(turn, first.turn)
    first.turn, first.wants, tokens = first.turn + 1 / first.businesses, first.wants - 1, tokens - 1
    if first == mine and granted < most then granted = granted + 1 else first.kept = first.kept + 1 end
end

-- How many permits go to others before this worker's next one.
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


class RateLimiter:
    """The permits of one account."""

    def __init__(self, services: Services, account_sid: str) -> None:
        """The pace comes from the settings, until the account's own is set; 0 means no limit."""
        self._services = services
        self._rate, self._burst, self._kept = 0.0, 1.0, 1
        self.set_pace(None)
        self._key, self._turns = account_key(account_sid), turns_key(account_sid)
        self._waiting = False
        # While Redis is away: the tokens of this worker's own bucket, and when they were counted (boot clock).
        self._alone = (1.0, 0.0)

    def set_pace(self, calls_per_second: float | None) -> None:
        """Take so many permits a second from now on; None: as many as the settings say."""
        self._rate = self._services.policy.calls_per_second if calls_per_second is None else calls_per_second
        self._burst = max(1.0, self._rate * BURST_SECONDS)
        self._kept = max(ceil(self._rate * KEPT_FOR_WORKER_SECONDS), 1)

    async def take(self, wanted: int, *, businesses: int = 1, most: int | None = None) -> tuple[int, float]:
        """Take at most `most` of the permits `wanted` by so many businesses.

        Returns how many were granted, and when none, after how many seconds to ask again.
        """
        most = wanted if most is None else min(most, wanted)
        if self._rate == 0:
            return most, 0.0
        try:
            granted, wait = await self._ask(wanted, businesses, most)
        except RedisUnavailableError:
            self._waiting = False
            return self._take_alone(most)
        self._waiting = wanted > granted
        self._services.metrics.permits.labels("redis").inc(granted)
        if granted:
            # Permits from Redis must not be granted a second time by our own bucket.
            self._alone = (0.0, self._services.clock.boot())
        return granted, max(wait, SHORTEST_WAIT_SECONDS)

    async def leave(self) -> None:
        """No business of this worker is waiting any more: keep no permits for it."""
        if self._waiting:
            self._waiting = False
            with suppress(RedisUnavailableError):
                await self._ask(0, 1, 0)

    async def give_back(self, permits: int) -> None:
        """Give unused permits back to the bucket."""
        if self._rate == 0:
            return
        try:
            await self._services.streams.run_script(GIVE_BACK, [self._key], [str(self._burst), str(permits), str(KEEP_SECONDS)])
        except RedisUnavailableError:
            tokens, at = self._alone
            self._alone = (tokens + permits, at)

    async def _ask(self, wanted: int, businesses: int, most: int) -> tuple[int, float]:
        limits = [str(self._rate), str(self._burst), str(KEEP_SECONDS), str(GONE_SECONDS)]
        request = [
            self._services.ownership.incarnation.hex,
            str(businesses),
            str(wanted),
            str(most),
            str(LONGEST_WAIT_SECONDS),
            str(self._kept),
        ]
        granted, wait = await self._services.streams.run_script(TAKE, [self._key, self._turns], [*limits, *request])
        return int(granted), float(wait)

    def _take_alone(self, most: int) -> tuple[int, float]:
        now = self._services.clock.boot()
        share = self._rate / max(self._services.ownership.workers, 1)
        tokens, at = self._alone
        tokens = min(tokens + (now - at) * share, max(1.0, share * BURST_SECONDS))
        granted = min(int(tokens), most)
        self._alone = (tokens - granted, now)
        self._services.metrics.permits.labels("alone").inc(granted)
        return granted, max((1 - tokens) / share, SHORTEST_WAIT_SECONDS)
