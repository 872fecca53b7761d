"""Our own processes as children of the command: started, waited for, watched, stopped in order, none left behind.

Each is in a session of its own, so that Ctrl-C at the terminal reaches the command and not them, and the kernel ends it with the
command, even after kill -9. Nothing is started again silently: a child that ends is reported with the end of its log.

Beside the road of a call: it starts the web process, the worker and the simulator.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self

import dialer
from ringmaster.local.child import LAUNCHER
from ringmaster.refusal import RefusalError, single

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

CHECKOUT = Path(dialer.__file__).parents[1]
READY_SECONDS = 30.0
LOOK_SECONDS = 0.05
STOP_SECONDS = 15.0  # an orderly stop of a worker takes 5 s at most
KILL_SECONDS = 5.0
TAIL_LINES = 15
TAIL_BYTES = 8192
LOGS_KEPT = 5


class ChildEndedError(RefusalError):
    """A process ended that should not have; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """One of our processes: `name` is what people call it."""

    name: str
    process: subprocess.Process
    log: Path

    @property
    def fate(self) -> str:
        """What became of it, with the end of its log."""
        code = self.process.returncode
        how = "runs" if code is None else f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return f"{self.name} (process {self.process.pid}) {how}; the end of {self.log}:\n{tail(self.log)}"


class Processes:
    """The children of one command; they are stopped, last started first, when the block ends.

    `mark` is put on every command line: how those of a run that was killed are found again. Their logs are in `logs`, one a start.
    The kernel ends them with the *thread* that started them: use from the main thread.
    """

    def __init__(self, logs: Path, mark: str) -> None:
        self._logs = logs
        self._mark = mark
        self._children: list[Child] = []

    async def __aenter__(self) -> Self:
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self, name: str, module: str, *arguments: str, environment: Mapping[str, str]) -> Child:
        """Start `python -m module arguments` in the checkout."""
        log = self._logs / f"{name}.log"
        _turn(log)
        # Python takes any -X option; this one only says whose process it is.
        command = [sys.executable, "-X", self._mark, "-m", module, *arguments]
        # The mark is no secret and the simulator's port none either; whatever is goes through the environment.
        orders = [str(os.getpid()), str(int(signal.SIGKILL)), "-"]
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            process = await subprocess.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(LAUNCHER), *orders, *command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=CHECKOUT,
                env=environment,
                start_new_session=True,
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    async def ready(self, child: Child, answers: Callable[[], Awaitable[bool]]) -> None:
        """Wait until `answers` is true.

        Raises:
            ChildEndedError: when the child ends first.
            RefusalError: when it is not ready in 30 s.
        """
        try:
            async with asyncio.timeout(READY_SECONDS):
                while child.process.returncode is None:
                    if await answers():
                        return
                    await asyncio.sleep(LOOK_SECONDS)  # another process gives no event
        except TimeoutError:
            message = f"{child.name} is not ready after {READY_SECONDS:.0f} s: {child.fate}"
            raise RefusalError(message) from None
        raise ChildEndedError(child.fate)

    async def watch(self) -> NoReturn:
        """Wait until a child ends.

        Raises:
            ChildEndedError: when one has.
        """
        async with single(), asyncio.TaskGroup() as group:
            for child in self._children:
                group.create_task(_report_end(child))
        message = "there is no process to watch"
        raise RefusalError(message)

    async def stop(self) -> None:
        """End every child, last started first: SIGTERM, and SIGKILL for one that takes more than 15 s."""
        while self._children:
            await _end(self._children[-1].process)
            self._children.pop()


def tail(log: Path) -> str:
    """The last 15 lines of a log, of its last 8 KB at most."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-TAIL_LINES:]) or "(empty)"


async def _report_end(child: Child) -> NoReturn:
    await child.process.wait()
    raise ChildEndedError(child.fate)


async def _end(process: subprocess.Process) -> None:
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await process.wait()
            return


def _turn(log: Path) -> None:
    """Put the logs of earlier starts aside, name.log.1 the newest, five at most."""
    for number in range(LOGS_KEPT, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        newer = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
        if newer.exists():
            newer.replace(older)
