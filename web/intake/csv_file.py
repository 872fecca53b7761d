"""Reads leads from a CSV file: finds the delimiter and the header, and yields the rows.

The header is the first row that names a column for the phone, by itself or by a mapping; before it there may be Excel's line `sep=;`, blank
lines and a title. Columns without a name are skipped. A row that cannot be read is rejected, and the others are kept.
"""

from __future__ import annotations

import re
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from web.intake.csv_records import Records, lines_of
from web.intake.encoding import decoded
from web.intake.row_shape import RowShape
from web.intake.tables.headings import comparable, role_of
from web.intake.tables.layout import INVISIBLE, MAX_TITLE_LINES, by_headings
from web.intake.tables.table_rows import leads_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from web.intake.encoding import Source
    from web.intake.tables.layout import Finder

DELIMITERS: Final = (",", ";", "\t", "|")
# So many cells of a line are compared with the known headings.
MAX_HEADINGS: Final = 1_000
SEPARATOR_LINE: Final = re.compile(r'"?sep=(?P<mark>[^\w\s"]|\t)"?[,;\t|]*', re.ASCII | re.IGNORECASE)


def rows_of(
    source: Source, find: Finder = by_headings, headings: Collection[str] = (), *, hasty: bool = False
) -> Iterator[tuple[int, object]]:
    """The rows of a file as leads, each with its number: row 1 is the first of the file, as a spreadsheet shows it.

    `find` finds the header; `headings` are those that its mapping names; `hasty` as for `decoded`.

    Raises:
        ApiError: 422 when the file cannot be read as leads, 413 when it has too many rows.
        UnicodeDecodeError: when it is hasty, and the text is not in the encoding that its beginning suggests.
    """
    records = records_of(source, headings, hasty=hasty)
    layout = find(records)
    records.shape = RowShape(records.shape.delimiter, len(layout.names), layout.lead_id, layout.phone)
    yield from leads_of(records, layout, layout.above + 1)


def records_of(source: Source, headings: Collection[str] = (), *, hasty: bool = False) -> Records:
    """The records of a file from its first row on; `headings` may name columns of it; `hasty` as for `decoded`.

    Raises:
        ApiError: 422, when its encoding is not recognized.
    """
    lines = lines_of(decoded(source, hasty=hasty))
    top = list(islice(lines, MAX_TITLE_LINES))
    delimiter = separator_line(top) or delimiter_of(top, headings)
    return Records(chain(top, lines), RowShape(delimiter))


def separator_line(top: list[str | None]) -> str | None:
    """The delimiter named by Excel's line `sep=;`, which is removed from `top`, because Excel does not count it as a row."""
    match = SEPARATOR_LINE.fullmatch(INVISIBLE.sub("", top[0])) if top and top[0] else None
    if match is None:
        return None
    del top[0]
    return match["mark"]


def delimiter_of(top: Sequence[str | None], headings: Collection[str] = ()) -> str:
    """The delimiter that gives the most known columns in one of these lines, or else the most frequent one in the first line."""
    wanted = {comparable(heading) for heading in headings}

    def known(mark: str, line: str) -> int:
        cells = set(line.split(mark, MAX_HEADINGS)[:MAX_HEADINGS])
        return sum(1 for cell in cells if comparable(cell) in wanted or role_of(cell))

    lines = [line for line in top if line and not line.isspace()]
    return max(DELIMITERS, key=lambda mark: (max((known(mark, line) for line in lines), default=0), lines[0].count(mark) if lines else 0))
