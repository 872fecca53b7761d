"""Checked rows as lines of JSON, from the process that reads a file to the one that wants them; each line has a bounded number of rows."""

from __future__ import annotations

import json
from dataclasses import astuple
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from sql.runs.new_lead import NewLead
from web.intake.rows import CheckedRows, DuplicateRow, ReadingChange, RejectedRow
from web.server.errors import ApiError, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from sql.runs.lead_rows import ZoneRanges

# While a line is read, nothing else of the process runs.
ROWS_AT_ONCE: Final = 200
ERROR: Final = "error"
LEADS: Final = "leads"
EXTERNAL_IDS: Final = "external_ids"
END: Final = "end"


class LeadLines:
    """Writes leads with their rows as they come."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._rows: list[Any] = []

    def keep(self, number: int, lead: NewLead) -> None:
        """Write a lead."""
        self._rows.append([number, lead.lead_id, lead.phone, lead.name, lead.zone, lead.external_id, lead.variables])
        if len(self._rows) == ROWS_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """Write what is left."""
        _write(self._output, LEADS, self._rows)
        self._rows = []


def write_checked(checked: CheckedRows, output: BinaryIO) -> None:
    """Write the rest of what is known of the rows."""
    texts = ([*_row(row), _text(row.text)] for row in checked.rejected)
    # No leads are falsy too.
    zones, external_ids = (None, ()) if checked.loadable is None else (checked.loadable.zones, checked.loadable.external_ids)
    for kind, rows in (
        ("rejected", texts),
        ("duplicates", map(astuple, checked.duplicates)),
        ("read_as", map(astuple, checked.read_as)),
        (EXTERNAL_IDS, external_ids),
    ):
        left = iter(rows)
        while part := [*islice(left, ROWS_AT_ONCE)]:
            _write(output, kind, part)
    _write(output, END, [checked.count, sorted(checked.unknown_variables), checked.is_numbered, checked.columns, zones])


def write_error(error: ApiError, output: BinaryIO) -> None:
    """Write why the file cannot be read."""
    details = [{name: _text(value) if isinstance(value, Text) else value for name, value in detail.items()} for detail in error.details]
    _write(output, ERROR, [error.status, error.code, _text(error.text), details])


def read_checked(lines: Iterable[bytes]) -> tuple[CheckedRows, ZoneRanges | None, list[str]]:
    """The rows, the zones of those that can be loaded, and their ids that are texts.

    Raises:
        ApiError: when the file could not be read.
        EOFError: when the lines have no end.
    """
    checked, external_ids = CheckedRows(), list[str]()
    for line in lines:
        kind, rows = json.loads(line)
        if kind == LEADS:
            checked.accepted += [NewLead(*lead) for _, *lead in rows]
            checked.numbers += [row[0] for row in rows]
        elif kind == "rejected":
            checked.rejected += [
                RejectedRow(row, lead_id, phone, reason, _text_of(text), name) for row, lead_id, phone, reason, name, text in rows
            ]
        elif kind == "duplicates":
            checked.duplicates += [DuplicateRow(*row) for row in rows]
        elif kind == "read_as":
            checked.read_as += [ReadingChange(*row) for row in rows]
        elif kind == EXTERNAL_IDS:
            external_ids += rows
        elif kind == ERROR:
            raise _error_of(*rows)
        else:
            checked.count, unknown, checked.is_numbered, columns, zones = rows
            checked.unknown_variables, checked.columns = frozenset(unknown), [(name, heading) for name, heading in columns]
            return checked, zones, external_ids
    raise EOFError


def _row(row: RejectedRow) -> Iterator[object]:
    yield from (row.row, row.lead_id, row.phone, row.reason, row.name)


def _text(text: Text) -> list[Any]:
    return [text.text, dict(text.values), list(map(_text, text.then))]


def _text_of(cells: list[Any]) -> Text:
    text, values, then = cells
    return Text(text, values, tuple(map(_text_of, then))) if values or then else _plain(text)


@cache
def _plain(text: str) -> Text:
    """One object for all rows with the same fault; there are as many as sentences."""
    return Text(text)


def _error_of(status: int, code: str, text: list[Any], details: list[dict[str, Any]]) -> ApiError:
    shown = [{name: _text_of(value) if isinstance(value, list) else value for name, value in detail.items()} for detail in details]
    return ApiError(status, code, _text_of(text), details=shown)


def _write(output: BinaryIO, kind: str, rows: object) -> None:
    output.write(json.dumps([kind, rows]).encode() + b"\n")
