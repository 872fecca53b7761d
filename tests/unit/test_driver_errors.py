"""Which errors of PostgreSQL mean that it is away, and which are the fault of the statement: every SQLSTATE class is on one side."""

from __future__ import annotations

import inspect

import asyncpg
import pytest

from sql.errors import ROW_LOCKED, UNAVAILABLE

# Wrong data, a constraint, a statement that is wrong, what our own functions raise, and what we never use: again would fail again.
OUR_OWN = {
    "02", "03", "09", "0A", "0F", "0L", "0P", "0Z", "20", "21", "22", "23", "24", "26", "27", "2B", "2D", "2F", "34", "38", "39", "3B",
    "3F", "42", "44", "54", "72", "HV", "P0", "0B", "01", "10",
}  # fmt: skip
ERRORS = [
    error
    for _, error in inspect.getmembers(asyncpg.exceptions, inspect.isclass)
    if issubclass(error, asyncpg.PostgresError) and getattr(error, "sqlstate", None)
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_class_is_on_its_side(error: type[asyncpg.PostgresError]) -> None:
    assert issubclass(error, (*UNAVAILABLE, *ROW_LOCKED)) == (error.sqlstate[:2] not in OUR_OWN), error.sqlstate


def test_what_is_seen_when_a_server_is_full_or_restarts() -> None:
    for error in (asyncpg.TooManyConnectionsError, asyncpg.DiskFullError, asyncpg.OutOfMemoryError, asyncpg.AdminShutdownError):
        assert issubclass(error, UNAVAILABLE)
    for mine in (asyncpg.UniqueViolationError, asyncpg.DataError, asyncpg.UndefinedFunctionError, asyncpg.RaiseError):
        assert not issubclass(mine, (*UNAVAILABLE, *ROW_LOCKED))
