"""`python -m actors`: a worker process."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from actors.bootstrap import open_services
from actors.worker import Worker
from dialer import start
from dialer.start import CannotStartError
from dialer.watch.loop_watch import LoopWatch
from dialer.watch.metrics_port import MetricsPort
from sql.errors import FAILED
from sql.unusable import UnfitServerError, why_unusable

if TYPE_CHECKING:
    from dialer.config import Settings

REQUIRED = ("DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "SECRET_KEY")


async def work(settings: Settings) -> bool:
    """Place and follow calls until SIGTERM or SIGINT, or until this worker cannot go on: False then.

    Raises:
        ConfigError: when a business needs the default account, and it is not set.
        CannotStartError: when the database does not answer or refuses.
    """
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    async with AsyncExitStack() as stack:
        try:
            services = await stack.enter_async_context(open_services(settings))
        except (*FAILED, UnfitServerError) as fault:
            raise CannotStartError(why_unusable(fault, settings.database_url)) from None
        worker = Worker(services, settings.worker, stopping)
        watch = await stack.enter_async_context(LoopWatch(services.clock))
        services.metrics.show_loop(watch)
        port = MetricsPort(
            settings.host, settings.metrics_port, export=services.metrics.export, trouble=lambda: watch.trouble or worker.trouble
        )
        await stack.enter_async_context(port)
        await worker.start()
        await stopping.wait()
        await worker.stop()
        return not worker.failed


def main() -> int:
    """Run until stopped; 0 then, 1 when it could not go on, 2 when the settings are wrong."""
    return start.run(_work, REQUIRED)


def _work(settings: Settings) -> int:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return 0 if runner.run(work(settings)) else 1


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.Loop


if __name__ == "__main__":
    sys.exit(main())
