"""Writes a table for people as a workbook: row by row, in threads, into a temporary folder.

Every text is written as text, so that none becomes a formula, a link or a number: `+972501234567` stays readable.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import xlsxwriter

from web.server.i18n import ENGLISH, direction, msgid, translate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sql.jobs.jobs import ExportJob
    from web.operations.exports.people_table import PeopleRow, PeopleTable

OPTIONS: Final = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
TIME: Final = "dd/mm/yyyy hh:mm"
ENGLISH_TIME: Final = "yyyy-mm-dd hh:mm"
CREATED: Final = datetime(2000, 1, 1, tzinfo=UTC)
LENGTH: Final = "[h]:mm:ss"
# A worksheet has 1,048,576 rows; leads beyond go to another one.
MAX_ROWS: Final = 1_000_000
# What Excel keeps of a cell.
MAX_CELL_CHARACTERS: Final = 32_767
# Excel keeps 15 digits of a number.
MAX_NUMBER: Final = 10**15
WIDTHS: Final = (10, 24, 18, 20, 7, 17, 9, 30)
OWN_WIDTH: Final = 18
PAGE: Final = msgid("Leads")


class _File:
    """The workbook while it is written; every method blocks on disk."""

    def __init__(self, table: PeopleTable, path: Path) -> None:
        self._table = table
        self._book = xlsxwriter.Workbook(str(path), {**OPTIONS, "tmpdir": str(path.parent)})
        # The same leads give the same bytes.
        self._book.set_properties({"created": CREATED})
        self._bold = self._book.add_format({"bold": True, "bottom": 1})
        self._time = self._book.add_format({"num_format": ENGLISH_TIME if table.language == ENGLISH else TIME, "align": "left"})
        self._length = self._book.add_format({"num_format": LENGTH})
        self._pages = 0
        self._page: Any = None
        self._row = MAX_ROWS

    def write(self, jobs: Sequence[ExportJob]) -> None:
        for job in jobs:
            if self._row >= MAX_ROWS:
                self._new_page()
            self._write(self._table.row(job))
            self._row += 1

    def close(self) -> None:
        if not self._pages:
            self._new_page()
        self._book.close()

    def _new_page(self) -> None:
        table = self._table
        self._pages += 1
        self._page = self._book.add_worksheet(f"{translate(table.language, PAGE)} {self._pages if self._pages > 1 else ''}".strip())
        if direction(table.language) == "rtl":
            self._page.right_to_left()
        self._page.freeze_panes(1, 0)
        widths = [*WIDTHS, *[OWN_WIDTH] * len(table.columns)]
        for column, width in enumerate(widths):
            self._page.set_column(column, column, width)
        for column, heading in enumerate(table.headings):
            self._page.write_string(0, column, heading[:MAX_CELL_CHARACTERS], self._bold)
        self._page.autofilter(0, 0, 0, len(widths) - 1)
        self._row = 1

    def _write(self, row: PeopleRow) -> None:
        if isinstance(row.lead_id, int) and row.lead_id < MAX_NUMBER:
            self._page.write_number(self._row, 0, row.lead_id)
        else:
            self._text(0, str(row.lead_id))
        for column, text in enumerate((row.name, row.phone, row.result), start=1):
            self._text(column, text)
        self._page.write_number(self._row, 4, row.calls)
        if row.called_at:
            self._page.write_datetime(self._row, 5, row.called_at, self._time)
        if row.length is not None:
            self._page.write_datetime(self._row, 6, row.length, self._length)
        for column, text in enumerate((row.note, *row.own), start=7):
            self._text(column, text)

    def _text(self, column: int, text: str) -> None:
        if text:
            self._page.write_string(self._row, column, text[:MAX_CELL_CHARACTERS])


@asynccontextmanager
async def written(table: PeopleTable, jobs: AsyncIterator[list[ExportJob]]) -> AsyncIterator[IO[bytes]]:
    """The workbook of these leads, open for reading, and removed at the end."""
    folder = await asyncio.to_thread(lambda: tempfile.TemporaryDirectory(prefix="ringmaster-"))
    try:
        path = Path(folder.name) / "leads.xlsx"
        book = await asyncio.to_thread(_File, table, path)
        async for part in jobs:
            await asyncio.to_thread(book.write, part)
        await asyncio.to_thread(book.close)
        file = await asyncio.to_thread(path.open, "rb")
        try:
            yield file
        finally:
            file.close()
    finally:
        await asyncio.shield(asyncio.to_thread(folder.cleanup))
