"""The columns of a table: which is the phone, the name, the id; found by its header, or by a mapping that names the columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Final, TypeAlias

from web.intake.csv_records import Record
from web.intake.tables.headings import PART_OF_NAME, Heading, Role, comparable, is_family_name, role_of
from web.server import errors
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

MAX_HEADER_CHARACTERS: Final = 100
# The header must be within the first lines.
MAX_TITLE_LINES: Final = 20
MAX_SHOWN_COLUMNS: Final = 20
# A table has one column of each of these; the parts of a name may have several.
SINGLE: Final = (Role.PHONE, Role.LEAD_ID, Role.TIMEZONE)
INVISIBLE: Final = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\x00]")
NOT_IN_NAMES: Final = re.compile(r"[\s-]")


@dataclass(frozen=True)
class Layout:
    """The columns of a table, each with its name, empty for one to be skipped, and its role; `above` rows come before the first lead."""

    names: tuple[str, ...]
    roles: tuple[Role, ...]
    above: int
    # The headings as they were written; empty where the table has none.
    headings: tuple[str, ...] = ()

    @cached_property
    def phone(self) -> int:
        """The column of the phone."""
        return self.roles.index(Role.PHONE)

    @cached_property
    def lead_id(self) -> int:
        """The column of the id; -1: leads are numbered by row."""
        return self.roles.index(Role.LEAD_ID) if Role.LEAD_ID in self.roles else -1

    @cached_property
    def timezone(self) -> int:
        """The column of the time zone; -1 for none."""
        return self.roles.index(Role.TIMEZONE) if Role.TIMEZONE in self.roles else -1

    @cached_property
    def name_parts(self) -> tuple[int, ...]:
        """The columns that together are the name, family names last."""
        parts = [n for n, role in enumerate(self.roles) if role is Role.NAME]
        return tuple(sorted(parts, key=lambda n: is_family_name(self.names[n])))

    @cached_property
    def variables(self) -> tuple[int, ...]:
        """The columns that are variables; each of several parts of a name is one too."""
        parts = self.name_parts if len(self.name_parts) > 1 else ()
        return tuple(n for n, role in enumerate(self.roles) if self.names[n] and (role is Role.VARIABLE or n in parts))

    @cached_property
    def named(self) -> int:
        """The number of columns up to the last one with a name."""
        return max((n for n, name in enumerate(self.names, start=1) if name), default=0)


# Takes the rows down to the header from the records of a table, and tells its columns.
Finder: TypeAlias = Callable[[Iterator[Record]], Layout]


def by_headings(records: Iterator[Record]) -> Layout:
    """The columns of a table by the first of its rows that names a phone.

    Raises:
        ApiError: 422, when none does, or a column is named twice.
    """
    first: list[str] = []
    for above, record in enumerate(islice(records, MAX_TITLE_LINES), start=1):
        headings = record if isinstance(record, list) else []
        found = [role_of(heading) for heading in headings]
        if any(heading and heading.role is Role.PHONE for heading in found):
            return Layout(distinct(headings), roles_by(headings), above, tuple(headings))
        first = first or [heading for heading in headings if heading.strip()]
    raise no_column(str(Role.PHONE))


def by_mapping(mapping: Mapping[str, Role]) -> Finder:
    """The columns as `mapping` says, by their headings; any other column is what its heading says, if that is still free.

    The finder raises:
        ApiError: 422, naming the column that is not there, or is named twice.
    """
    wanted = {comparable(heading): role for heading, role in mapping.items()}

    def find(records: Iterator[Record]) -> Layout:
        best: list[str] = []
        for above, record in enumerate(islice(records, MAX_TITLE_LINES), start=1):
            headings = record if isinstance(record, list) else []
            there = {comparable(heading) for heading in headings}
            if wanted.keys() <= there:
                return Layout(distinct(headings), _mapped(headings, wanted), above, tuple(headings))
            best = max(best, headings, key=lambda row: len({comparable(heading) for heading in row} & wanted.keys()))
        there = {comparable(heading) for heading in best}
        missing = [heading for heading in mapping if comparable(heading) not in there]
        raise errors.invalid([{"field": _field(heading), "message": Text(NO_SUCH_COLUMN)} for heading in missing[:MAX_SHOWN_COLUMNS]])

    return find


NO_SUCH_COLUMN: Final = msgid("is not a column of this table")


def _mapped(headings: Sequence[str], wanted: Mapping[str, Role]) -> tuple[Role, ...]:
    given = {n: wanted[key] for n, heading in enumerate(headings) if (key := comparable(heading)) in wanted and heading.strip()}
    guessed = roles_by([heading if n not in given else "" for n, heading in enumerate(headings)])
    free = [role if role not in given.values() else Role.VARIABLE for role in guessed]
    roles = tuple(given.get(n, free[n]) for n in range(len(headings)))
    check_roles(roles, headings)
    return roles


def check_roles(roles: Sequence[Role], headings: Sequence[str]) -> None:
    """Check that there is one phone, and at most one id and one time zone.

    Raises:
        ApiError: 422.
    """
    counts = Counter(roles)
    for role in SINGLE:
        if counts[role] > 1:
            again = [heading for heading, own in zip(headings, roles, strict=False) if own is role][1]
            why = Text(msgid("must not be {role}: another column is"), {"role": str(role)})
            raise errors.wrong_field(_field(again), why)
    if not counts[Role.PHONE]:
        raise no_column(str(Role.PHONE))


def roles_by(headings: Sequence[str]) -> tuple[Role, ...]:
    """What columns are by their headings; a column without one is ignored, one that is not in the table is a variable.

    Raises:
        ApiError: 422, when two columns have the same name of a field.
    """
    found = [role_of(heading) for heading in headings]
    names = Counter(map(column_name, headings))
    best: dict[Role, int] = {}
    for heading in found:
        if heading:
            best[heading.role] = min(heading.rank, best.get(heading.role, heading.rank))
    roles: list[Role] = []
    for text, heading in zip(headings, found, strict=True):
        role = _role(heading, best) if text.strip() else Role.IGNORE
        if role in roles and (role in SINGLE or (role is Role.NAME and heading != PART_OF_NAME)):
            role = _second(column_name(text), role, names)
        roles.append(role)
    return tuple(roles)


def _role(heading: Heading | None, best: Mapping[Role, int]) -> Role:
    return heading.role if heading and heading.rank == best[heading.role] else Role.VARIABLE


def _second(name: str, role: Role, names: Counter[str]) -> Role:
    """A second column of this kind is a variable, unless both are called as the field is: which of the two is meant is not guessed."""
    if name == str(role) and names[name] > 1:
        why = Text(msgid("This column appears twice in the header."))
        raise ApiError(422, "wrong_header", why, details=[{"field": name, "message": why}])
    return Role.VARIABLE


def distinct(headings: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns, made distinct by numbers."""
    names: list[str] = []
    counts: Counter[str] = Counter()
    for name in map(column_name, headings):
        counts[name] += 1
        names.append(f"{name}_{counts[name]}" if name and counts[name] > 1 else name)
    return tuple(names)


def no_column(name: str) -> ApiError:
    """No column of the table is this field."""
    text = Text(msgid("The first line must name the columns; these are missing: {columns}."), {"columns": name})
    return ApiError(422, "missing_column", text, details=[{"field": name, "message": Text(msgid("is missing"))}])


def column_name(cell: str) -> str:
    """The name of a column: lower case, without marks and spaces."""
    name = INVISIBLE.sub("", cell).strip().strip('"').strip().lower()
    return NOT_IN_NAMES.sub("_", name)[:MAX_HEADER_CHARACTERS]


def mapping_of(value: Any) -> dict[str, Role]:  # noqa: ANN401 - any JSON
    """`mapping` of the contract, as it came.

    Raises:
        ApiError: 422, naming the column that is wrong.
    """
    if not isinstance(value, dict):
        raise errors.wrong_field(name="mapping", why=Text(msgid("must be an object")))
    known = {str(role) for role in Role}
    for heading, role in value.items():
        if not isinstance(role, str) or role not in known:
            why = Text(msgid("must be one of {expected}"), {"expected": ", ".join(known_roles())})
            raise errors.wrong_field(_field(heading), why)
    keys = Counter(comparable(heading) for heading in value)
    twice = next((heading for heading in value if keys[comparable(heading)] > 1), None)
    if twice is not None:
        raise errors.wrong_field(_field(twice), Text(msgid("is given twice")))
    return {heading: Role(role) for heading, role in value.items()}


def _field(heading: str) -> str:
    return f"mapping.{heading[:MAX_HEADER_CHARACTERS]}"


def known_roles() -> tuple[str, ...]:
    """The words of `mapping`."""
    return tuple(str(role) for role in Role)
