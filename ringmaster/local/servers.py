"""The two servers of an installation: those of the environment, or embedded ones."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ringmaster.errors import CommandError
from ringmaster.local.postgres import Postgres
from ringmaster.local.valkey import Valkey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Servers:
    """The addresses of both, and those that we started."""

    database_url: str
    redis_url: str
    embedded: tuple[Postgres | Valkey, ...]

    async def watch(self) -> NoReturn:
        """Wait until an embedded server ends, polling every 0.5 s.

        Raises:
            CommandError: when one has.
        """
        while all(server.alive for server in self.embedded):  # noqa: ASYNC110 another process gives no event
            await asyncio.sleep(POLL_SECONDS)
        ended = ", ".join(type(server).__name__ for server in self.embedded if not server.alive)
        message = f"the embedded {ended} has ended; its server.log says why"
        raise CommandError(message)


@asynccontextmanager
async def serving(data_dir: Path, *, database_url: str = "", redis_url: str = "") -> AsyncIterator[Servers]:
    """The servers for the length of a block; one without an address is started with its files under `data_dir`.

    Raises:
        CommandError: when an embedded one does not start.
    """
    async with AsyncExitStack() as stack:
        embedded: list[Postgres | Valkey] = []

        async def start(server: Postgres | Valkey) -> str:
            await server.start()
            stack.push_async_callback(server.stop)
            embedded.append(server)
            return server.url

        database_url = database_url or await start(Postgres(data_dir / "postgres"))
        redis_url = redis_url or await start(Valkey(data_dir / "valkey"))
        yield Servers(database_url, redis_url, tuple(embedded))
