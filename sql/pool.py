"""Connections to PostgreSQL, with the time-outs that keep one stuck session from holding up the others.

On the road of a call: everything the other files write goes through here.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from sql.statements import statements

if TYPE_CHECKING:
    from asyncpg.pool import PoolAcquireContext

    from sql.shares import SharedPool

    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record] | SharedPool
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

LOCK_TIMEOUT_SECONDS = 2
STATEMENT_TIMEOUT_SECONDS = 15
IDLE_IN_TRANSACTION_SECONDS = 10
CONNECT_TIMEOUT_SECONDS = 10

# Between asking the pool for a connection and having one; the pool may have to open it first.
ACQUIRE_SECONDS = 10.0
CONNECTIONS = 10
# A connection is opened anew after so many statements, and closed after so long without one.
QUERIES_PER_CONNECTION = 50_000
IDLE_CONNECTION_SECONDS = 300.0

# What a statement raises through no fault of its own: PostgreSQL, the way to it or the machine below it is not as it should be. The caller
# waits and comes again. By the classes of SQLSTATE, so that an error nobody has met yet is on the right side: what is not here (22 wrong
# data, 23 a constraint, 42 a wrong statement, P0 our own RAISE, ...) is the fault of this one statement, and would come again with it.
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

# Whatever a connection or a statement may fail with: for the command line, which says so and ends.
FAILED = (*AWAY, asyncpg.PostgresError)

# Somebody else holds the row; the caller comes again.
LOCKED = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.QueryCanceledError)

SESSION = {
    "timezone": "UTC",
    "default_transaction_isolation": "read committed",
    "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
    "statement_timeout": f"{STATEMENT_TIMEOUT_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS}s",
    # Compiling the plan of a claim takes longer than running it: off gave 1.4 times the calls a second (benchmarks/queue.py).
    "jit": "off",
}


# A session plans a function when it first runs it, and that takes longer than all that it does: better before it holds a row.
PLANNED = (
    "SELECT dialer.claim_v1(gen_random_uuid(), gen_random_uuid(), '{}', '{}', '{}', 0, 0)",
    "SELECT dialer.record_v1('[]')",
)


# A record of its own, and no table: a commit waits for the disk only if it has written something.
TO_DISK = "SELECT pg_logical_emit_message(TRUE, 'ringmaster', '')"
# Whatever this process thinks it has told, the database may have forgotten: sql/timelines/timeline_v1.sql.
NOTICE = statements("timelines")["notice"]


class _Pool(asyncpg.Pool):
    """A pool whose callers do not wait for a connection for ever."""

    def acquire(self, *, timeout: float | None = None) -> PoolAcquireContext:
        """A connection, within ACQUIRE_SECONDS unless another `timeout` is asked for; TimeoutError when there is none."""
        return super().acquire(timeout=ACQUIRE_SECONDS if timeout is None else timeout)


async def open_pool(database_url: str, *, name: str, size: int = CONNECTIONS, planned: bool = False) -> asyncpg.Pool[asyncpg.Record]:
    """Connect at most `size` times to `database_url`; `name` is what pg_stat_activity shows.

    `planned` connections have planned what holds the rows of a business, for processes that live long. Whoever asks for a connection and
    gets none within 10 s is told so by a TimeoutError.

    Raises:
        OSError, asyncpg.PostgresError: when the server is not there or refuses.
    """
    return await _Pool(
        database_url,
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        loop=None,
        min_size=1,
        max_size=size,
        max_queries=QUERIES_PER_CONNECTION,
        max_inactive_connection_lifetime=IDLE_CONNECTION_SECONDS,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=STATEMENT_TIMEOUT_SECONDS + LOCK_TIMEOUT_SECONDS,
        server_settings={"application_name": name, **SESSION},
        init=_plan if planned else _prepare,
    )


async def to_disk(connection: Connection) -> None:
    """Return when everything that was committed before is on the disk, and on the standbys that commits wait for.

    A commit that does not wait, and this after it, keep what a commit that waits keeps: the log is written in its order. But the rows are
    free meanwhile. Whatever makes us call somebody, or say something to the outside, must have been through here.
    """
    await connection.execute(TO_DISK)


async def _prepare(connection: Connection) -> None:
    # Before the first migration there is nothing to notice and nothing to plan, and whoever asks says so better.
    with contextlib.suppress(asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError):
        await connection.execute(NOTICE)
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def _plan(connection: Connection) -> None:
    await _prepare(connection)
    with contextlib.suppress(asyncpg.UndefinedFunctionError, asyncpg.InvalidSchemaNameError):
        for query in PLANNED:
            await connection.execute(query)
