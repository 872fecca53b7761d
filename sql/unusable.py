"""Explains in one line why a database cannot be used, and checks the server for what only a query shows."""

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
    """The server answers, but cannot be used; the message is one line."""


# The first that matches applies; `reason` is the message of the server or the operating system.
SENTENCES: tuple[tuple[type[BaseException], str], ...] = (
    (UnfitServerError, "DATABASE_URL: {reason}"),
    (asyncpg.InvalidAuthorizationSpecificationError, "DATABASE_URL: PostgreSQL refuses the user or the password ({reason})"),
    (asyncpg.InvalidCatalogNameError, "DATABASE_URL: there is no such database ({reason}); create it"),
    (asyncpg.ReadOnlySQLTransactionError, "DATABASE_URL: the server takes no writes ({reason}); it must name the primary"),
    (asyncpg.TooManyConnectionsError, "PostgreSQL has no connection left ({reason}); use fewer processes or a larger plan"),
    (asyncpg.PostgresError, "PostgreSQL refuses: {reason}"),
    (asyncpg.InterfaceError, "PostgreSQL cannot be used: {reason}"),
    (socket.gaierror, "DATABASE_URL: the host {host} is not found"),
    (
        ssl.SSLCertVerificationError,
        "DATABASE_URL: no secure connection to {host} ({reason}): sslrootcert=FILE names the certificates of its authority",
    ),
    (ssl.SSLError, "DATABASE_URL: no secure connection to {host} ({reason})"),
    (TimeoutError, "DATABASE_URL: {host} does not answer"),
    (BaseException, "DATABASE_URL: {host} cannot be reached ({reason})"),
)


async def check_server(pool: Pool) -> None:
    """Check that the server is new enough and takes writes.

    Raises:
        UnfitServerError: when it is too old, or read-only.
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
    # The driver's own error says more.
    error = error.__cause__ if isinstance(error, DatabaseUnavailableError) and error.__cause__ else error
    reason, host = _first_line(error), _host(database_url)
    sentence = next(sentence for kind, sentence in SENTENCES if isinstance(error, kind))
    return sentence.format(reason=reason, host=host)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]


def _host(database_url: str) -> str:
    found = urlsplit(database_url).netloc.rpartition("@")[2]
    return found or "the server"
