"""Keeps the body of an upload in an unnamed temporary file, so that uploads in flight take no memory; the request's end removes it."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack, asynccontextmanager
from typing import IO, TYPE_CHECKING, Final

from web.intake.encoding import FileSource
from web.server.bodies import MEGABYTE, pieces_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from aiohttp import web as http

    from web.intake.encoding import Source
    from web.server.bodies import BodyPace

MAX_BODY_BYTES: Final = 32 * MEGABYTE
# A thread writes this many bytes at a time.
WRITE_BYTES: Final = MEGABYTE // 4
# A body up to this size is read within 30 ms, a quarter of what it takes to start a process.
SMALL_BYTES: Final = 64 * 1024


class ReceivedBody:
    """A body that has arrived; `size` in bytes."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self.size = size
        # What is removed with it.
        self.closing = ExitStack()

    def source(self, start: int = 0, end: int | None = None) -> FileSource:
        """The bytes from `start` to `end`, read piece by piece, as often as needed."""
        return FileSource(self.fileno(), start, self.size if end is None else end)

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`."""
        return b"".join(self.source(start, end)())

    def fileno(self) -> int:
        """The file descriptor."""
        return self._file.fileno()


class ArrivingBody(ReceivedBody):
    """A body of which the first `size` bytes have arrived."""

    def __init__(self, file: IO[bytes], pieces: AsyncIterator[bytes]) -> None:
        super().__init__(file, 0)
        self._left = pieces
        self.is_whole = False

    def pieces(self) -> Iterator[bytes]:
        """The bytes that are there."""
        return self.source()()

    async def receive_beginning(self) -> bool:
        """Receive as much as a small body has at most; return whether there may be more.

        Raises:
            ApiError: 400, 408 or 413.
        """
        while not self.is_whole and self.size <= SMALL_BYTES:
            await self._receive(SMALL_BYTES + 1)
        return not self.is_whole

    async def receive_rest(self, tell: Callable[[int], None] | None = None) -> None:
        """Receive all of it; `tell` is told how many bytes there are, at once and whenever there are more.

        Raises:
            ApiError: 400, 408 or 413.
        """
        if tell:
            tell(self.size)
        while not self.is_whole:
            await self._receive(WRITE_BYTES)
            if tell:
                tell(self.size)

    async def _receive(self, least: int) -> None:
        """Receive at least so many bytes, or what is left."""
        buffer = bytearray()
        while len(buffer) < least and not self.is_whole:
            piece = await anext(self._left, b"")
            buffer += piece
            self.is_whole = not piece
        self.size += await asyncio.to_thread(self._write, bytes(buffer))

    def _write(self, buffer: bytes) -> int:
        written = self._file.write(buffer)
        self._file.flush()
        return written


@asynccontextmanager
async def arriving(request: http.Request, pace: BodyPace) -> AsyncIterator[ArrivingBody]:
    """The body of an upload, which is received within the block, and removed at its end."""
    with await asyncio.to_thread(temporary_file) as file:
        body = ArrivingBody(file, pieces_of(request, MAX_BODY_BYTES, pace))
        with body.closing:
            yield body


@asynccontextmanager
async def received(request: http.Request, pace: BodyPace) -> AsyncIterator[ReceivedBody]:
    """Receive the body of an upload, and remove it at the end.

    Raises:
        ApiError: 400, 408 or 413.
    """
    async with arriving(request, pace) as body:
        await body.receive_rest()
        yield body


def temporary_file() -> IO[bytes]:
    """A file without a name, which is gone when it is closed."""
    return tempfile.TemporaryFile(prefix="ringmaster-")


def in_a_file(source: Source, closing: ExitStack) -> FileSource:
    """The bytes of `source` as those of a file, which `closing` removes if it is a new one."""
    if isinstance(source, FileSource):
        return source
    file = closing.enter_context(temporary_file())
    size = sum(map(file.write, source()))
    file.flush()
    return FileSource(file.fileno(), 0, size)
