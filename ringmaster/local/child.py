"""A server's process: started through the launcher, waited for, ended, and found again when an earlier run left it behind.

Stands beside the road of a call: it keeps the servers that the road runs over from outliving us, or us from starting them twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from ringmaster.local.data_dir import DataDir, EmbeddedServerError, check_port, free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

LAUNCHER = Path(__file__).with_name("launch.py")
POLL_SECONDS = 0.01
START_SECONDS = 60.0  # recovery after a crash included
STOP_SECONDS = 20.0
ORPHAN_SECONDS = 10.0
FAVOUR = -10  # a nice value: about nine shares
PORT_TRIES = 3  # a port that was free may be taken before the server listens
# Little is needed, and nothing of the caller's: PG* variables would change what the tools do.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class Child:
    """One process of ours, in a session of its own, so that Ctrl-C at the terminal reaches us and not it.

    The kernel ends it with the *thread* that started it: call from the main thread, or from one that lives as long.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        place: DataDir,
        goodbye: signal.Signals,
        owner: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name = Path(command[0]).name
        self._place = place
        launcher: list[str | Path] = [sys.executable, "-I", "-S", LAUNCHER]
        # The child compares its parent with the one it was told: ours may end before it can ask the kernel.
        orders = [str(os.getpid()), str(int(goodbye)), str(place.path) if owner else "-"]
        with place.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*launcher, *orders, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={**ENVIRONMENT, **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """True when it runs no more."""
        return self._process.poll() is not None

    def favour(self) -> None:
        """Ask the scheduler for more than one share of the processors, where we may.

        Linux gives a session one share however many processes are in it (sched(7), autogroup): a server's would together get no more
        than each of those that wait for them.
        """
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.pid}/autogroup").write_text(str(FAVOUR))

    async def finish(self, within_seconds: float = START_SECONDS) -> None:
        """Wait for a tool that ends by itself.

        Raises:
            EmbeddedServerError: when it fails, or is not done in time.
        """
        try:
            await until(lambda: self.ended, within_seconds)
        finally:
            await self.end(signal.SIGKILL)
        if self._process.returncode != 0:
            what = f"failed with {self._process.returncode}"
            raise self.fault(what)

    async def ready(self, answers: Callable[[], bool], within_seconds: float = START_SECONDS) -> None:
        """Wait for a server until `answers` is true.

        Raises:
            EmbeddedServerError: when it ends first, or is not ready in time.
        """
        if not await until(lambda: self.ended or answers(), within_seconds):
            what = f"is not ready after {within_seconds:.0f} s"
            raise self.fault(what)
        if self.ended:
            what = f"ended with {self._process.returncode} while starting"
            raise self.fault(what)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; harmless when it has ended."""
        self._process.send_signal(number)

    async def end(self, politely: signal.Signals, within_seconds: float = STOP_SECONDS) -> None:
        """End it by `politely`, and by SIGKILL when that takes too long."""
        self.send(politely)
        if not await until(lambda: self.ended, within_seconds):
            self.send(signal.SIGKILL)
            await until(lambda: self.ended, STOP_SECONDS)

    def fault(self, what: str) -> EmbeddedServerError:
        """The error that says what happened, with the end of the log."""
        return EmbeddedServerError(f"{self._name} {what}; the end of {self._place.log}:\n{self._place.log_tail()}")


async def listen(port: int | None, serve: Callable[[int], Awaitable[None]], taken: Callable[[], bool]) -> int:
    """Run `serve` at `port`, or at a free one, again when that turns out to be `taken` in the meantime; gives the port.

    Raises:
        PortInUseError: when `port` is given and taken.
        EmbeddedServerError: what `serve` raises.
    """
    if port is not None:
        check_port(port)
        await serve(port)
        return port
    for _ in range(PORT_TRIES - 1):
        port = free_port()
        try:
            await serve(port)
        except EmbeddedServerError:
            if not taken():
                raise
        else:
            return port
    port = free_port()
    await serve(port)
    return port


async def until(true: Callable[[], bool], within_seconds: float) -> bool:
    """Wait for `true`, looking every 10 ms; the answer is what it was at the end."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_seconds):
            while not true():  # noqa: ASYNC110 another process gives no event
                await asyncio.sleep(POLL_SECONDS)
    return true()


async def end_marked(mark: str, politely: signal.Signals, within_seconds: float = ORPHAN_SECONDS) -> None:
    """End every process that carries `mark` in its title: what a killed run left behind, and workers that outlive their master.

    Raises:
        EmbeddedServerError: when one cannot be ended.
    """
    for number in (politely, signal.SIGKILL):
        found = marked(mark)
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.send_signal(number)
                process.resume()  # one that is stopped would not hear it
        if not found or await until(lambda: not marked(mark), within_seconds):
            return
    message = f"processes {[process.pid for process in marked(mark)]} of an earlier run do not end; end them by hand"
    raise EmbeddedServerError(message)


def marked(mark: str) -> list[psutil.Process]:
    """The living processes that carry `mark` in their title or command line."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(mark in part for part in process.info["cmdline"] or ())
    ]
