"""Tells whether a line inside a quoted cell could be a row of its own, so that a stray quotation mark cannot hide it.

A cell may span several lines only if the file would not give other leads when its quotation marks are ignored: a line with enough cells
for a row and a number among them is a row. If the lead_id or the phone would come from a later line than the first, a phone could end
up with the wrong lead; then neither the first line nor a later one may have enough cells for a row, and none a delimiter in the quotes.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dialer.phones.phone_cells import CellError, read_cell

if TYPE_CHECKING:
    from collections.abc import Sequence

QUOTE: Final = '"'
# A cell with other text in it counts as a number from this many digits on.
NUMBER_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class RowShape:
    """The rows of a file: `delimiter`, number of `columns` (0 before the header is read), and the columns of lead_id and phone."""

    delimiter: str
    columns: int = 0
    lead_id: int = -1
    phone: int = -1

    @property
    def last(self) -> int:
        """The last of the required columns."""
        return max(self.lead_id, self.phone)

    def hides_row(self, first: str, further: str) -> bool:
        """Whether `further` could be a row or a part of one, although a quoted cell that began in the line `first` is still open."""
        within = self.delimiter in further.replace(QUOTE * 2, "").partition(QUOTE)[0]
        enough = further.count(self.delimiter) >= self.last
        if self.columns and not self._begins_with_its_own(first):
            return within or enough or first.count(self.delimiter) >= self.last
        return (within or enough) and any(self._shows_number(cell) for cell in further.split(self.delimiter))

    def merges(self, line: str, record: Sequence[str], *, lines: int) -> bool:
        """Whether the `record` read from `line` and the lines after it seems to merge two rows, or two cells, into one."""
        if not self.columns:
            return False
        if lines > 1:
            return any(cell and not cell.isspace() for cell in record[self.columns :])
        cells = line.split(self.delimiter)
        if not self.last < len(record) < min(self.columns, len(cells)):
            return False
        return record[self.phone] != cells[self.phone].strip(QUOTE) and self._shows_number(cells[self.phone])

    def _begins_with_its_own(self, line: str) -> bool:
        """Whether lead_id and phone are in `line`, before the cell that is still open at its end."""
        if line.partition(QUOTE)[0].count(self.delimiter) > self.last:
            return True
        return len(next(csv.reader([line], delimiter=self.delimiter))) - 1 > self.last

    def _shows_number(self, cell: str) -> bool:
        if sum(letter.isdecimal() for letter in cell) >= NUMBER_DIGITS:
            return True
        if not self.columns:
            return False
        try:
            read_cell(cell.strip().strip(QUOTE))
        except CellError:
            return False
        return True
