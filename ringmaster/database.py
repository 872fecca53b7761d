"""The database of a command: DATABASE_URL, or that of the `python -m dialer up` that runs in the data directory."""

from __future__ import annotations

import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dialer.config import load
from ringmaster import notice
from ringmaster.errors import MISUSED, CommandError
from sql.audit.audit import CURRENT_ADDRESS
from sql.errors import FAILED
from sql.migrate import report
from sql.pool import open_pool
from sql.unusable import why_unusable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sql.pool import Pool

CONNECTIONS = 1


def address() -> str:
    """The address of the database.

    Raises:
        CommandError: when it is configured nowhere.
        ConfigError: when the environment is wrong.
    """
    settings = load()
    url = settings.database_url or notice.database_url(settings.data_dir)
    if not url:
        message = (
            f"DATABASE_URL is not set, and no `python -m dialer up` runs in {settings.data_dir}: "
            "set DATABASE_URL=postgresql://user:password@host/database, or start that first"
        )
        raise CommandError(message, MISUSED)
    return url


@asynccontextmanager
async def connected(database_url: str, *, any_schema: bool = False) -> AsyncIterator[Pool]:
    """A pool of one connection to a database whose schema is up to date, or with `any_schema` to one as it is.

    Raises:
        CommandError: when the database is not available, refuses the connection, or lacks migrations.
    """
    try:
        if not any_schema and not (await report(database_url)).up_to_date:
            message = "the schema of the database is not up to date: python -m sql migrate"
            raise CommandError(message)
        # For the audit log: from where.
        CURRENT_ADDRESS.set(socket.gethostname())
        async with await open_pool(database_url, name=f"dialer-cli:{os.getpid()}", size=CONNECTIONS) as pool:
            yield pool
    except BrokenPipeError:
        raise  # of our output, not of the database
    except FAILED as error:
        raise CommandError(why_unusable(error, database_url)) from error
