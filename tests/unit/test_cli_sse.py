"""The reader of Server-Sent Events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ringmaster.demo.sse import ServerEvent, events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def read(text: str) -> list[ServerEvent]:
    async def lines() -> AsyncIterator[bytes]:
        for line in text.encode().splitlines(keepends=True):
            yield line

    return [event async for event in events(lines())]


async def test_an_event_has_a_name_data_and_an_id() -> None:
    assert await read('id: 5-0\nevent: job.changed\ndata: {"a": 1}\n\n') == [ServerEvent("job.changed", '{"a": 1}', "5-0")]


async def test_an_id_lasts_until_the_next_one() -> None:
    found = await read("id: 5-0\ndata: a\n\ndata: b\n\nid: 6-0\ndata: c\n\n")
    assert [event.id for event in found] == ["5-0", "5-0", "6-0"]


@pytest.mark.parametrize("text", [": still here\n\n", "\n\n", "retry: 2000\n\n", "id: 7-0\n\n"])
async def test_what_is_no_event_is_passed_over(text: str) -> None:
    assert await read(text) == []


async def test_lines_of_data_are_joined_and_one_space_is_dropped() -> None:
    assert await read("data: a\r\ndata:  b\r\ndata\r\n\r\n") == [ServerEvent("message", "a\n b\n")]


async def test_an_event_that_is_cut_short_is_dropped() -> None:
    assert await read("data: whole\n\ndata: half") == [ServerEvent("message", "whole")]
