"""Keeps the body of an upload in an unnamed temporary file, so that uploads in flight take no memory; the request's end removes it."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack, asynccontextmanager
from typing import IO, TYPE_CHECKING, Final

from web.intake.encoding import FileSource
from web.server.bodies import MEGABYTE, pieces_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web as http

    from web.intake.encoding import Source
    from web.server.bodies import BodyPace

MAX_BODY_BYTES: Final = 32 * MEGABYTE
# A thread writes this many bytes at a time.
WRITE_BYTES: Final = MEGABYTE


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


@asynccontextmanager
async def received(request: http.Request, pace: BodyPace) -> AsyncIterator[ReceivedBody]:
    """Receive the body of an upload, and remove it at the end.

    Raises:
        ApiError: 400, 408 or 413.
    """
    with await asyncio.to_thread(temporary_file) as file:
        buffer, size = bytearray(), 0
        async for piece in pieces_of(request, MAX_BODY_BYTES, pace):
            buffer += piece
            if len(buffer) >= WRITE_BYTES:
                size += await asyncio.to_thread(file.write, bytes(buffer))
                buffer.clear()
        size += await asyncio.to_thread(file.write, bytes(buffer))
        await asyncio.to_thread(file.flush)
        body = ReceivedBody(file, size)
        with body.closing:
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
