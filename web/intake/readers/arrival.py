"""A file that is read while it grows: a pipe tells the reader how much of it has arrived, and that somebody still wants its rows."""

from __future__ import annotations

import contextlib
import os
import select
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# So many bytes are there, and whether these are all; written at once, since it is shorter than PIPE_BUF.
NEWS: Final = struct.Struct("!Q?")
PIECE_BYTES: Final = 256 * 1024


class UnwantedError(Exception):
    """The other end of the pipe is closed."""


class ArrivingFile:
    """The bytes of an open file from `start` on, read as often as needed, by its own positions; waits for those that are not there."""

    def __init__(self, file: int, pipe: int, start: int = 0) -> None:
        self._file = file
        self._pipe = pipe
        self._start = start
        self._size = 0
        self._is_whole = False

    def __call__(self) -> Iterator[bytes]:
        """The bytes in pieces.

        Raises:
            UnwantedError: when nobody wants them any longer.
        """
        at = 0
        while self._is_there(at):
            piece = os.pread(self._file, min(PIECE_BYTES, self._size - at), self._start + at)
            at += len(piece)
            yield piece

    def _is_there(self, at: int) -> bool:
        while select.select([self._pipe], [], [], 0)[0] or (at >= self._size and not self._is_whole):
            news = os.read(self._pipe, NEWS.size)
            if not news:
                raise UnwantedError
            self._size, self._is_whole = NEWS.unpack(news)
        return at < self._size


def tell(pipe: int, size: int, *, whole: bool) -> None:
    """Tell the reader that `size` bytes are there; one that has ended is not told."""
    with contextlib.suppress(BrokenPipeError):
        os.write(pipe, NEWS.pack(size, whole))
