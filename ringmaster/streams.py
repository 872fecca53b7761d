"""The streams of a command: REDIS_URL, or the server of the `python -m dialer up` that runs in the data directory."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dialer.config import load
from dialer.streams.client import RedisUnavailableError, Streams
from ringmaster import notice
from ringmaster.errors import MISUSED, CommandError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def configured() -> Streams:
    """The streams at the configured address, not connected yet; the caller closes them.

    Raises:
        CommandError: when their address is configured nowhere.
        ConfigError: when the environment is wrong.
    """
    settings = load()
    url = settings.redis_url or notice.redis_url(settings.data_dir)
    if not url:
        message = f"REDIS_URL is not set, and no `python -m dialer up` runs in {settings.data_dir}: set REDIS_URL=redis://host:6379"
        raise CommandError(message, MISUSED)
    return Streams(url, ca_file=settings.redis_ca_file)


@asynccontextmanager
async def connected() -> AsyncIterator[Streams]:
    """The streams, for the length of a block.

    Raises:
        CommandError: when their address is configured nowhere, or Redis does not answer.
        ConfigError: when the environment is wrong.
    """
    streams = configured()
    try:
        yield streams
    except RedisUnavailableError as error:
        message = f"Redis does not answer: {error}"
        raise CommandError(message) from error
    finally:
        await streams.close()
