"""Streams on a real Valkey: hints, commands, events; what happens when it is away, emptied, or written to by other programs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import redis.asyncio as redis

from dialer.config import ConfigError
from dialer.messages import COMMANDS, EVENTS, REJECTED, CommandType, Event, MalformedError, RunChanged, parse_command
from dialer.streams.client import RedisUnavailableError, Streams
from tests.chaos.polling import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOWHERE_URL = "redis://127.0.0.1:1"


@pytest_asyncio.fixture
async def streams(redis_url: str) -> AsyncIterator[Streams]:
    streams = Streams(redis_url)
    yield streams
    await streams.close()


@pytest_asyncio.fixture
async def raw(redis_url: str) -> AsyncIterator[redis.Redis]:
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    yield client
    await client.aclose()


async def entries(raw: redis.Redis, stream: str) -> list[dict[str, str]]:
    found: Any = await raw.xrange(stream)
    return [fields for _, fields in found]


async def test_words_reach_the_owner_in_order(streams: Streams) -> None:
    start = await streams.start_of_hints()
    hints = [RunChanged(7, n, CommandType.CANCEL, hang_up=n % 2 == 1) for n in range(5)]
    for hint in hints:
        assert await streams.send_hint(3, hint)
    found = await streams.hints_after({3: start, 4: start}, block_seconds=0.1)
    assert [(partition, hint) for partition, _, hint in found] == [(3, hint) for hint in hints]
    assert await streams.hints_after({3: found[-1][1]}, block_seconds=0.01) == []


async def test_a_word_nobody_understands_is_passed(streams: Streams, raw: redis.Redis) -> None:
    await raw.xadd("dialer:{inbox}:p3", {"kind": "poem", "body": "{"})
    [(_, _, hint)] = await streams.hints_after({3: "0-0"}, block_seconds=0.1)
    assert hint is None


async def test_each_event_once_however_many_relay_it(streams: Streams, raw: redis.Redis) -> None:
    events = [Event("job.changed", 1, 2, at=NOW, serial=n) for n in range(1, 50)]
    read_at = await streams.time()
    await asyncio.gather(*(streams.relay(events, read_at) for _ in range(4)))
    assert [fields["id"] for fields in await entries(raw, EVENTS)] == [f"e{n}" for n in range(1, 50)]


async def test_what_was_rejected_is_kept_with_its_reason(streams: Streams, raw: redis.Redis) -> None:
    data = {"entry": "5-0", "reason": "type must be one of ...", "fields": {"type": "run.dance", "id": "x"}}
    event = Event("command.rejected", 0, at=NOW, data=data, serial=1)
    await streams.relay([event], await streams.time())
    await streams.relay([event], await streams.time())
    [kept] = await entries(raw, REJECTED)
    assert kept == {"type": "run.dance", "id": "x", "reason": "type must be one of ...", "entry": "5-0"}


async def test_bytes_that_are_no_text_are_readable_all_the_same(streams: Streams, redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    await client.xadd(COMMANDS, {b"v": b"1", b"id": b"\xff\xfe", b"type": b"run.stop"})
    await client.aclose()
    [(entry, fields)] = await streams.commands_after("0-0", block_seconds=0.1)
    with pytest.raises(MalformedError, match=r"business_id"):
        parse_command(fields, entry)


async def test_away_is_said_within_its_bound() -> None:
    streams = Streams(NOWHERE_URL)
    try:
        async with asyncio.timeout(5):
            assert not await streams.send_hint(1, RunChanged(1, 1, CommandType.START))
            assert not await streams.ping()
            with pytest.raises(RedisUnavailableError):
                await streams.commands_after("0-0", block_seconds=0.1)
    finally:
        await streams.close()


async def test_events_are_read_from_where_the_reader_says(streams: Streams) -> None:
    assert await streams.event_window() == ("0-0", "0-0")
    await streams.publish([Event("run.progress", 1, n, at=NOW) for n in range(5)])
    oldest, newest = await streams.event_window()
    found = await streams.events_after("0-0", block_seconds=0.1)
    assert (found[0][0], found[-1][0]) == (oldest, newest)
    between = await streams.events_range(found[1][0], found[3][0], 10)
    assert [fields["run_id"] for _, fields in between] == ["2", "3"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", "2"),
        ("id", ""),
        ("id", "x" * 201),
        ("id", "a\nb"),
        ("type", "run.dance"),
        ("business_id", "-1"),
        ("business_id", "0"),
        ("business_id", "1; DROP TABLE x"),
        ("run_id", "99999999999"),
        ("run_id", "٣"),
        ("job_id", "x"),
        ("hang_up", "yes"),
        ("requested_by", "x" * 256),
    ],
)
async def test_a_malformed_command_names_its_field(field: str, value: str) -> None:
    good = {"v": "1", "id": "a", "type": "run.cancel", "business_id": "1", "run_id": "2", "hang_up": "1"}
    assert parse_command(good, "1-0").hang_up
    with pytest.raises(MalformedError, match=rf"^{field} "):
        parse_command({**good, field: value}, "1-0")
    if field in good and field != "hang_up":
        with pytest.raises(MalformedError, match=rf"^{field} "):
            parse_command({name: text for name, text in good.items() if name != field}, "1-0")


async def test_close_leaves_no_connection_open_whatever_is_in_flight(redis_url: str, raw: redis.Redis) -> None:
    before = await _clients_of(raw)
    for steps in range(60):
        streams = Streams(redis_url)
        in_flight = [asyncio.create_task(streams.ping()) for _ in range(3)]
        for _ in range(steps):
            await asyncio.sleep(0)
        await streams.close()
        await asyncio.gather(*in_flight)
        assert not await streams.ping(), "a connection that is closed stays closed"

    async def all_closed() -> bool:
        return await _clients_of(raw) <= before

    await until(all_closed, within_seconds=5, what="every connection closed")


async def _clients_of(raw: redis.Redis) -> set[str]:
    return {client["id"] for client in await raw.client_list()}


async def test_a_plain_server_at_the_address_of_a_cluster_is_refused(redis_url: str, raw: redis.Redis) -> None:
    streams = Streams(redis_url.replace("redis://", "redis+cluster://", 1))
    try:
        with pytest.raises(ConfigError, match="REDIS_URL: this Redis is no node of a cluster; write redis://"):
            await streams.require_fit()
        assert not await streams.ping()
        assert not await streams.keep_callback("1-2-3", {})
        assert not await streams.answers()
    finally:
        await streams.close()
    assert await raw.keys() == []
