"""Our processes as a platform with a Procfile starts them: by honcho, from the Procfile of the checkout.

honcho ends all that it has started when one of them ends; a platform starts that one again. So in a `ProcfileCluster` each process has a
honcho of its own, as on a platform each has a container. A signal is for the process that the line of the Procfile has started. When that
is killed its honcho ends, and the test starts another one, as the platform's supervisor would. In a `FormationCluster` one honcho has
started all, as at a terminal: one that is killed takes the others with it, and all are started again.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from signal import SIGTERM, Signals
from typing import TYPE_CHECKING, Any, Final, cast

import psutil

from ringmaster.local.process import CHECKOUT, Child, Processes
from tests.chaos.cluster import MARK, READY_SECONDS, STOP_SECONDS, Cluster
from tests.chaos.polling import until

if TYPE_CHECKING:
    from collections.abc import Mapping

# What honcho is told for each of our modules.
EACH_ALONE: Final = {"web": ("web",), "actors": ("worker",)}
WORKERS: Final = 2
TOGETHER: Final = {"web": ("web", "worker", "-c", f"web=1,worker={WORKERS}")}
# The second one gets its share of the partitions half a minute later, which is not waited for.
ALL_OWNED: Final = """
SELECT (SELECT count(*) FROM dialer.workers w WHERE w.lease_until > now()) AS workers, count(*) AS partitions
FROM dialer.partitions p JOIN dialer.workers w ON w.incarnation = p.owner WHERE w.lease_until > now()
"""


def lives(process: psutil.Process) -> bool:
    """Whether it runs, or could again; not when only its parent has still to be told of its end."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


class Honcho(Child):
    """One `honcho start`, and what it has started."""

    def __init__(self, name: str, arguments: tuple[str, ...], *, log: Path, environment: Mapping[str, str]) -> None:
        # No file of settings: a platform has them in the environment, too. `python` is the one of the PATH.
        command = [sys.executable, "-m", "honcho", "--env", os.devnull, "start", *arguments]
        path = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
        # Whoever it has started would outlive a honcho that is killed.
        super().__init__(name, command, log=log, environment={**environment, "PATH": path}, death_signal=SIGTERM, directory=CHECKOUT)

    def started(self, module: str | None = None) -> list[psutil.Process]:
        """The living processes that lines of the Procfile have started: of one of our modules, or all."""
        try:
            everyone = [(process, process.cmdline()) for process in psutil.Process(self.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
        wanted = EACH_ALONE if module is None else {module}
        return [process for process, line in everyone if line[1:2] == ["-m"] and line[2] in wanted]

    def send(self, number: Signals) -> None:
        """Send a signal to what it has started; SIGTERM to honcho itself, which passes it on."""
        started = [] if number is SIGTERM else self.started()
        for process in started:
            process.send_signal(number)
        if not started:
            super().send(number)


class HonchoProcesses(Processes):
    """Starts our modules by the lines of the Procfile, and everything else as ever."""

    def __init__(self, logs: Path, lines: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__(logs, MARK)
        self._lines = lines

    def _begin(self, name: str, module: str, *arguments: str, environment: Mapping[str, str]) -> Child:
        if module not in self._lines:
            return super()._begin(name, module, *arguments, environment=environment)
        # honcho gives the first process this PORT, and the next kind one that is greater by 100.
        port = ("-p", environment["PORT"])
        rest = {name: value for name, value in environment.items() if name != "PORT"}
        return Honcho(name, (*port, *self._lines[module]), log=self._logs / f"{name}.log", environment=rest)


class ProcfileCluster(Cluster):
    """Each process has a honcho of its own; what takes arguments is described at `Cluster`."""

    lines: Mapping[str, tuple[str, ...]] = EACH_ALONE

    def __init__(self, path: Path, **options: Any) -> None:  # noqa: ANN401 - those of Cluster
        super().__init__(path, **options)
        self.processes = HonchoProcesses(path / "logs", self.lines)

    async def release(self) -> None:
        """The line `release` of the Procfile."""
        environment = {**os.environ, **self.environment, "DATABASE_URL": self.owner_url}
        await Honcho("release", ("release",), log=self.path / "release.log", environment=environment).finish()


class FormationCluster(ProcfileCluster):
    """One honcho starts a web process and two workers."""

    lines = TOGETHER

    @property
    def honcho(self) -> Honcho:
        """The honcho that runs now."""
        return cast("Honcho", self._web)

    async def scale(self, count: int) -> list[str]:
        """Wait until both workers have leases, and every partition an owner; their names are not known."""
        assert count <= WORKERS

        async def all_owned() -> bool:
            [row] = await self.rows(ALL_OWNED)
            return bool(row["workers"] == WORKERS and row["partitions"] == 256)

        await until(all_owned, READY_SECONDS, "two workers own every partition")
        return []

    async def ended(self) -> int | None:
        """Wait until honcho and all that it has started have ended; return its exit code."""
        started = self.honcho.started()
        assert await self.honcho.wait(STOP_SECONDS), self.honcho.status
        assert not any(map(lives, started))
        return self.honcho.exit_code
