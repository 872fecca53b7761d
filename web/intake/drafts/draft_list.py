"""The list of a draft: compressed into pieces for the database, and unpacked into a temporary file to be read like an upload."""

from __future__ import annotations

import asyncio
import zlib
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from web.intake.csv_file import records_of, rows_of
from web.intake.drafts.table_preview import refuse_empty
from web.intake.received import ReceivedBody, temporary_file
from web.intake.tables.workbook import Workbook, is_workbook, unpacked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from sql.drafts.drafts import Draft, Drafts
    from web.intake.csv_records import Record
    from web.intake.encoding import Source
    from web.intake.imports.import_request import Rows
    from web.intake.tables.layout import Finder

CSV: Final = "csv"
ROWS: Final = "rows"
# Compressed, a piece is a row of the database.
PIECE_BYTES: Final = 1024 * 1024


def packed(source: Source, region: str) -> tuple[str, list[bytes]]:
    """The kind of a list and its compressed pieces, those of a workbook with its rows; blocks on disk, takes seconds.

    `region` is that of the business: a first row with a number is no heading.

    Raises:
        ApiError: 413 or 422, when it is a workbook that cannot be unpacked, a file that is no table, or a table without rows.
    """
    if not is_workbook(source):
        refuse_empty(records_of(source), region)
        return CSV, [*_compressed(source())]
    workbook = unpacked(source)
    try:
        refuse_empty(workbook.records(), region)
        return ROWS, [*_compressed(workbook.lines())]
    finally:
        workbook.close()


def _compressed(parts: Iterable[bytes]) -> Iterator[bytes]:
    buffer = bytearray()
    for part in parts:
        buffer += part
        while len(buffer) >= PIECE_BYTES:
            yield zlib.compress(bytes(buffer[:PIECE_BYTES]))
            del buffer[:PIECE_BYTES]
    yield zlib.compress(bytes(buffer))


class DraftList:
    """The list of a draft, open for reading by one thread at a time."""

    def __init__(self, kind: str, body: ReceivedBody, workbook: Workbook) -> None:
        self._is_workbook = kind == ROWS
        self._body = body
        self._workbook = workbook

    @property
    def source(self) -> Source:
        """The bytes of the list."""
        return self._body.source()

    def records(self) -> Iterator[Record]:
        """Its rows from the first on."""
        return self._workbook.records() if self._is_workbook else records_of(self._body.source())

    def rows(self, find: Finder) -> Rows:
        """Its rows as leads, by the columns that `find` finds."""
        return self._workbook.rows_of(find) if self._is_workbook else rows_of(self._body.source(), find)


@asynccontextmanager
async def opened(drafts: Drafts, draft: Draft) -> AsyncIterator[DraftList]:
    """The list of a draft."""
    with ExitStack() as closing:
        file = closing.enter_context(await asyncio.to_thread(temporary_file))
        size = 0
        async for piece in drafts.pieces(draft.draft_id):
            size += await asyncio.to_thread(lambda content: file.write(zlib.decompress(content)), piece)
        await asyncio.to_thread(file.flush)
        yield DraftList(draft.kind, ReceivedBody(file, size), Workbook(file))
