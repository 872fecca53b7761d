"""A Redis that refuses writes, or hangs: no event is lost, each is published once and in order, and not every request times out."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import redis.asyncio as redis
from redis.exceptions import RedisError

from dialer.messages import EVENTS, REJECTED, CommandType, Event, RunChanged
from dialer.streams.client import CALLBACKS, RedisUnavailableError, Streams
from dialer.streams.relay_script import KEEP_RELAYED_SECONDS, mark
from ringmaster.local.ports import free_port
from ringmaster.local.valkey import Valkey
from sql.outbox.outbox import Outbox, Relay
from tests.chaos import polling
from tests.tcp_proxy import TcpProxy
from tests.web_site import RUNS as RUNS_PATH
from tests.web_site import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.rows import DatabaseFixture

BOUND_SECONDS = 30.0
RUNS, EACH = (1, 2, 3), 8
INSERT = """
INSERT INTO dialer.outbox (business_id, run_id, type, data)
SELECT 7, $1, 'job.changed', jsonb_build_object('n', n) FROM generate_series($2::int, $3) n
"""
ONE = "INSERT INTO dialer.outbox (business_id, run_id, type, data) VALUES (7, $1, $2, $3)"


class Own:
    """A Valkey of one test, which it may break."""

    def __init__(self, server: Valkey, raw: redis.Redis, path: Path) -> None:
        self.server, self.raw, self.url, self.path = server, raw, server.url, path

    async def events(self) -> list[dict[str, str]]:
        found: Any = await self.raw.xrange(EVENTS)
        return [fields for _, fields in found]

    async def set(self, **settings: object) -> None:
        for name, value in settings.items():
            await self.raw.config_set(name.replace("_", "-"), str(value))


@pytest_asyncio.fixture
async def own(tmp_path: Path) -> AsyncIterator[Own]:
    server = Valkey(tmp_path / "valkey")
    await server.start()
    raw = redis.Redis.from_url(server.url, decode_responses=True)
    yield Own(server, raw, tmp_path / "valkey")
    await raw.aclose()
    await server.stop()


@pytest_asyncio.fixture
async def streams(own: Own) -> AsyncIterator[Streams]:
    streams = Streams(own.url)
    yield streams
    await streams.close()


@asynccontextmanager
async def full(own: Own) -> AsyncIterator[None]:
    await own.set(maxmemory=1)
    yield
    await own.set(maxmemory=0)


@asynccontextmanager
async def read_only(own: Own) -> AsyncIterator[None]:
    """A replica of a primary that is not there: what a client sees after a fail-over it has not noticed."""
    await own.set(replica_serve_stale_data="yes")
    await own.raw.replicaof("127.0.0.1", str(free_port()))
    yield
    await own.raw.replicaof("NO", "ONE")


@asynccontextmanager
async def without_replicas(own: Own) -> AsyncIterator[None]:
    await own.set(min_replicas_to_write=1)
    yield
    await own.set(min_replicas_to_write=0)


@asynccontextmanager
async def without_a_disk(own: Own) -> AsyncIterator[None]:
    """The snapshot cannot be written: a directory has its name."""
    await own.raw.set("something", 1)
    (own.path / "dump.rdb" / "x").mkdir(parents=True)
    await own.set(save="3600 1")
    await own.raw.bgsave()
    assert await refused(own)
    yield
    await own.set(save="")


async def refused(own: Own) -> bool:
    async def answer() -> bool:
        try:
            await own.raw.set("x", 1)
        except RedisError:
            return True
        return False

    return await polling.until(answer, BOUND_SECONDS, "it refuses writes")


async def fill(database: DatabaseFixture, first: int, last: int) -> None:
    for run in RUNS:
        await database.pool.execute(INSERT, run, first, last)


async def left(database: DatabaseFixture) -> int:
    return int(await database.pool.fetchval("SELECT count(*) FROM dialer.outbox"))


async def empty(database: DatabaseFixture) -> None:
    async def answer() -> bool:
        return await left(database) == 0

    await polling.until(answer, BOUND_SECONDS, "the outbox is empty")


def in_order(events: list[dict[str, str]]) -> dict[str, list[str]]:
    per_run: dict[str, list[str]] = defaultdict(list)
    for fields in events:
        per_run[fields["run_id"]].append(fields["data"])
    return dict(per_run)


@pytest.mark.parametrize("refuses", [full, read_only, without_replicas, without_a_disk])
async def test_what_redis_refuses_waits_and_is_told_once_and_in_order(
    own: Own, streams: Streams, database: DatabaseFixture, refuses: Callable[[Own], Any]
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(Relay(Outbox(database.pool), streams))
        await fill(database, 1, EACH)
        await empty(database)
        async with refuses(own):
            assert await refused(own)
            await fill(database, EACH + 1, 2 * EACH)
            one = Relay(Outbox(database.pool), streams)
            with pytest.raises(RedisUnavailableError):
                await one.relay()
            assert not await streams.ping()
            assert not await streams.can_write()
            assert await streams.answers()
            # Nothing else is lost silently either: the caller gets an error.
            assert not await streams.keep_callback("1.1.x", {"CallSid": "CA1"})
            assert not await streams.send_hint(1, RunChanged(7, 1, CommandType.STOP))
            assert not await streams.publish([Event("run.progress", 7, 1, at=datetime.now(UTC))])
            assert await left(database) == len(RUNS) * EACH
        await empty(database)
    events = await own.events()
    assert in_order(events) == {str(run): [f'{{"n": {n}}}' for n in range(1, 2 * EACH + 1)] for run in RUNS}
    assert max(Counter(fields["id"] for fields in events).values()) == 1
    assert await streams.ping()


async def test_a_stream_that_is_none_loses_nothing(own: Own, streams: Streams, database: DatabaseFixture) -> None:
    """WRONGTYPE: the entry that was refused must not be marked as published."""
    await own.raw.set(EVENTS, "a text")
    await fill(database, 1, EACH)
    relay = Relay(Outbox(database.pool), streams)
    assert await relay.relay() == 0
    assert await own.raw.exists(*[mark(EVENTS, serial) for serial in range(1, 100)]) == 0
    await own.raw.delete(EVENTS)
    while await Relay(Outbox(database.pool), streams).relay():
        pass
    assert in_order(await own.events()) == {str(run): [f'{{"n": {n}}}' for n in range(1, EACH + 1)] for run in RUNS}


async def test_an_event_redis_will_not_take_holds_up_its_own_run_only(own: Own, streams: Streams, database: DatabaseFixture) -> None:
    """The stream of what was rejected cannot be written: 300 rejections wait, with the later events of their run, and nobody else does."""
    await own.raw.set(REJECTED, "a text")
    rejection = {"entry": "5-0", "reason": "no", "fields": {"id": "x"}}
    for _ in range(300):
        await database.pool.execute(ONE, 1, "command.rejected", rejection)
    await database.pool.execute(ONE, 1, "run.finished", {})
    await database.pool.execute(INSERT, 2, 1, EACH)
    relay = Relay(Outbox(database.pool), streams)
    while await left(database) > 301:
        await relay.relay()
    assert [fields["run_id"] for fields in await own.events()] == ["2"] * EACH
    await own.raw.delete(REJECTED)
    fresh = Relay(Outbox(database.pool), streams)
    while await fresh.relay():
        pass
    events = await own.events()
    assert (len(events), events[-1]["type"], await own.raw.xlen(REJECTED)) == (EACH + 301, "run.finished", 300)


async def test_a_relay_that_was_frozen_tells_nothing_again(own: Own, streams: Streams, database: DatabaseFixture) -> None:
    """It read the outbox, stood still for minutes, and wakes when the others have published it all and the marks are gone."""
    await fill(database, 1, EACH)
    outbox = Outbox(database.pool)
    read_at = await streams.time()
    read = await outbox.next(200)
    while await Relay(outbox, streams).relay():
        pass
    before = await own.events()
    ends = [await own.raw.ttl(mark(EVENTS, event.serial)) for event in read]
    assert all(0 < seconds <= KEEP_RELAYED_SECONDS for seconds in ends)
    # What the passing of two minutes does.
    await own.raw.delete(*[mark(EVENTS, event.serial) for event in read])
    with pytest.raises(RedisUnavailableError):
        await streams.relay(read, read_at - KEEP_RELAYED_SECONDS)
    assert await own.events() == before


async def test_what_was_told_and_not_deleted_is_not_told_again_after_hours(own: Own, streams: Streams, database: DatabaseFixture) -> None:
    """PostgreSQL goes away between the two: the mark waits for it."""
    await fill(database, 1, 1)
    read = await Outbox(database.pool).next(200)
    await streams.relay(read, await streams.time())
    assert min([await own.raw.ttl(mark(EVENTS, event.serial)) for event in read]) > 24 * 3600


async def test_a_text_nobody_can_send_is_cut_and_the_rest_is_told(own: Own, streams: Streams) -> None:
    await own.set(proto_max_bulk_len=1024 * 1024)
    now = streams._clock.now()
    events = [Event("job.changed", 1, 2, at=now, data={"text": "x" * 3_000_000}, serial=1), Event("job.changed", 1, 2, at=now, serial=2)]
    assert (await streams.relay(events, await streams.time())).published == (1, 2)
    assert [(fields["id"], fields["data"]) for fields in await own.events()] == [("e1", "{}"), ("e2", "{}")]


async def test_a_kept_callback_nobody_understands_is_passed(own: Own, streams: Streams) -> None:
    await own.raw.xadd(CALLBACKS, {"poem": "x"})
    await own.raw.xadd(CALLBACKS, {"reference": "r", "form": "[" * 100_000})
    assert await streams.keep_callback("r", {"CallSid": "CA1"})
    assert [(reference, form) for _, reference, form in await streams.kept_callbacks(10)] == [("", {}), ("", {}), ("r", {"CallSid": "CA1"})]


# -- a Redis that hangs ----------------------------------------------------------------------------------------------------------------


async def seconds_of(ask: Callable[[], Awaitable[object]]) -> float:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with suppress(RedisUnavailableError):
        await ask()
    return loop.time() - begun


async def test_a_redis_that_hangs_costs_one_question_its_time_out(own: Own) -> None:
    async with TcpProxy(own.url) as proxy:
        streams = Streams(proxy.url)
        try:
            assert await streams.send_hint(1, RunChanged(7, 1, CommandType.STOP))
            proxy.hanging = True
            asks: list[Callable[[], Awaitable[object]]] = [
                lambda: streams.send_hint(1, RunChanged(7, 1, CommandType.STOP)),
                lambda: streams.outage("AC1"),
                lambda: streams.keep_callback("r", {}),
                lambda: streams.publish([]),
                streams.can_write,
            ]
            spent = [await seconds_of(ask) for _ in range(40) for ask in asks]
            assert sum(seconds > 0.05 for seconds in spent) <= 2
            assert max(spent) < 5
            # A read that would block for long fails as soon.
            assert await seconds_of(lambda: streams.events_after("0-0", block_seconds=60)) < 5
            assert not await streams.can_write()
            proxy.hanging = False

            async def back() -> bool:
                return await streams.ping() and await streams.send_hint(1, RunChanged(7, 1, CommandType.STOP))

            await polling.until(back, BOUND_SECONDS, "it answers again")
        finally:
            await streams.close()


async def test_only_one_probes_at_a_time(own: Own) -> None:
    async with TcpProxy(own.url) as proxy:
        streams = Streams(proxy.url)
        try:
            proxy.hanging = True
            assert not await streams.answers()
            probed = 0
            loop = asyncio.get_running_loop()
            begun = loop.time()
            while loop.time() < begun + 3:
                spent = await asyncio.gather(*[seconds_of(lambda: streams.commands_after("0-0", block_seconds=1)) for _ in range(20)])
                slow = sum(seconds > 0.1 for seconds in spent)
                assert slow <= 1
                probed += slow
                await polling.lasting(0.05)
            # 0.25, 0.5, 1, 2 s apart, half a second each.
            assert 1 <= probed <= 4
        finally:
            await streams.close()


async def test_a_web_process_says_that_redis_refuses_writes(own: Own, database_url: str, database: DatabaseFixture) -> None:
    async with serving(database_url, own.url, database) as site:
        for refuses in (full, read_only):
            assert (await site.get("/readyz", token=None)).json["redis"] == "ok"
            async with refuses(own):
                response = await site.get("/readyz", token=None)
                assert (response.status, response.json) == (200, {"status": "degraded", "database": "ok", "redis": "refuses writes"})


async def test_a_redis_that_hangs_delays_neither_cancels_nor_pages(own: Own, database_url: str, database: DatabaseFixture) -> None:
    """But for the first that find out, before the answer or after it."""
    async with TcpProxy(own.url) as proxy, serving(database_url, proxy.url, database) as site:
        runs = [await site.load(1) for _ in range(60)]
        proxy.hanging = True
        # Whoever asks first learns it for all.
        await site.get(f"{RUNS_PATH}/{runs[0]}")
        spent: list[float] = []
        loop = asyncio.get_running_loop()
        for run in runs[1:]:
            begun = loop.time()
            assert (await site.get(f"{RUNS_PATH}/{run}")).status == 200
            assert (await site.post(f"/api/outbound_calls/jobs/{run}/cancel")).status == 200
            spent.append(loop.time() - begun)
        response = await site.get("/readyz", token=None)
        assert response.json["redis"] == "away"
    # Each of these took over two seconds.
    assert polling.percentile(spent, 0.9) < 0.5
    assert sum(spent) < 20
