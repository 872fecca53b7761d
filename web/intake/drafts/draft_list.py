"""The list of a draft: compressed into pieces for the database, and unpacked into a temporary file to be read like an upload."""

from __future__ import annotations

import asyncio
import zlib
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from web.intake.csv_file import records_of
from web.intake.drafts.table_preview import refuse_empty
from web.intake.readers.lead_file import FileKind, LeadFile
from web.intake.received import ReceivedBody, temporary_file
from web.intake.tables.unpacked_rows import records_of_lines
from web.intake.tables.workbook import is_workbook, unpacked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from sql.drafts.drafts import Draft, Drafts
    from web.intake.csv_records import Record
    from web.intake.encoding import Source
    from web.intake.tables.layout import Layout

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
        return FileKind.CSV, [*_compressed(source())]
    with ExitStack() as closing:
        rows = unpacked(source, closing).source()
        refuse_empty(records_of_lines(rows), region)
        return FileKind.ROWS, [*_compressed(rows())]


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

    def __init__(self, kind: FileKind, body: ReceivedBody) -> None:
        self._kind = kind
        self._body = body
        # What is removed with it.
        self.closing = body.closing

    @property
    def source(self) -> Source:
        """The bytes of the list."""
        return self._body.source()

    def records(self) -> Iterator[Record]:
        """Its rows from the first on."""
        return records_of_lines(self.source) if self._kind is FileKind.ROWS else records_of(self.source)

    def file(self, layout: Layout) -> LeadFile:
        """Its rows as leads, with these columns."""
        return LeadFile(self._kind, layout=layout)


@asynccontextmanager
async def opened(drafts: Drafts, draft: Draft) -> AsyncIterator[DraftList]:
    """The list of a draft."""
    with ExitStack() as closing:
        file = closing.enter_context(await asyncio.to_thread(temporary_file))
        size = 0
        async for piece in drafts.pieces(draft.draft_id):
            size += await asyncio.to_thread(lambda content: file.write(zlib.decompress(content)), piece)
        await asyncio.to_thread(file.flush)
        body = ReceivedBody(file, size)
        with body.closing:
            yield DraftList(FileKind(draft.kind), body)
