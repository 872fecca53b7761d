"""Previews a table, and suggests the role of each column: by its heading, else by the cells of the first rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from dialer.phones.phone_numbers import RefusedPhoneError, read_phone
from web.intake.csv_records import UnreadableRecord
from web.intake.tables.headings import Role, role_of
from web.intake.tables.layout import MAX_TITLE_LINES, Layout, distinct, roles_by
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from web.intake.csv_records import Record

SHOWN_ROWS: Final = 5
# Cells of so many rows suggest what a column is.
LOOKED_AT: Final = 20
MAX_SHOWN_COLUMNS: Final = 60
MAX_CELL_CHARACTERS: Final = 80
LETTERS: Final = 26
LEAST_SHARE: Final = 0.5
EMPTY_LIST: Final = msgid("There are no rows in this list.")
ONLY_HEADINGS: Final = msgid("This list has headings, and no rows below them.")


@dataclass(frozen=True, slots=True)
class TablePreview:
    """The headings of a table, letters where it has none; the roles that its columns seem to have; its first rows.

    `above` rows come before the first lead.
    """

    headings: tuple[str, ...]
    has_headings: bool
    roles: tuple[Role, ...]
    above: int
    rows: tuple[tuple[str, ...], ...]

    def layout(self, roles: Sequence[Role]) -> Layout:
        """The layout of the table with these roles."""
        names = distinct(self.headings) if self.has_headings else tuple(f"column_{letter.lower()}" for letter in self.headings)
        # Each is named, since a cell beyond the last named column is a fault of its row, and what somebody chose to ignore is none.
        named = tuple(name or f"column_{number}" for number, name in enumerate(names, 1))
        return Layout(named, tuple(roles), self.above, self.headings if self.has_headings else ())


def previewed_table(records: Iterator[Record], region: str) -> TablePreview | None:
    """What the first rows of a table show; None when it has no rows. Numbers are read with the region of the business."""
    first = [record if isinstance(record, list) else [] for record in islice(records, MAX_TITLE_LINES + LOOKED_AT)]
    header, has_headings = _header(first, region)
    if header < 0:
        return None
    below = [row for row in first[header + has_headings :] if any(cell.strip() for cell in row)][:LOOKED_AT]
    width = max([len(first[header]), *([] if has_headings else map(len, below))])
    headings = tuple(first[header]) if has_headings else tuple(_letter(n) for n in range(width))
    columns = [[row[n].strip() for row in below if n < len(row)] for n in range(width)]
    roles = _suggested(headings if has_headings else ("",) * width, columns, region, has_headings=has_headings)
    rows = tuple(tuple(cell[:MAX_CELL_CHARACTERS] for cell in [*row, *[""] * width][:width]) for row in below[:SHOWN_ROWS])
    return TablePreview(headings, has_headings, roles, header + has_headings, rows)


def refuse_empty(records: Iterator[Record], region: str) -> None:
    """Refuse a table that has no row below its headings.

    Raises:
        ApiError: 422.
    """
    first = [*islice(records, MAX_TITLE_LINES + LOOKED_AT)]
    preview = previewed_table(iter(first), region)
    if preview is None:
        raise _empty(EMPTY_LIST)
    if not any(isinstance(row, UnreadableRecord) or any(map(str.strip, row)) for row in chain(first[preview.above :], records)):
        raise _empty(ONLY_HEADINGS)


def _empty(sentence: str) -> ApiError:
    text = Text(sentence)
    return ApiError(422, "no_leads", text, details=[{"field": "file", "message": text}])


def _header(rows: Sequence[Sequence[str]], region: str) -> tuple[int, bool]:
    """The row with the headings, else the first row that is not empty; -1: there is none."""
    top = rows[:MAX_TITLE_LINES]
    for number, row in enumerate(top):
        if any((heading := role_of(cell)) and heading.role is Role.PHONE for cell in row):
            return number, True
    # A title stands alone in its row.
    widest = max((sum(1 for cell in row if cell.strip()) for row in top), default=0)
    for number, row in enumerate(top):
        filled = [cell for cell in row if cell.strip()]
        if filled and (len(filled) > 1 or widest == 1):
            return number, not any(_is_phone(cell, region) for cell in filled)
    return -1, False


def _suggested(headings: Sequence[str], columns: Sequence[Sequence[str]], region: str, *, has_headings: bool) -> tuple[Role, ...]:
    try:
        roles = list(roles_by(headings))
    except ApiError:
        roles = [Role.VARIABLE for _ in headings]
    if not has_headings:
        roles = [Role.VARIABLE for _ in headings]
    free = [n for n, role in enumerate(roles) if role is Role.VARIABLE]
    if Role.PHONE not in roles:
        shares = {n: _share([_is_phone(cell, region) for cell in columns[n]]) for n in free}
        best = max(free, key=lambda n: shares[n], default=-1)
        if best >= 0 and shares[best] >= LEAST_SHARE:
            roles[best] = Role.PHONE
            free.remove(best)
    if Role.NAME not in roles and not has_headings:
        named = next((n for n in free if _share([_is_name(cell) for cell in columns[n]]) > LEAST_SHARE), None)
        if named is not None:
            roles[named] = Role.NAME
    return tuple(roles)


def _share(found: Sequence[bool]) -> float:
    return sum(found) / len(found) if found else 0.0


def _is_name(cell: str) -> bool:
    return bool(cell) and not any(letter.isdigit() or letter in "@/_" for letter in cell) and any(letter.isalpha() for letter in cell)


def _is_phone(cell: str, region: str) -> bool:
    try:
        return bool(read_phone(cell, region))
    except RefusedPhoneError:
        return False


def _letter(number: int) -> str:
    return (chr(ord("A") + number // LETTERS - 1) if number >= LETTERS else "") + chr(ord("A") + number % LETTERS)
