"""Load reports: the result of each row of the lists that were loaded into a run, kept and deleted with the run."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from sql.pool import Connection, Pool

TEXT = statements("runs")
# Of all lists of a run together; the rows of one list at most.
MAX_REPORTED_ROWS: Final = 200_000
MAX_COLUMNS: Final = 200
# Written, and read for a file, so many at a time: while they are encoded the event loop does nothing else.
ROWS_AT_ONCE: Final = 2_000
REJECTED: Final = "rejected"
DUPLICATE: Final = "duplicate"
READ_AS: Final = "read_as"
KINDS: Final = (REJECTED, DUPLICATE, READ_AS)


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A row of a list that was not taken, or whose number was read as another.

    `detail` has the values of the reason's sentence, for a duplicate `same_as` and `by`, else `read_as`.
    """

    row: int
    kind: str
    lead_id: object
    phone: str | None
    reason: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    # Its place among the rows of all lists of the run, and the number of its list; 0 before it is stored.
    place: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True)
class ListReport:
    """A list to be loaded: how many of its rows became leads; `columns` are its variables by name and heading."""

    accepted: int
    rows: Sequence[ReportRow]
    columns: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class ListSummary:
    """A list that was loaded into a run."""

    number: int
    loaded_at: datetime
    loaded_by: str
    accepted: int
    rejected: int
    duplicates: int


async def keep_load(connection: Connection, business_id: int, run_id: int, report: ListReport, loaded_by: str) -> None:
    """Keep what became of a list, in the transaction that loads it; of a run's rows beyond `MAX_REPORTED_ROWS` only the count."""
    [last] = await connection.fetch(TEXT["last_load"], business_id, run_id)
    number, place = last["number"] + 1, last["place"]
    rejected, duplicates = (sum(1 for row in report.rows if row.kind == kind) for kind in (REJECTED, DUPLICATE))
    columns = [list(column) for column in report.columns[:MAX_COLUMNS]]
    await connection.execute(TEXT["add_load"], business_id, run_id, number, loaded_by, report.accepted, rejected, duplicates, columns)
    kept = report.rows[: max(MAX_REPORTED_ROWS - place, 0)]
    for start in range(0, len(kept), ROWS_AT_ONCE):
        values = await asyncio.to_thread(_values, kept[start : start + ROWS_AT_ONCE])
        await connection.execute(TEXT["add_reported_rows"], business_id, run_id, place + start, number, *values)


def _values(rows: Sequence[ReportRow]) -> tuple[list[Any], ...]:
    return (
        [row.row for row in rows],
        [row.kind for row in rows],
        [None if row.lead_id is None else json.dumps(row.lead_id) for row in rows],
        [row.phone for row in rows],
        [row.reason for row in rows],
        [json.dumps(row.detail, ensure_ascii=False) for row in rows],
    )


class ListReports:
    """The lists that were loaded, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def of_run(self, business_id: int, run_id: int) -> list[ListSummary]:
        """The lists of a run, the first one first."""
        return [ListSummary(**row) for row in await self._pool.fetch(TEXT["loads"], business_id, run_id)]

    async def columns(self, business_id: int, run_id: int) -> list[tuple[str, str]]:
        """The variables, by name and heading, of all lists that the leads of a run came from."""
        rows = await self._pool.fetch(TEXT["columns_of_lists"], business_id, run_id)
        return [(name, heading) for row in rows for name, heading in row["columns"]]

    async def page(self, business_id: int, run_id: int, kind: str | None = None, *, after: int = 0, limit: int = 50) -> list[ReportRow]:
        """The rows of a run behind place `after`; of one kind, or of all."""
        rows = await self._pool.fetch(TEXT["reported_rows"], business_id, run_id, after, kind, limit)
        return [ReportRow(**row) for row in rows]

    async def places_before(self, business_id: int, run_id: int, kind: str | None, *, until: int, limit: int) -> list[int]:
        """The places of the last `limit` rows up to place `until`, the last one first."""
        rows = await self._pool.fetch(TEXT["reported_before"], business_id, run_id, until, kind, limit)
        return [row["place"] for row in rows]

    async def all_rows(self, business_id: int, run_id: int) -> AsyncIterator[list[ReportRow]]:
        """All rows of a run, in lists."""
        after = 0
        while rows := await self.page(business_id, run_id, after=after, limit=ROWS_AT_ONCE):
            yield rows
            after = rows[-1].place
