"""A child process of ours, and the group of those that one command runs: the embedded servers, the web process, the worker, the simulator.

Each runs in a session of its own, so that Ctrl-C at the terminal reaches the command only, and the kernel ends it together with the
command, even after kill -9 (launch.py). Nothing is restarted silently: a child that ends is reported with the end of its log.
A child that may be started again is, after a pause that grows while it keeps ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self

import dialer
from dialer.clock import SystemClock
from ringmaster.errors import CommandError
from ringmaster.local.orphans import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

CHECKOUT = Path(dialer.__file__).parents[1]
LAUNCHER = Path(__file__).with_name("launch.py")
READY_POLL_SECONDS = 0.05
WATCH_POLL_SECONDS = 0.1
SERVER_START_SECONDS = 60.0  # recovery after a crash included
SERVER_STOP_SECONDS = 20.0
READY_SECONDS = 30.0
STOP_SECONDS = 15.0  # an orderly stop of a worker takes 5 s at most
KILL_SECONDS = 5.0
# Before a child is started again: the first pause, and each further one twice as long, until it has lived for a minute.
PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
LIVED_SECONDS = 60.0
CLOCK = SystemClock()
PRIORITY = -10  # a nice value: about nine shares
TAIL_LINES = 15
TAIL_BYTES = 8192
LOGS_KEPT = 5
# A server needs little, and nothing of the caller's: PG* variables would change what the tools do.
SERVER_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class ChildError(CommandError):
    """A child process failed, ended too early or was not ready in time; the message has the end of its log."""


class Child:
    """One child process. `name` is for people; its output is appended to `log`.

    `death_signal` is sent by the kernel when the *thread* that started it ends: call from the main thread, or from one that lives as
    long. `owned` is a directory that the program must own when we are root and it may not be (launch.py).
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str],
        death_signal: signal.Signals = signal.SIGKILL,
        owned: Path | None = None,
        directory: Path = Path("/"),
    ) -> None:
        self.name = name
        self._log = log
        launcher: list[str | Path] = [sys.executable, "-I", "-S", LAUNCHER]
        # The launcher compares its parent with the id given here: ours may end before it can ask the kernel.
        orders = [str(os.getpid()), str(int(death_signal)), str(owned or "-")]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*launcher, *orders, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
                env=environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the number of the signal that ended it."""
        return self._process.poll()

    @property
    def ended(self) -> bool:
        """True when it no longer runs."""
        return self.exit_code is not None

    @property
    def status(self) -> str:
        """Whether it runs or how it ended, with the end of its log."""
        code = self.exit_code
        how = "is running" if code is None else f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return f"{self.name} (process {self.pid}) {how}; the end of {self._log}:\n{tail(self._log)}"

    def raise_priority(self) -> None:
        """Ask the scheduler for more than one share of the processors, where we may.

        Linux gives a session one share however many processes are in it (sched(7), autogroup): those of a server would together get no
        more than each of their clients.
        """
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.pid}/autogroup").write_text(str(PRIORITY))

    async def finish(self, within_seconds: float = SERVER_START_SECONDS) -> None:
        """Wait for a tool that ends by itself.

        Raises:
            ChildError: when it fails or takes too long.
        """
        try:
            await self.wait(within_seconds)
        finally:
            await self.end(signal.SIGKILL)
        if self.exit_code != 0:
            raise ChildError(self.status)

    async def ready(self, check: Callable[[], Awaitable[bool]], within_seconds: float = READY_SECONDS) -> None:
        """Wait until `check` is true, polling every 50 ms.

        Raises:
            ChildError: when the process ends first, or is not ready in time.
        """
        try:
            async with asyncio.timeout(within_seconds):
                while not self.ended:
                    if await check():
                        return
                    await asyncio.sleep(READY_POLL_SECONDS)  # another process gives no event
        except TimeoutError:
            message = f"{self.name} is not ready after {within_seconds:.0f} s: {self.status}"
            raise ChildError(message) from None
        raise ChildError(self.status)

    async def wait(self, within_seconds: float) -> bool:
        """Wait until it has ended; False when it has not in time."""
        return await until(lambda: self.ended, within_seconds)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; harmless after its end."""
        self._process.send_signal(number)

    async def end(self, first: signal.Signals, within_seconds: float = SERVER_STOP_SECONDS) -> None:
        """Send `first`, and SIGKILL if it has not ended in time."""
        self.send(first)
        if not await self.wait(within_seconds):
            self.send(signal.SIGKILL)
            await self.wait(KILL_SECONDS)


@dataclass
class _Place:
    """The place of a child in the order of starts. With `again`, another one takes it after its end: `due` then, after a `pause`."""

    child: Child
    again: Callable[[], Child] | None
    began: float
    pause: float = PAUSE_SECONDS
    due: float | None = None

    def follow(self) -> None:
        """Once the child has ended: say so, and start another one when it is due.

        Raises:
            ChildError: when no other one may take its place.
        """
        now = CLOCK.boot()
        if self.again is None:
            raise ChildError(self.child.status)
        if self.due is None:
            if now - self.began > LIVED_SECONDS:
                self.pause = PAUSE_SECONDS
            print(f"It is started again in {self.pause:g} s: {self.child.status}", file=sys.stderr, flush=True)
            self.due, self.pause = now + self.pause, min(2 * self.pause, LONGEST_PAUSE_SECONDS)
        elif now >= self.due:
            self.child, self.began, self.due = self.again(), now, None


class Processes:
    """The Python processes of one command, run from the checkout; leaving the block stops them, last started first.

    `mark` is put on every command line, so that the processes of a killed command can be found (orphans.py). Each start has a log of
    its own in `logs`.
    """

    def __init__(self, logs: Path, mark: str) -> None:
        self._logs = logs
        self._mark = mark
        self._places: list[_Place] = []

    async def __aenter__(self) -> Self:
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    def start(self, name: str, module: str, *arguments: str, environment: Mapping[str, str], restarts: bool = False) -> Child:
        """Start `python -m module arguments`; with `restarts`, `watch` starts it again when it ends.

        Secrets belong in `environment`: every user of the machine can read a command line.
        """

        def begin() -> Child:
            return self._begin(name, module, *arguments, environment=environment)

        child = begin()
        self._places.append(_Place(child, begin if restarts else None, CLOCK.boot()))
        return child

    def _begin(self, name: str, module: str, *arguments: str, environment: Mapping[str, str]) -> Child:
        log = self._logs / f"{name}.log"
        rotate(log)
        log.touch(mode=0o600)
        # Python accepts any -X option; this one only carries the mark.
        command = [sys.executable, "-X", self._mark, "-m", module, *arguments]
        return Child(name, command, log=log, environment=environment, directory=CHECKOUT)

    async def watch(self) -> NoReturn:
        """Start children again that have ended and may be; wait until another one ends, polling every 0.1 s.

        Raises:
            ChildError: when one has.
        """
        while True:
            for place in [place for place in self._places if place.child.ended]:
                place.follow()
            await asyncio.sleep(WATCH_POLL_SECONDS)  # another process gives no event

    async def stop(self) -> None:
        """End every child, last started first: SIGTERM, and SIGKILL for one that takes more than 15 s."""
        while self._places:
            await self._places[-1].child.end(signal.SIGTERM, STOP_SECONDS)
            self._places.pop()


def tail(log: Path) -> str:
    """The last 15 lines of a log, of its last 8 KB at most."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-TAIL_LINES:]) or "(empty)"


def rotate(log: Path) -> None:
    """Rename the logs of earlier starts: name.log.1 is the newest, five are kept."""
    for number in range(LOGS_KEPT, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        newer = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
        if newer.exists():
            newer.replace(older)
