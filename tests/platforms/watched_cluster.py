"""A cluster whose processes are read by Prometheus, and can be made to stand still."""

from __future__ import annotations

from signal import SIGUSR2
from typing import TYPE_CHECKING, Self

from ringmaster.local.ports import free_port
from tests.chaos.cluster import Cluster
from tests.chaos.polling import until
from tests.prometheus import Prometheus, watching

if TYPE_CHECKING:
    from pathlib import Path

WEB = "web"
READ_SECONDS = 30.0
# A call rings for some seconds, and is talked on for half a minute when it is slow.
SPEED = 4.0
# Python runs this in each of our processes; its handler runs in the thread of the event loop, which stands still for so long.
STANDSTILL = """
import signal, time
signal.signal(signal.SIGUSR2, lambda *_: time.sleep(4))
"""


class WatchedCluster(Cluster):
    """Use with `async with`; `prometheus` reads whatever is started."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, speed=SPEED, DIALER_WEBHOOK_ALLOWED_HOSTS="127.0.0.1", DIALER_RING_TIMEOUT_SECONDS="120")
        self._ports: dict[str, int] = {}
        self.prometheus: Prometheus

    async def __aenter__(self) -> Self:
        code = self.path / "standstill"
        code.mkdir()
        (code / "sitecustomize.py").write_text(STANDSTILL)
        self._settings["PYTHONPATH"] = str(code)
        await super().__aenter__()
        self.prometheus = await self._stack.enter_async_context(watching(self.http, self.path / "prometheus"))
        return self

    async def start_web(self) -> None:
        self._ports[WEB] = port = free_port()
        self.environment["DIALER_METRICS_PORT"] = str(port)
        await super().start_web()

    async def start_worker(self) -> str:
        port = free_port()
        self.environment["DIALER_METRICS_PORT"] = str(port)
        name = await super().start_worker()
        self._ports[name] = port
        return name

    async def watch_all(self) -> None:
        """Have Prometheus read every process that lives, and no other."""
        self._ports = {name: port for name, port in self._ports.items() if name == WEB or name in self.workers}
        self.prometheus.watch(list(self._ports.values()))
        await until(self._reads_all, READ_SECONDS, "Prometheus reads every process")

    async def _reads_all(self) -> bool:
        return await self.prometheus.up() == len(self._ports)

    def stand_still(self, name: str) -> None:
        """Block the event loop of a worker for some seconds."""
        self.signal(name, SIGUSR2)
