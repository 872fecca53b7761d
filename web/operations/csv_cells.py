"""The cells of exported CSV files: without formulas; a do-not-call list has one row per number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sql.do_not_call.do_not_call import ListEntry

# A spreadsheet evaluates a cell that begins with one of these as a formula (OWASP, CSV injection).
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
# The import reads the first two.
LIST_COLUMNS: Final = ("phone", "reason", "added_at", "added_by")

REFUSED_HEADINGS: Final = (msgid("Row"), msgid("Phone"), msgid("Reason"))


def escaped(cell: str | None) -> str | None:
    """A text that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell and cell.startswith(FORMULA) else cell


def cells_of_number(entry: ListEntry) -> list[str | None]:
    """A row of a do-not-call list: the cells of `LIST_COLUMNS`."""
    return [entry.phone, escaped(entry.reason), entry.added_at.isoformat(), escaped(entry.added_by)]


def cells_of_refusal(row: Mapping[str, Any]) -> list[Any]:
    """A row of a list that was refused: the cells of `REFUSED_HEADINGS`."""
    return [row["row"], escaped(row["phone"]), escaped(row["message"])]
