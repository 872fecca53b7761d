"""Starts the process that reads a file, tells it what has arrived, and waits for its end or ends it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from web.intake.readers.arrival import tell
from web.intake.readers.reader_limits import ReadResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from web.intake.encoding import FileSource

ROOT: Final = Path(__file__).parents[3]
# Without the variables and the packages of the user; the module is found in the working directory.
COMMAND: Final = (sys.executable, "-E", "-s", "-m", "web.intake.readers")
# Longer than the processor time that it is given; from when the whole file is there, at most twice as long.
READER_SECONDS: Final = 120.0
MAX_LOGGED_CHARACTERS: Final = 4_000

log = logging.getLogger(__name__)


class ReaderProcess:
    """A process that reads one file; it has no variables of the environment, so none of our secrets."""

    def __init__(self, operation: str, file: FileSource, outputs: Mapping[str, int], order: Mapping[str, Any]) -> None:
        """Prepare to read `file`; `outputs` are files to be written, by their names; `order` is what the operation is told.

        Whoever prepares it must run it or stop it.
        """
        self._asked, self._news = os.pipe()
        self._files = (file.fileno, self._asked, *outputs.values())
        told = {"file": file.fileno, "start": file.start, "pipe": self._asked, "outputs": dict(outputs)}
        self._order = json.dumps({"operation": operation, **told, **order}).encode()
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_whole = self._is_closed = False

    def tell(self, size: int, *, whole: bool) -> None:
        """Tell it that the first `size` bytes of the file are there, and whether these are all."""
        with self._lock:
            self._is_whole = whole
            if not self._is_closed:
                tell(self._news, size, whole=whole)

    def run(self) -> int:
        """Run it to its end; return a ReadResult, or what a signal makes of it. Takes a thread.

        Raises:
            RuntimeError: when it has failed.
        """
        with tempfile.TemporaryFile() as order, tempfile.TemporaryFile() as trace:
            order.write(self._order)
            order.seek(0)
            with self._lock:
                if self._is_closed:
                    return ReadResult.UNWANTED
                # Our own program.
                self._process = subprocess.Popen(  # noqa: S603
                    COMMAND, stdin=order, stdout=subprocess.DEVNULL, stderr=trace, cwd=ROOT, env={}, pass_fds=self._files
                )
            ended = self._wait(self._process)
            was_stopped = self._is_closed
            self.stop()
            if ended not in set(ReadResult) and not was_stopped:
                trace.seek(0)
                log.warning("a reader of files ended with %d: %s", ended, trace.read().decode(errors="replace")[-MAX_LOGGED_CHARACTERS:])
        # Ours: 1, or 120 when the trace could not be written either. One that a signal ended has reached a limit.
        if ended > 0 and ended not in set(ReadResult):
            message = "the reader of files has failed"
            raise RuntimeError(message)
        return ended

    def stop(self) -> None:
        """End it, if it has not ended: its rows are not wanted any longer."""
        with self._lock:
            if self._process:
                self._process.kill()
            if not self._is_closed:
                self._is_closed = True
                os.close(self._asked)
                os.close(self._news)

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        while True:
            was_whole = self._is_whole
            try:
                return process.wait(READER_SECONDS)
            except subprocess.TimeoutExpired:
                if was_whole:
                    process.kill()
