"""The cells of exported CSV files: without formulas; a do-not-call list has one row per number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sql.do_not_call.do_not_call import ListEntry

# A spreadsheet evaluates a cell that begins with one of these as a formula (OWASP, CSV injection).
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
# The import reads the first two.
LIST_COLUMNS: Final = ("phone", "reason", "added_at", "added_by")


def escaped(cell: str | None) -> str | None:
    """A text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell and cell.startswith(FORMULA) else cell


def cells_of_number(entry: ListEntry) -> list[str | None]:
    """A row of a do-not-call list: the cells of `LIST_COLUMNS`."""
    return [entry.phone, escaped(entry.reason), entry.added_at.isoformat(), escaped(entry.added_by)]
