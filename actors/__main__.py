"""`python -m actors`: a worker process.

On the road of a call: above 3.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from actors.worker import Worker
from actors.world import open_world
from dialer import log as logs
from dialer.config import ConfigError, Settings, load

REQUIRED = ("DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "SECRET_KEY")


async def work(settings: Settings) -> bool:
    """Drive calls until SIGTERM or SIGINT, or until this worker cannot go on: False then."""
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    async with open_world(settings) as world:
        worker = Worker(world, settings.worker, stopping)
        await worker.start()
        await stopping.wait()
        await worker.stop()
        return not worker.failed


def main() -> int:
    """Run until stopped; 0 then, 1 when it could not go on, 2 when the settings are wrong."""
    try:
        settings = load(*REQUIRED)
    except ConfigError as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    logs.configure(settings)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            return 0 if runner.run(work(settings)) else 1
        except ConfigError as fault:
            sys.stderr.write(f"{fault}\n")
            return 2


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.Loop


if __name__ == "__main__":
    sys.exit(main())
