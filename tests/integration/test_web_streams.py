"""The stream of a whole business; malformed entries; limits and credentials of streams; readers that stop reading."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import redis.asyncio as redis

from dialer.clock import SystemClock
from dialer.messages import EVENTS, Event
from dialer.streams.client import Streams
from ringmaster.local.valkey import Valkey
from tests.browser_session import EMAIL, PASSWORD, BrowserSession
from tests.web_site import EVENTS_OF_BUSINESS, RUNS, ServerEvent, serving, token_digest
from web.access import credential_checks
from web.events import fanout as fanout_module
from web.events import frames, states, stream
from web.events.stream import MAX_RESUMED_ENTRIES
from web.server import keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.rows import DatabaseFixture
    from tests.web_site import EventReader, Site
    from web.events.fanout import Fanout

DEEP = "[" * 10_000 + "]" * 10_000


@pytest_asyncio.fixture
async def streams(redis_url: str) -> AsyncIterator[Streams]:
    found = Streams(redis_url)
    yield found
    await found.close()


def progress(business_id: int, run_id: int, n: int) -> Event:
    return Event("run.progress", business_id, run_id, at=SystemClock().now(), data={"n": n})


def fanout_of(site: Site) -> Fanout:
    found: Fanout = site.client.server.app[keys.FANOUT]  # type: ignore[attr-defined]
    return found


async def numbers(listening: EventReader, count: int) -> list[tuple[int, int]]:
    """The run and the number of each of the next progress events."""
    found: list[tuple[int, int]] = []
    while len(found) < count:
        received = await listening.next()
        if received.name == "run.progress":
            found.append((received.data["run_id"], received.data["data"]["n"]))
    return found


async def test_one_stream_has_all_runs_of_the_business_and_no_others(site: Site, streams: Streams) -> None:
    first, second = await site.load(2), await site.load(2)
    foreign = await site.rivals_run()
    await site.database.claim(site.business)
    async with site.listen(None) as listening:
        reset = (await listening.until("reset"))[-1]
        await streams.publish(
            [progress(site.business, first, 1), progress(site.rival, foreign, 2), progress(site.business, second, 3)],
        )
        assert await numbers(listening, 2) == [(first, 1), (second, 3)]
    assert [run["run_id"] for run in reset.data["runs"]] == [second, first]
    assert {call["run_id"] for call in reset.data["calls"]} == {first}
    assert (reset.data["live"], reset.data["more_runs"], reset.data["run_id"]) == (True, False, None)
    assert reset.id


async def test_a_business_s_reset_is_bounded_and_has_only_active_runs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "MAX_ACTIVE_RUNS", 2)
    ended = await site.load(1)
    drained = await site.load(3)
    await site.post(f"/api/outbound_calls/jobs/{ended}/cancel")
    await site.database.claim(site.business)
    await site.post("/api/outbound/stop-queue", {"run_id": drained})
    async with site.listen(None) as listening:
        reset = (await listening.until("reset"))[-1].data
    # The run has been stopped, but its calls are still on the line.
    assert ([run["run_id"] for run in reset["runs"]], reset["more_runs"], len(reset["calls"])) == ([drained], False, 3)
    newer = [await site.load(1, start=False) for _ in range(2)]
    async with site.listen(None) as listening:
        reset = (await listening.until("reset"))[-1].data
    assert ([run["run_id"] for run in reset["runs"]], reset["more_runs"]) == (newer[::-1], True)


async def test_the_stream_of_a_business_resumes_without_gap_or_repeat(site: Site, streams: Streams) -> None:
    runs = [await site.load(2, start=False) for _ in range(3)]
    foreign = await site.rivals_run()
    async with site.listen(None) as listening:
        await listening.until("reset")
        await streams.publish([progress(site.business, runs[n % 3], n) for n in range(6)])
        received = [await listening.next() for _ in range(6)]
    await streams.publish([progress(site.business if n % 2 else site.rival, runs[0] if n % 2 else foreign, n) for n in range(6, 12)])
    async with site.listen(None, after=received[2].id) as listening:
        await streams.publish([progress(site.business, runs[1], 99)])
        assert [n for _, n in await numbers(listening, 7)] == [3, 4, 5, 7, 9, 11, 99]
    await streams.run_script("return redis.call('XTRIM', KEYS[1], 'MAXLEN', 1)", [EVENTS], [])
    async with site.listen(None, after=received[2].id) as listening:
        assert (await listening.next()).name == "reset"


async def test_a_business_s_stream_does_not_end_with_its_last_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.2)
    run_id = await site.load(1)
    async with site.listen(None) as listening:
        await site.post("/api/outbound/stop-queue", {"run_id": run_id})
        await listening.until("run.finished")
        alive = (await listening.until("alive"))[-1]
        assert (alive.id, alive.data) == (None, {"type": "alive", "run_id": None})
        another = await site.load(1)
        assert (await listening.until("run.started"))[-1].data["run_id"] == another


@pytest.mark.parametrize(
    "odd",
    [
        {"business_id": "²"},
        {"run_id": "1" + "0" * 40},
        {"job_id": "²"},
        {"job_id": "9" * 5_000},
        {"data": DEEP},
        {"data": f'{{"a": {DEEP}}}'},
        {"data": '{"a": NaN}'},
        {"data": b"\xff\xfe"},
        {"type": b"run.\xff"},
        {"type": "end"},
        {"at": "\n\ndata: x"},
        {"command_id": "x" * 100_000},
    ],
)
async def test_a_malformed_entry_does_no_harm(site: Site, streams: Streams, redis_url: str, odd: dict[str, Any]) -> None:
    run_id = await site.load(2)
    fields: dict[Any, Any] = {"type": "job.changed", "business_id": str(site.business), "run_id": str(run_id), "data": "{}", **odd}
    async with site.listen(run_id) as listening, site.listen(None) as wide:
        await listening.until("reset")
        await wide.until("reset")
        async with redis.from_url(redis_url) as foreign:
            await foreign.xadd(EVENTS, fields)
        await streams.publish([progress(site.business, run_id, 7)])
        for each in (listening, wide):
            received = await each.until("run.progress")
            assert received[-1].data["data"] == {"n": 7}
            assert "end" not in [event.name for event in received]
    assert (await site.get(f"{RUNS}/{run_id}")).status == 200


async def test_a_failed_fan_out_restarts(site: Site, streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = await site.load(2)
    faults: list[BaseException] = [RuntimeError("nobody expected this"), asyncio.CancelledError()]
    real = frames.read_entry

    def fail(entry: Any) -> Any:  # noqa: ANN401 - as the real one
        if faults:
            raise faults.pop()
        return real(entry)

    monkeypatch.setattr(fanout_module, "read_entry", fail)
    async with site.listen(run_id) as listening:
        await listening.until("reset")
        while faults:
            await streams.publish([progress(site.business, run_id, 1)])
            # Events lost in the failure are replaced by the full state.
            await listening.next()
        async with asyncio.timeout(20):
            while fanout_of(site).away:
                await listening.next()
        await streams.publish([progress(site.business, run_id, 2)])
        assert (await listening.until("run.progress"))[-1].data["data"] == {"n": 2}
    assert (await site.get("/healthz")).status == 200


async def test_a_redis_that_rejects_writes_counts_as_unavailable(database_url: str, database: DatabaseFixture, tmp_path: Path) -> None:
    valkey = Valkey(tmp_path)
    await valkey.start()
    try:
        async with serving(database_url, valkey.url, database) as site, redis.from_url(valkey.url) as operator:
            run_id = await site.load(3)
            async with site.listen(run_id) as listening, site.listen(None) as wide:
                assert (await listening.until("reset"))[-1].data["live"] is True
                assert (await wide.until("reset"))[-1].data["live"] is True
                await operator.config_set("min-replicas-to-write", 1)
                for each in (listening, wide):
                    while (received := await each.next()).name != "reset" or received.data["live"]:
                        pass
                    assert received.id is None
                await site.database.claim(site.business)
                # There is no event about it; the next state includes it.
                while (received := await listening.next()).data["run"]["in_progress"] != 3:
                    pass
                await operator.config_set("min-replicas-to-write", 0)
                while (received := await listening.next()).name != "reset" or not received.data["live"]:
                    pass
                assert received.id
    finally:
        await valkey.stop()


async def test_streams_are_limited_per_user_and_per_business(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout_module, "MAX_LISTENERS_PER_USER", 3)
    monkeypatch.setattr(fanout_module, "MAX_LISTENERS_PER_BUSINESS", 5)
    run_id = await site.load(1)
    async with AsyncExitStack() as stack:
        for subject in (run_id, None, run_id):
            await (await stack.enter_async_context(site.listen(subject))).next()
        refused = await site.get(f"{RUNS}/{run_id}/events", token="viewer")
        assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, "crowded", "10")
        for _ in range(2):
            await (await stack.enter_async_context(site.listen(None, token="operator"))).next()
        assert (await site.get(EVENTS_OF_BUSINESS, token="admin")).code == "crowded"
        await (await stack.enter_async_context(site.listen(None, token="rival"))).next()
    async with asyncio.timeout(10):
        while fanout_of(site).watched(site.business) != ([], False):  # noqa: ASYNC110 - it knows no one who waits for it
            await asyncio.sleep(0)
    async with site.listen(None) as listening:
        await listening.next()


async def test_a_stream_ends_when_its_credential_is_revoked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(stream, "RECHECK_SECONDS", 0.2)
    monkeypatch.setattr(credential_checks, "RECHECK_SECONDS", 0.2)
    run_id = await site.load(1)
    async with site.listen(run_id, token="viewer") as listening, site.listen(None, token="operator") as other:
        await listening.until("reset")
        await site.database.pool.execute("DELETE FROM dialer.tokens WHERE hash = $1", token_digest("viewer"))
        async with asyncio.timeout(10):
            while True:
                try:
                    await listening.next()
                except EOFError:
                    break
        assert (await other.until("alive"))[-1].name == "alive"


async def test_a_page_s_stream_is_rejected_for_the_next_user(site: Site) -> None:
    user_id = await site.user(EMAIL, PASSWORD)
    browser = BrowserSession(site)
    await browser.sign_in()
    response = await browser.get(f"{EVENTS_OF_BUSINESS}?reader=user:{user_id + 1}")
    assert (response.status, response.json["code"]) == (409, "other_reader")
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    async with site.client.get(f"{EVENTS_OF_BUSINESS}?reader=user:{user_id}", headers={"Cookie": cookie}) as stream_response:
        assert stream_response.status == 200
    assert (await site.get(EVENTS_OF_BUSINESS, token=None)).status == 401


async def test_a_reader_that_stops_reading_is_disconnected(site: Site, streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "WRITE_SECONDS", 1.0)
    run_id = await site.load(1)
    address = site.client.make_url("/")
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.settimeout(0)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(slow, (address.host, address.port))
        await loop.sock_sendall(slow, f"GET {RUNS}/{run_id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer viewer\r\n\r\n".encode())
        async with asyncio.timeout(60):
            while fanout_of(site).watched(site.business)[0] != [run_id]:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0)
            large = Event("run.progress", site.business, run_id, at=SystemClock().now(), data={"n": "x" * 10_000})
            while fanout_of(site).watched(site.business)[0]:
                await streams.publish([large] * 20)
    finally:
        slow.close()


async def test_long_resumes_of_one_business_delay_no_other(site: Site, streams: Streams) -> None:
    run_id, foreign = await site.load(1), await site.rivals_run()
    async with site.listen(run_id) as listening:
        since = (await listening.until("reset"))[-1].id
    await streams.publish([progress(site.rival, foreign, n) for n in range(MAX_RESUMED_ENTRIES - 50)])
    await streams.publish([progress(site.business, run_id, 1)])
    assert since

    async def resume(token: str, subject: int | None) -> ServerEvent:
        async with site.listen(subject, after=since, token=token) as listening:
            return await listening.next()

    async with asyncio.TaskGroup() as group:
        crowd = [group.create_task(resume("rival", foreign)) for _ in range(60)]
        while not any(task.done() for task in crowd):  # noqa: ASYNC110 - whichever is first
            await asyncio.sleep(0)
        before = sum(task.done() for task in crowd)
        assert (await resume("viewer", run_id)).name == "run.progress"
        meanwhile = sum(task.done() for task in crowd) - before
        for task in crowd:
            task.cancel()
    # It takes turns with the other business, and does not wait for all sixty.
    assert meanwhile < 20
