"""A door between the dialer and the simulator that can be shut: then connections are refused, as by a machine that is down.

The simulator behind it goes on, with its calls and its ledger, so that it can still be asked what happened.

On the road of a call: between 5 and the telephone company.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Self

from ringmaster.local.data_dir import LOCALHOST, free_port

CHUNK_BYTES = 65_536
END_OF_HEADERS = b"\r\n\r\n"
LAST_ANSWER = b"\r\nConnection: close\r\n\r\n"


@dataclass(eq=False)
class _Passage:
    """One connection through the door."""

    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    shutting: bool = False

    def end(self) -> None:
        for writer in self.writers:
            writer.close()


@dataclass
class TcpProxy:
    """Relays TCP from `port` to `inner` while it is open."""

    inner: int
    port: int = field(default_factory=free_port)
    _server: asyncio.Server | None = None
    _passages: set[_Passage] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shut()
        for passage in list(self._passages):
            passage.end()

    @property
    def url(self) -> str:
        """The address of the outer side."""
        return f"http://{LOCALHOST}:{self.port}"

    async def open(self) -> None:
        """Let connections through; harmless when it is open."""
        if self._server is None:
            self._server = await asyncio.start_server(self._through, LOCALHOST, self.port)

    async def shut(self) -> None:
        """Refuse connections from now on. One that is open ends after one more answer, which says so: no request is cut off on its way."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for passage in list(self._passages):
            passage.shutting = True

    async def _through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(LOCALHOST, self.inner)
        except OSError:
            writer.close()
            return
        passage = _Passage((writer, inner_writer))
        self._passages.add(passage)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_relay(passage, reader, inner_writer, asking=True))
                group.create_task(_relay(passage, inner_reader, writer, asking=False))
        finally:
            passage.end()
            self._passages.discard(passage)


async def _relay(passage: _Passage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asking: bool) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            last = passage.shutting and not asking
            # Every answer of the simulator fits in one piece.
            writer.write(chunk.replace(END_OF_HEADERS, LAST_ANSWER, 1) if last else chunk)
            await writer.drain()
            if last:
                break
    passage.end()
