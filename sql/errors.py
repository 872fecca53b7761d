"""Maps the driver's errors to ours, in one place: the errors that are not the statement's fault."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncpg

from dialer.concurrency.loop import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Trouble with PostgreSQL, the connection or its machine; the caller retries later. Listed by classes of SQLSTATE, so that errors not seen
# yet are sorted correctly: the classes not listed (22 wrong data, 23 a constraint, 42 a wrong statement, P0 our own RAISE, ...) are the
# fault of the statement, and a retry would fail again.
UNAVAILABLE = (
    OSError,
    # No connection of the pool became free, or a statement was not answered in time.
    TimeoutError,
    asyncpg.InterfaceError,
    # The session was killed and asyncpg has read why, but not yet that the connection is closed: "another operation is in progress".
    asyncpg.InternalClientError,
    # 08: the connection broke.
    asyncpg.PostgresConnectionError,
    # 25: a standby not promoted yet, or a former primary; a transaction that the server has ended.
    asyncpg.InvalidTransactionStateError,
    # 28, 3D: a password is being changed, a backup is being put back.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # 40: rolled back by the server; to be retried.
    asyncpg.TransactionRollbackError,
    # 53: no connection, memory or disk left.
    asyncpg.InsufficientResourcesError,
    # 55: an object is in use, or not in the required state.
    asyncpg.ObjectNotInPrerequisiteStateError,
    # 57: an operator, a shutdown, a time-out. 58: the machine. F0: its settings. XX: the server itself.
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.ConfigFileError,
    asyncpg.InternalServerError,
)

# Another session has locked the row: we timed out waiting for it, or were the victim of a deadlock.
ROW_LOCKED = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.QueryCanceledError)


class DatabaseUnavailableError(UnavailableError):
    """PostgreSQL did not carry out the statement, or its answer was lost; the same statement may succeed later."""


class RowLockedError(DatabaseUnavailableError):
    """Another session has locked a row that the statement needs; the same statement may succeed in a moment."""


# Tables or functions of ours are not there.
NOT_MIGRATED = (asyncpg.UndefinedTableError, asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError)

# All that connecting or a statement may raise: the command line reports it and ends.
FAILED = (*UNAVAILABLE, asyncpg.PostgresError, DatabaseUnavailableError)


@contextmanager
def mapped() -> Iterator[None]:
    """Raise the driver's errors of UNAVAILABLE and ROW_LOCKED as ours, with the original as the cause.

    Raises:
        RowLockedError, DatabaseUnavailableError: for ROW_LOCKED and UNAVAILABLE.
    """
    try:
        yield
    except ROW_LOCKED as error:
        message = f"a row is locked: {type(error).__name__}"
        raise RowLockedError(message) from error
    except UNAVAILABLE as error:
        message = f"PostgreSQL is unavailable: {type(error).__name__}"
        raise DatabaseUnavailableError(message) from error
