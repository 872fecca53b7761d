"""The database a command speaks to: DATABASE_URL, or that of the `python -m dialer up` that runs here.

Beside the road of a call.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dialer.config import load
from ringmaster import notice
from ringmaster.refusal import MISUSED, RefusalError
from sql.errors import FAILED
from sql.migrate import report
from sql.pool import open_pool
from sql.unusable import why_unusable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sql.pool import Pool

CONNECTIONS = 1


def address() -> str:
    """Where the database is.

    Raises:
        RefusalError: when nobody says.
        ConfigError: when the environment is wrong.
    """
    settings = load()
    found = settings.database_url or notice.database_url(settings.data_dir)
    if not found:
        message = (
            f"DATABASE_URL is not set, and no `python -m dialer up` runs in {settings.data_dir}: "
            "set DATABASE_URL=postgresql://user:password@host/database, or start that first"
        )
        raise RefusalError(message, MISUSED)
    return found


@asynccontextmanager
async def connected(database_url: str) -> AsyncIterator[Pool]:
    """A pool of one connection to a database whose schema is up to date.

    Raises:
        RefusalError: when the database is away, refuses, or lacks migrations.
    """
    try:
        if not (await report(database_url)).up_to_date:
            message = "the schema of the database is not up to date: python -m sql migrate"
            raise RefusalError(message)
        async with await open_pool(database_url, name=f"dialer-cli:{os.getpid()}", size=CONNECTIONS) as pool:
            yield pool
    except FAILED as error:
        raise RefusalError(why_unusable(error, database_url)) from error
