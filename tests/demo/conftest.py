"""Starts `python -m dialer demo` and `up` as people do, in a directory of the test, and checks that no process is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

import dialer
from dialer.config import Settings
from ringmaster.local.data_dir import DataDir
from ringmaster.local.orphans import marked, until
from ringmaster.local.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    Run = Callable[..., contextlib.AbstractAsyncContextManager["Running"]]

CHECKOUT = Path(dialer.__file__).parents[1]
END_SECONDS = 30.0
LINE_SECONDS = 60.0


@dataclass
class Running:
    """A running command; `lines` is its output so far."""

    process: asyncio.subprocess.Process
    home: Path
    lines: list[str] = field(default_factory=list)

    @property
    def out(self) -> str:
        return "".join(self.lines)

    async def until_line(self, pattern: str, within_seconds: float = LINE_SECONDS) -> re.Match[str]:
        """Read up to the line that contains `pattern`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(within_seconds):
            while line := (await self.process.stdout.readline()).decode():
                self.lines.append(line)
                if found := re.search(pattern, line):
                    return found
        message = f"it ended without {pattern!r}:\n{self.out}"
        raise AssertionError(message)

    async def end(self, within_seconds: float = END_SECONDS) -> int:
        """Read to the end; returns the exit code."""
        assert self.process.stdout is not None
        async with asyncio.timeout(within_seconds):
            self.lines.append((await self.process.stdout.read()).decode())
            return await self.process.wait()

    def left(self) -> list[psutil.Process]:
        """The living processes of this command's directory, without the command."""
        homes = (self.home, *(self.home / name for name in ("postgres", "valkey")))
        return [process for home in homes for process in marked(DataDir(home).mark)]

    async def nothing_left(self) -> bool:
        """Wait until none of its processes lives; False when one still does."""
        return await until(lambda: not self.left(), END_SECONDS)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Start `python -m dialer ...` with its data under the test's directory; processes that are left after the test are killed."""
    started: list[Running] = []

    @asynccontextmanager
    async def start(*arguments: str, own_port: bool = True, before: tuple[str, ...] = (), **environment: str) -> AsyncIterator[Running]:
        if arguments[0] == "demo" and own_port:
            arguments = (*arguments, "--port", str(free_port()))
        home = tmp_path / "demo" if "demo" in arguments else tmp_path
        ours = {str(setting.alias) for setting in Settings.model_fields.values()}
        clean = {name: value for name, value in os.environ.items() if name not in ours}
        process = await asyncio.create_subprocess_exec(
            *(*before, sys.executable, "-m", "dialer", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=CHECKOUT,
            env={**clean, "DIALER_DATA_DIR": str(tmp_path), **environment},
        )
        running = Running(process, home)
        started.append(running)
        try:
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    yield start
    for orphan in {process for running in started for process in running.left()}:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.kill()
