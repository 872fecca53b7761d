"""A file with leads, and how it is read and checked: the same wherever that is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any

from web.intake import csv_file, json_file
from web.intake.rows import CheckedRows, check_rows
from web.intake.tables.headings import Role
from web.intake.tables.layout import Layout, by_headings, by_mapping
from web.intake.tables.unpacked_rows import rows_of_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sql.runs.new_lead import NewLead
    from web.intake.csv_records import Record
    from web.intake.encoding import Source
    from web.intake.tables.layout import Finder


class FileKind(StrEnum):
    """What a file is."""

    CSV = "csv"
    JSON = "json"
    # A workbook, once it is unpacked.
    ROWS = "rows"


@dataclass(frozen=True, slots=True)
class RowRules:
    """What rows are held against: the region and the time zone of the business, the keys that its script needs, the largest number."""

    region: str
    zone: str
    variables: frozenset[str]
    largest_lead_id: int


@dataclass(frozen=True, slots=True)
class LeadFile:
    """How a file is read: its columns by its headings, by a `mapping` of them, or by a `layout` that is known."""

    kind: FileKind
    mapping: Mapping[str, Role] = field(default_factory=dict)
    layout: Layout | None = None

    def check(
        self, source: Source, rules: RowRules, keep: Callable[[int, NewLead], None] | None = None, *, hasty: bool = False
    ) -> CheckedRows:
        """Check the rows of a file; `keep` gets each good lead with its row, in place of the lists of the result.

        `hasty`: the first row is read before the last one was decoded.

        Raises:
            ApiError: 413 or 422, when they cannot be read.
            UnicodeDecodeError: when it is hasty, and the text is not in the encoding that its beginning suggests.
        """
        columns: list[tuple[str, str]] = []
        checked = check_rows(
            self._rows(source, columns, hasty=hasty), rules.region, rules.zone, rules.variables, rules.largest_lead_id, keep
        )
        checked.columns = columns or checked.columns
        return checked

    def _rows(self, source: Source, columns: list[tuple[str, str]], *, hasty: bool) -> Iterator[tuple[int, object]]:
        if self.kind is FileKind.JSON:
            return json_file.leads_of(source)
        find = self._noting(columns)
        if self.kind is FileKind.ROWS:
            return rows_of_lines(source, find)
        return csv_file.rows_of(source, find, self.mapping, hasty=hasty)

    def _noting(self, columns: list[tuple[str, str]]) -> Finder:
        """Finds the header, and leaves the variables of the list in `columns`, by name and heading."""

        def note(records: Iterator[Record]) -> Layout:
            layout = self._find(records)
            names, headings = layout.names, layout.headings
            columns[:] = [(names[n], headings[n].strip() if headings else names[n]) for n in layout.variables]
            return layout

        return note

    def _find(self, records: Iterator[Record]) -> Layout:
        if self.layout is None:
            return (by_mapping(self.mapping) if self.mapping else by_headings)(records)
        for _ in islice(records, self.layout.above):
            pass
        return self.layout


def order_of(file: LeadFile, rules: RowRules) -> dict[str, Any]:
    """Both as JSON has them."""
    layout = file.layout and [file.layout.names, file.layout.roles, file.layout.above, file.layout.headings]
    return {
        "lead_file": [file.kind, dict(file.mapping), layout],
        "rules": [rules.region, rules.zone, sorted(rules.variables), rules.largest_lead_id],
    }


def lead_file_of(cells: list[Any]) -> LeadFile:
    """The file that `order_of` has described."""
    kind, mapping, layout = cells
    known = layout and Layout(tuple(layout[0]), tuple(map(Role, layout[1])), layout[2], tuple(layout[3]))
    return LeadFile(FileKind(kind), {heading: Role(role) for heading, role in mapping.items()}, known)


def rules_of(cells: list[Any]) -> RowRules:
    """The rules that `order_of` has described."""
    region, zone, variables, largest_lead_id = cells
    return RowRules(region, zone, frozenset(variables), largest_lead_id)
