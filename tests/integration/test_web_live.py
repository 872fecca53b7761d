"""Live events: none is missed or repeated, and the stream ends when the run is over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest_asyncio

from dialer.clock import SystemClock
from dialer.messages import EVENTS, CommandType, Event
from dialer.model import AttemptState
from dialer.streams.client import Streams
from ringmaster.local.valkey import Valkey
from tests.web_site import RUNS, serving
from web.events.frames import parse_id
from web.events.listener import MAX_WAITING_EVENTS
from web.server import keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.rows import DatabaseFixture
    from tests.web_site import EventReader, ServerEvent, Site
    from web.events.frames import FramedEvent
    from web.events.listener import Listener


@pytest_asyncio.fixture
async def streams(redis_url: str) -> AsyncIterator[Streams]:
    found = Streams(redis_url)
    yield found
    await found.close()


def progress(site: Site, run_id: int, n: int, business_id: int | None = None) -> Event:
    return Event("run.progress", business_id or site.business, run_id, at=SystemClock().now(), data={"n": n})


def numbers(received: list[ServerEvent]) -> list[int]:
    return [event.data["data"]["n"] for event in received if event.name == "run.progress"]


async def take(listening: EventReader, count: int) -> list[ServerEvent]:
    return [await listening.next() for _ in range(count)]


async def publish_and_wait(listener: Listener, streams: Streams, event: Event) -> None:
    """Wait until the fan-out has passed on this event: from then on only the listener is tested."""
    async with asyncio.timeout(10):
        while not listener.take():
            listener.restart()
            await streams.publish([event])
            await listener.wait(1)


async def finish(site: Site, run_id: int) -> None:
    """Dial every lead as a worker would; each is answered."""
    while True:
        attempts, _ = await site.database.claim(site.business)
        if not attempts:
            break
        for attempt in attempts:
            await site.post_callback(attempt, "completed")
    assert (await site.database.checked_run(site.business, run_id)).status.ended


async def test_the_full_state_comes_first(site: Site) -> None:
    run_id = await site.load(5)
    attempts, _ = await site.database.claim(site.business)
    async with site.listen(run_id) as listening:
        reset = await listening.next()
    assert (reset.name, reset.data["run"]["in_progress"], reset.data["run"]["total_leads"]) == ("reset", 3, 5)
    assert [call["job_id"] for call in reset.data["calls"]] == [attempt.job_id for attempt in attempts]
    assert reset.id


async def test_a_run_is_followed_to_its_end(site: Site) -> None:
    run_id = await site.load(4)
    async with site.listen(run_id) as listening:
        await listening.until("reset")
        await finish(site, run_id)
        received = await listening.until("end")
        assert await listening.ended()
    names = [event.name for event in received]
    assert names.count("job.changed") == 4
    assert names[-2:] == ["run.finished", "end"]
    assert received[-1].data["run"]["status"] == "completed"
    changed = next(event for event in received if event.name == "job.changed")
    assert (changed.data["type"], changed.data["run_id"]) == ("job.changed", run_id)
    assert changed.data["job_id"]
    assert changed.data["data"]["status"] == "completed"
    assert changed.data["at"]
    ids = [event.id for event in received if event.id]
    assert len(set(ids)) == len(ids)


async def test_a_run_that_is_over_ends_at_once(site: Site) -> None:
    run_id = await site.load(1, start=False)
    await site.post(f"/api/outbound_calls/jobs/{run_id}/cancel")
    async with site.listen(run_id) as listening:
        assert [event.name for event in await listening.until("end")] == ["reset", "end"]
        assert await listening.ended()


async def test_a_stopped_run_ends_when_its_calls_do(site: Site) -> None:
    run_id = await site.load(5)
    attempts, _ = await site.database.claim(site.business)
    async with site.listen(run_id) as listening:
        await site.post("/api/outbound/stop-queue", {"run_id": run_id})
        received = await listening.until("run.finished")
        assert "end" not in [event.name for event in received]
        for attempt in attempts:
            await site.post_callback(attempt, "completed")
        assert [event.name for event in await listening.until("end")][-2:] == ["run.drained", "end"]


async def test_the_end_comes_after_the_last_event_even_when_the_calls_are_over_before_the_first(site: Site, streams: Streams) -> None:
    run_id = await site.load(5)
    attempts, _ = await site.database.claim(site.business)
    async with site.listen(run_id) as listening:
        await listening.until("reset")
        await site.database.command(site.business, CommandType.STOP, run_id)
        for attempt in attempts:
            await site.database.record(attempt, AttemptState.OVER, outcome="completed")
        # The run is over when the first of its events is heard, and the last has not been relayed yet.
        summary = {"total_leads": 5, "completed": 0, "failed": 0, "cancelled": 2, "skipped": 0}
        await streams.publish([Event("run.finished", site.business, run_id, at=SystemClock().now(), data=summary)])
        assert [event.name for event in await listening.until("end")][-2:] == ["run.drained", "end"]


async def test_a_stream_has_only_events_of_its_run(site: Site, streams: Streams) -> None:
    # Not started: the events of a start are relayed with a delay, and one might come in between.
    run_id, other = await site.load(2, start=False), await site.load(2, start=False)
    async with site.listen(run_id) as listening:
        await listening.next()
        await streams.publish(
            [
                progress(site, other, 1),
                progress(site, run_id, 2, site.rival),
                progress(site, run_id, 3),
                Event("worker.started", 0, at=SystemClock().now()),
            ]
        )
        assert numbers([await listening.next()]) == [3]


async def test_resuming_has_no_gap_and_no_repeat(site: Site, streams: Streams) -> None:
    # Not started: the events of a start are relayed with a delay, and one might come in between.
    run_id, other = await site.load(2, start=False), await site.load(2, start=False)
    async with site.listen(run_id) as listening:
        await listening.next()
        await streams.publish([progress(site, run_id, n) for n in range(5)])
        received = await take(listening, 5)
    # Without a listener more events are published, also of other runs.
    await streams.publish([progress(site, run_id if n % 2 else other, n) for n in range(5, 15)])
    async with site.listen(run_id, after=received[2].id) as listening:
        again = await take(listening, 7)
        await streams.publish([progress(site, run_id, 99)])
        again.append(await listening.next())
    assert numbers(received) == [0, 1, 2, 3, 4]
    assert numbers(again) == [3, 4, 5, 7, 9, 11, 13, 99]


async def test_a_listener_that_joins_under_load_misses_nothing(site: Site, streams: Streams) -> None:
    # Not started: the events of a start are relayed with a delay, and one might come in between.
    run_id = await site.load(2, start=False)

    async def storm() -> None:
        for n in range(300):
            await streams.publish([progress(site, run_id, n)])

    storming = asyncio.ensure_future(storm())
    for _ in range(5):
        async with site.listen(run_id) as listening:
            reset = await listening.next()
            assert reset.name == "reset"
            received = numbers(await take(listening, 10))
            assert received == list(range(received[0], received[0] + 10))
            last = await listening.next()
        async with site.listen(run_id, after=last.id) as listening:
            assert numbers([await listening.next()]) == [received[-1] + 2]
    await storming


async def test_trimmed_events_are_replaced_by_the_full_state(site: Site, streams: Streams) -> None:
    # Not started: the events of a start are relayed with a delay, and one might come in between.
    run_id = await site.load(2, start=False)
    await streams.publish([progress(site, run_id, n) for n in range(3)])
    oldest, newest = await streams.event_window()
    await streams.run_script("return redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])", [EVENTS], [newest])
    for after in (oldest, "99999999999999-0", "nonsense", "0-0", "1" * 60):
        async with site.listen(run_id, after=after) as listening:
            assert (await listening.next()).name == "reset"
    async with site.listen(run_id, after=newest) as listening:
        await streams.publish([progress(site, run_id, 7)])
        assert numbers([await listening.next()]) == [7]


async def test_a_slow_listener_restarts_from_the_full_state(site: Site, streams: Streams) -> None:
    run_id = await site.load(2)
    fanout = site.client.server.app[keys.FANOUT]  # type: ignore[attr-defined]
    with fanout.listen(site.business, run_id, "user:1") as slow:
        await publish_and_wait(slow, streams, progress(site, run_id, 0))
        await streams.publish([progress(site, run_id, n) for n in range(MAX_WAITING_EVENTS + 1)])
        async with asyncio.timeout(10):
            while not slow.missed:
                assert await slow.wait(10)
        assert slow.take() == []
        slow.restart()
        await streams.publish([progress(site, run_id, 7)])
        _, newest = await streams.event_window()
        taken: list[FramedEvent] = []
        # Earlier events may still be in flight to it, but none that it has missed.
        while not taken or taken[-1].id != parse_id(newest):
            assert await slow.wait(10)
            taken += slow.take()
        assert not slow.missed


async def test_without_redis_the_state_is_sent_repeatedly(site_without_redis: Site) -> None:
    site = site_without_redis
    run_id = await site.load(4)
    async with site.listen(run_id) as listening:
        assert (await listening.next()).data["run"]["in_progress"] == 0
        await site.database.claim(site.business)
        while (reset := await listening.next()).data["run"]["in_progress"] == 0:
            assert (reset.name, reset.id) == ("reset", None)
        assert reset.data["run"]["in_progress"] == 3
        await site.post("/api/outbound/stop-queue", {"run_id": run_id})
        for attempt in await site.database.attempts.open_of_partitions(list(range(256))):
            attempt_fact = await site.database.pool.fetchval("SELECT dialer.rank_of($1)", attempt.state)
            assert attempt_fact == 1
            await site.database.pool.execute(
                "UPDATE dialer.attempts SET send_by = now() - interval '9 seconds' WHERE id = $1", attempt.attempt_id
            )
        await site.post(f"/api/outbound_calls/jobs/{run_id}/cancel", {"wait": True})
        jobs = (await site.get(f"{RUNS}/{run_id}/jobs?status=dialing")).json["items"]
        for job in jobs:
            await site.post(f"{RUNS}/{run_id}/jobs/{job['job_id']}/resolve", {"as": "over"})
        assert (await listening.until("end"))[-1].data["run"]["status"] == "stopped"


async def test_redis_comes_back_empty(database_url: str, database: DatabaseFixture, tmp_path: Path) -> None:
    valkey = Valkey(tmp_path)
    await valkey.start()
    streams = Streams(valkey.url)
    try:
        async with serving(database_url, valkey.url, database) as site:
            run_id = await site.load(3)
            async with site.listen(run_id) as listening:
                await listening.until("reset")
                await streams.run_script("return redis.call('FLUSHALL')", [EVENTS], [])
                await streams.publish([progress(site, run_id, 1)])
                await listening.until("run.progress")
                await valkey.stop()
                await listening.until("reset")
                await valkey.start()
                while (await listening.next()).id is None:
                    pass
                while not await streams.publish([progress(site, run_id, 2)]):
                    pass
                assert numbers(await listening.until("run.progress")) == [2]
                await finish(site, run_id)
                await listening.until("end")
    finally:
        await streams.close()
        await valkey.stop()


async def test_streams_end_when_the_process_does(database_url: str, redis_url: str, database: DatabaseFixture) -> None:
    async with serving(database_url, redis_url, database) as site:
        run_id = await site.load(3, start=False)
        async with site.listen(run_id) as listening:
            await listening.next()
            async with asyncio.timeout(15):
                await site.client.server.close()
            assert await listening.ended()


async def test_the_end_of_a_job_is_an_event(site: Site) -> None:
    run_id = await site.load(3)
    attempts, _ = await site.database.claim(site.business)
    async with site.listen(run_id) as listening:
        await listening.next()
        await site.database.record(attempts[0], AttemptState.OVER, outcome="busy")
        received = await listening.until("job.changed")
    assert (received[-1].data["job_id"], received[-1].data["data"]["outcome"]) == (attempts[0].job_id, "busy")
