"""What a statement may fail with through no fault of its own: the driver's errors, mapped once, here.

On the road of a call: beside all of it; the callers retry, and lose nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncpg

from dialer.concurrency.loop import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

# PostgreSQL, the way to it or the machine below it is not as it should be; the caller retries later. By the classes of SQLSTATE, so that
# an error nobody has met yet is on the right side: what is not here (22 wrong data, 23 a constraint, 42 a wrong statement, P0 our own
# RAISE, ...) is the fault of this one statement, and a retry would fail again.
AWAY = (
    OSError,
    # A connection of the pool that did not become free, a statement that was not answered.
    TimeoutError,
    asyncpg.InterfaceError,
    # The session was killed and asyncpg has read why, but not yet that the connection is closed: "another operation is in progress".
    asyncpg.InternalClientError,
    # 08: the connection broke.
    asyncpg.PostgresConnectionError,
    # 25: a standby that is not the primary yet or a primary that is not one any more; a transaction the server has ended.
    asyncpg.InvalidTransactionStateError,
    # 28, 3D: a password is being changed, a backup is being put back.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # 40: rolled back by the server, to be tried again.
    asyncpg.TransactionRollbackError,
    # 53: no connection, memory or disk left.
    asyncpg.InsufficientResourcesError,
    # 55: in use, or not in the state it needs.
    asyncpg.ObjectNotInPrerequisiteStateError,
    # 57: an operator, a shutdown, a time-out. 58: the machine. F0: its settings. XX: the server itself.
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.ConfigFileError,
    asyncpg.InternalServerError,
)

# Another session holds the row: we timed out waiting for it, or were the victim of a deadlock.
LOCKED = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.QueryCanceledError)


class DatabaseUnavailableError(UnavailableError):
    """PostgreSQL did not carry out the statement, or its answer was lost; the same statement may succeed later."""


class RowLockedError(DatabaseUnavailableError):
    """Another session holds a row that the statement needs; the same statement may succeed in a moment."""


# What connecting or a statement may fail with: the command line reports it and ends.
FAILED = (*AWAY, asyncpg.PostgresError, DatabaseUnavailableError)


@contextmanager
def mapped() -> Iterator[None]:
    """Raise the driver's errors of AWAY and LOCKED as ours, with the original as the cause.

    Raises:
        RowLockedError, DatabaseUnavailableError: see there.
    """
    try:
        yield
    except LOCKED as error:
        message = f"a row is locked: {type(error).__name__}"
        raise RowLockedError(message) from error
    except AWAY as error:
        message = f"PostgreSQL is unavailable: {type(error).__name__}"
        raise DatabaseUnavailableError(message) from error
