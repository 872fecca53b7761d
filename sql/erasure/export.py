"""Reads everything about a business, or about one person in it: every table at one moment, without secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sql.erasure.walk import ABOUT, ATTEMPTS, JOBS, SECRETS, Person, tables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sql.erasure.walk import Table
    from sql.pool import Connection, Pool


class Export:
    """The rows of a business, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def rows(self, business_id: int, phone: str | None = None) -> AsyncIterator[tuple[str, list[str]]]:
        """Each table by its name, with some of its rows as JSON; with `phone` only those about that person.

        All are read in one snapshot, so they belong together; a snapshot that is held for long keeps dead rows from being removed.
        """
        async with self._pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            found = await tables(connection)
            about = None if phone is None else await _person(connection, found, business_id, phone)
            for table in found:
                if about is not None and table.name not in ABOUT:
                    continue
                for begin, end in table.spans():
                    values = (business_id, about, begin, end, list(SECRETS))
                    yield table.name, [row["row"] for row in await connection.fetch(table.read_statement, *values)]


async def _person(connection: Connection, found: list[Table], business_id: int, phone: str) -> dict[str, Any]:
    return person_of(phone, *[await _all(connection, found, name, business_id, phone) for name in (JOBS, ATTEMPTS)]).argument


async def _all(connection: Connection, found: list[Table], name: str, business_id: int, phone: str) -> list[dict[str, Any]]:
    [table] = [table for table in found if table.name == name]
    about, rows = Person(phone).argument, []
    for begin, end in table.spans():
        rows += await connection.fetch(table.read_statement, business_id, about, begin, end, list(SECRETS))
    return [json.loads(row["row"]) for row in rows]


def person_of(phone: str, jobs: list[dict[str, Any]], attempts: list[dict[str, Any]]) -> Person:
    """Who has this number, by the rows of the leads and attempts with it."""
    return Person(
        phone,
        jobs=[str(job["id"]) for job in jobs],
        attempts=[str(attempt["id"]) for attempt in attempts],
        places=[f"{job['run_id']}:{job['position']}" for job in jobs],
        externals=[job["external_id"] for job in jobs if job["external_id"] is not None],
    )


OPEN_STATUSES: Final = frozenset({"queued", "dialing", "calling"})
