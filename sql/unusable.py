"""Why a database cannot be used, in one line for whoever set DATABASE_URL; and the faults that show only once it is asked.

On the road of a call: before it, when a process connects.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg

from sql.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from sql.pool import Pool

MIN_VERSION = 14
_STATE = "SELECT current_setting('server_version_num')::int / 10000, current_setting('transaction_read_only') = 'on'"


class UnfitServerError(Exception):
    """The server answers, and cannot serve us; the message is one line."""


# The first that fits. `said` is what the server or the machine says.
SENTENCES: tuple[tuple[type[BaseException], str], ...] = (
    (UnfitServerError, "DATABASE_URL: {said}"),
    (asyncpg.InvalidAuthorizationSpecificationError, "DATABASE_URL: PostgreSQL refuses the user or the password ({said})"),
    (asyncpg.InvalidCatalogNameError, "DATABASE_URL: there is no such database ({said}); create it"),
    (asyncpg.ReadOnlySQLTransactionError, "DATABASE_URL: the server takes no writes ({said}); it must name the primary"),
    (asyncpg.TooManyConnectionsError, "PostgreSQL has no connection left ({said}); use fewer processes or a larger plan"),
    (asyncpg.PostgresError, "PostgreSQL refuses: {said}"),
    (asyncpg.InterfaceError, "PostgreSQL cannot be used: {said}"),
    (socket.gaierror, "DATABASE_URL: the host {host} is not found"),
    (ssl.SSLError, "DATABASE_URL: no secure connection to {host} ({said})"),
    (TimeoutError, "DATABASE_URL: {host} does not answer"),
    (BaseException, "DATABASE_URL: {host} cannot be reached ({said})"),
)


async def check_server(pool: Pool) -> None:
    """Make sure that the server is new enough and takes writes.

    Raises:
        UnfitServerError: when it does not.
    """
    version, read_only = await pool.fetchrow(_STATE)  # type: ignore[misc] # it always has a row
    if version < MIN_VERSION:
        message = f"PostgreSQL {version} is too old: {MIN_VERSION} or newer is needed"
        raise UnfitServerError(message)
    if read_only:
        message = "the server takes no writes (a standby, or default_transaction_read_only): DATABASE_URL must name the primary"
        raise UnfitServerError(message)


def why_unusable(error: BaseException, database_url: str) -> str:
    """One line that says what is wrong and what to do; without the password."""
    # The driver says it best.
    error = error.__cause__ if isinstance(error, DatabaseUnavailableError) and error.__cause__ else error
    said, host = _first_line(error), _host(database_url)
    sentence = next(sentence for kind, sentence in SENTENCES if isinstance(error, kind))
    return sentence.format(said=said, host=host)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]


def _host(database_url: str) -> str:
    found = urlsplit(database_url).netloc.rpartition("@")[2]
    return found or "the server"
