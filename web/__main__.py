"""`python -m web`: the web process, until SIGTERM or Ctrl-C.

On the road of a call: it holds 1 and 6, in as many processes as are started.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import TYPE_CHECKING, Final

from aiohttp import web as http

from dialer import log
from dialer.config import ConfigError, Settings, load
from web.app import create_app

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    from uvloop import new_event_loop
except ImportError:  # no wheel for this platform
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] | None = None  # type: ignore[no-redef]

REQUIRED: Final = ("DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "SECRET_KEY")
# Requests in progress are given this long; a cancel with `wait` takes at most 8 s.
SHUTDOWN_SECONDS: Final = 10.0


def main() -> int:
    """Serve; 0 after an orderly stop, 1 when it could not begin, 2 for bad settings."""
    try:
        settings = load(*REQUIRED)
    except ConfigError as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    log.configure(settings)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            runner.run(serve(settings))
        except ConfigError as fault:
            sys.stderr.write(f"{fault}\n")
            return 2
        except OSError as fault:
            logging.getLogger("web").error("cannot begin: %s", fault)  # noqa: TRY400 the message says it all
            return 1
    return 0


async def serve(settings: Settings) -> None:
    """Serve until a signal says stop.

    Raises:
        ConfigError: when a business needs the default account, and it is not set.
        OSError: when the port is taken, or the database does not answer.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # Requests in progress end by themselves, or are cut off after the time above.
    server = http.AppRunner(create_app(settings), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await server.setup()
    try:
        await http.TCPSite(server, port=settings.port).start()
        logging.getLogger("web").info("listening on port %d", settings.port)
        await stop.wait()
    finally:
        await server.cleanup()


if __name__ == "__main__":
    sys.exit(main())
