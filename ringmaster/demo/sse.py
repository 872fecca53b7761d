"""Reads Server-Sent Events, as defined by the HTML standard (section 9.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator


@dataclass(slots=True)
class ServerEvent:
    """One event; `id` is what `Last-Event-ID` resumes from."""

    name: str = "message"
    data: str = ""
    id: str = ""


@dataclass(slots=True)
class _Draft:
    name: str = ""
    data: list[str] = field(default_factory=list)


async def events(lines: AsyncIterable[bytes]) -> AsyncIterator[ServerEvent]:
    """The events in a stream of lines; an event cut off by the end of the stream is dropped."""
    draft, last_id = _Draft(), ""
    async for raw in lines:
        line = raw.decode().rstrip("\r\n")
        if not line:
            if draft.data or draft.name:
                yield ServerEvent(draft.name or "message", "\n".join(draft.data), last_id)
            draft = _Draft()
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                draft.name = value
            case "data":
                draft.data.append(value)
            case "id":
                last_id = value
            case _:  # a comment, which keeps the connection open, or an unknown field
                pass
