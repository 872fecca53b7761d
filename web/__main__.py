"""`python -m web`: runs the web process until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from errno import EADDRNOTAVAIL
from functools import partial
from typing import TYPE_CHECKING, Final

from aiohttp import web as http

from dialer import start
from dialer.start import CannotStartError
from sql.errors import FAILED
from sql.unusable import UnfitServerError, why_unusable
from web.app import create_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialer.config import Settings

try:
    from uvloop import new_event_loop
except ImportError:  # no wheel for this platform
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] | None = None  # type: ignore[no-redef]

REQUIRED: Final = ("DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "SECRET_KEY")
# Requests in flight get this long to finish; a cancel with `wait` takes at most 8 s.
SHUTDOWN_SECONDS: Final = 10.0


def main() -> int:
    """Serve; 0 after an orderly stop, 1 when it could not start, 2 for invalid settings."""
    flags = argparse.ArgumentParser(prog="python -m web", description="The web process; its settings are in the environment.")
    flags.add_argument(
        "--share-port",
        action="store_true",
        help="let further web processes with this option listen on the same port; the kernel spreads the connections over them",
    )
    return start.run(partial(_work, share_port=flags.parse_args().share_port), REQUIRED)


def _work(settings: Settings, *, share_port: bool) -> int:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(settings, share_port=share_port))
    return 0


async def serve(settings: Settings, *, share_port: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; with `share_port` beside others that share it.

    Raises:
        ConfigError: when a business needs the default account, and it is not set.
        CannotStartError: when the port is in use, or the database is unavailable or rejects the connection.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # At shutdown, requests in flight may finish, but are cancelled after SHUTDOWN_SECONDS.
    server = http.AppRunner(create_app(settings), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    try:
        await server.setup()
    except (*FAILED, UnfitServerError) as fault:
        raise CannotStartError(why_unusable(fault, settings.database_url)) from None
    try:
        await _listen(server, settings.host, settings.port, share_port=share_port)
        logging.getLogger("web").info("listening on port %d of %s", settings.port, settings.host)
        await stop.wait()
    finally:
        await server.cleanup()


async def _listen(server: http.AppRunner, host: str, port: int, *, share_port: bool) -> None:
    try:
        # Not without being told to: a forgotten process of another installation would get half of our callbacks.
        await http.TCPSite(server, host, port, reuse_port=share_port).start()
    except OSError as fault:
        message = f"{'HOST' if fault.errno == EADDRNOTAVAIL else 'PORT'}: {fault.strerror or fault}"
        raise CannotStartError(message) from None


if __name__ == "__main__":
    sys.exit(main())
