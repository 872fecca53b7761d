"""The two servers an installation runs on: those of the environment, or embedded ones of its own.

Beside the road of a call: what the road runs over.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from ringmaster.local.data_dir import EmbeddedServerError
from ringmaster.local.postgres import Postgres
from ringmaster.local.valkey import Valkey
from ringmaster.refusal import RefusalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Servers:
    """Where they are, and those of them that are ours."""

    database_url: str
    redis_url: str
    own: tuple[Postgres | Valkey, ...]

    async def watch(self) -> NoReturn:
        """Wait until a server of ours ends, looking every 0.5 s.

        Raises:
            RefusalError: when one has.
        """
        while all(server.alive for server in self.own):  # noqa: ASYNC110 another process gives no event
            await asyncio.sleep(LOOK_SECONDS)
        ended = ", ".join(type(server).__name__ for server in self.own if not server.alive)
        message = f"the embedded {ended} has ended; its server.log says why"
        raise RefusalError(message)


@asynccontextmanager
async def serving(data_dir: Path, *, database_url: str = "", redis_url: str = "") -> AsyncIterator[Servers]:
    """The servers for the length of a block; one without an address is started with its files under `data_dir`.

    Raises:
        RefusalError: when an embedded one does not start.
    """
    async with AsyncExitStack() as stack:
        own: list[Postgres | Valkey] = []
        try:
            if not database_url:
                own.append(postgres := Postgres(data_dir / "postgres"))
                await postgres.start()
                stack.push_async_callback(postgres.stop)
                database_url = postgres.url
            if not redis_url:
                own.append(valkey := Valkey(data_dir / "valkey"))
                await valkey.start()
                stack.push_async_callback(valkey.stop)
                redis_url = valkey.url
        except EmbeddedServerError as error:
            raise RefusalError(str(error)) from error
        yield Servers(database_url, redis_url, tuple(own))
