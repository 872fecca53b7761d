"""Checks leads row by row: good ones are kept, bad ones and duplicates are reported, each with a reason."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from zoneinfo import available_timezones

from dialer.model import BIGINT_MAX
from dialer.phones.phone_numbers import PhoneReading, RefusedPhoneError, read_phone
from dialer.phones.zones import zone_key
from sql.runs.new_lead import NewLead
from sql.stored_text import storable
from web.intake.imports.required_variables import RequiredVariables
from web.intake.phone_sentences import sentence_of
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sql.runs.lead_rows import LeadRows

MAX_LEADS: Final = 200_000
MAX_NAME_CHARACTERS: Final = 255
MAX_VARIABLES: Final = 50
MAX_VARIABLES_CHARACTERS: Final = 4_000
# As JSON a character takes six at most, and a pair has eight marks around it.
LONGEST_ESCAPE: Final = 6
JSON_MARKS: Final = 8
# Of the variables, so many are kept with the run.
MAX_COLUMNS: Final = 200
# A rejected value is shown up to this length.
MAX_SHOWN_CHARACTERS: Final = 64
MAX_LEAD_ID_CHARACTERS: Final = 255
ESCAPED_NUL: Final = re.compile(r"(?<!\\)(\\\\)*\\u0000")
FIELDS: Final = frozenset({"lead_id", "phone", "name", "timezone", "variables"})

REASONS: Final[dict[str, str]] = {
    "not_an_object": msgid("A lead must be an object with lead_id and phone."),
    "unknown_field": msgid("Unknown field {field}; put it under variables."),
    "missing_lead_id": msgid("The lead_id is missing."),
    # Of a run that an old application has inserted: sql/adoption/old_runs.py.
    "missing_lead": msgid("This lead is not there any more, or belongs to another business."),
    "invalid_lead_id": msgid("The lead_id must be a whole number from 1 to {most}, or text of at most {characters} characters."),
    "invalid_name": msgid("The name must be text of at most {most} characters."),
    "invalid_timezone": msgid("Unknown time zone; write it as Asia/Jerusalem."),
    "invalid_variables": msgid("The variables must be an object with at most {most} names and {characters} characters."),
    "missing_variable": msgid("The script needs {{{variable}}}, which this lead does not have."),
    "wrong_columns": msgid("Cells in this row: {cells}. Columns in the header: {columns}."),
    "second_header": msgid("A second header stands in or above this row. Upload each table as a file of its own."),
    "repeated_key": msgid("The key {key} is given twice."),
    "bad_quotes": msgid("A quotation mark in this row is not closed, or is in the wrong place."),
    "row_too_long": msgid("The row is too long."),
    "nul_character": msgid("The row contains an invalid character (NUL)."),
}


class RowId(int):
    """The id of a lead from a table without ids: the number of its row."""


# An integer or a text, as it was sent.
LeadId: TypeAlias = "int | str"


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that is not dialled, and why; `name` is that of the person, as far as it can be shown."""

    row: int
    lead_id: object
    phone: str | None
    reason: str
    text: Text
    name: str | None = None


@dataclass(frozen=True, slots=True)
class DuplicateRow:
    """A row whose lead or phone (`by`) came before: `same_as` is the lead_id first seen."""

    row: int
    lead_id: LeadId
    phone: str
    same_as: LeadId
    by: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ReadingChange:
    """A phone that changed in more than separators, trunk zero and country code: `phone` as it was sent, `read_as` as it is dialled."""

    row: int
    lead_id: LeadId
    phone: str
    read_as: str


@dataclass(slots=True)
class CheckedRows:
    """Rows that have been checked, `count` of them good; `numbers` are the rows of the accepted leads, in the same order.

    `accepted` and `numbers` are empty where the good leads are kept elsewhere, as those of a new run, which are `loadable`.
    `is_numbered` when the leads have no ids of their own, but the numbers of their rows. `columns` are the variables by name and heading.
    """

    count: int = 0
    loadable: LeadRows | None = None
    accepted: list[NewLead] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    duplicates: list[DuplicateRow] = field(default_factory=list)
    read_as: list[ReadingChange] = field(default_factory=list)
    # The keys of the variables that the script needs and no readable lead has.
    unknown_variables: frozenset[str] = frozenset()
    is_numbered: bool = False
    columns: list[tuple[str, str]] = field(default_factory=list)

    def keep(self, number: int, lead: NewLead) -> None:
        """Keep a good lead with its row."""
        self.accepted.append(lead)
        self.numbers.append(number)

    @property
    def leads(self) -> Sequence[NewLead] | LeadRows:
        """The good leads."""
        return self.accepted if self.loadable is None else self.loadable


class BadRowError(Exception):
    """This row cannot be dialled."""

    def __init__(self, reason: str, text: Text) -> None:
        super().__init__(reason)
        self.reason = reason
        self.text = text


def check_rows(
    rows: Iterable[tuple[int, object]],
    region: str,
    zone: str,
    variables: frozenset[str] = frozenset(),
    largest_lead_id: int = BIGINT_MAX,
    keep: Callable[[int, NewLead], None] | None = None,
) -> CheckedRows:
    """Check leads, each with its row number; `region` and `zone` are those of the business, `variables` the keys its script needs.

    A whole number above `largest_lead_id` cannot be stored as one. `keep` gets each good lead with its row, in place of the lists.
    """
    checked = CheckedRows()
    keep = keep or checked.keep
    names: dict[str, None] = {}
    wanted = RequiredVariables(variables)
    leads: set[LeadId] = set()
    phones: dict[str, LeadId] = {}
    for number, row in rows:
        try:
            lead_id, reading, lead = _lead(row, region, zone, largest_lead_id)
            if missing := wanted.missing(lead):
                raise _bad(reason="missing_variable", variable=missing[0])
        except BadRowError as error:
            checked.rejected.append(RejectedRow(number, *_identity(row), error.reason, error.text, _shown_name(row)))
            continue
        if lead_id in leads:
            checked.duplicates.append(DuplicateRow(number, lead_id, lead.phone, lead_id, "lead", lead.name))
        elif lead.phone in phones:
            checked.duplicates.append(DuplicateRow(number, lead_id, lead.phone, phones[lead.phone], "phone", lead.name))
        else:
            leads.add(lead_id)
            phones[lead.phone] = lead_id
            if not checked.count:
                checked.is_numbered = isinstance(lead_id, RowId)
            checked.count += 1
            if lead.variables and len(names) < MAX_COLUMNS:
                names.update(dict.fromkeys(lead.variables))
            keep(number, lead)
            if reading.altered and isinstance(row, dict):
                checked.read_as.append(ReadingChange(number, lead_id, shown_text(row["phone"]) or "", reading.e164))
    checked.unknown_variables = wanted.unknown
    checked.columns = [(name, name) for name in names]
    return checked


def too_many() -> ApiError:
    """More leads than one run may have."""
    text = Text(msgid("At most {most} leads are allowed in one upload; split the list."), {"most": MAX_LEADS})
    return ApiError(413, "too_many_leads", text)


def _lead(row: object, region: str, zone: str, largest_id: int) -> tuple[LeadId, PhoneReading, NewLead]:
    if isinstance(row, BadRowError):
        raise row
    if not isinstance(row, dict):
        raise _bad(reason="not_an_object")
    if not row.keys() <= FIELDS:
        unknown = next(name for name in row if name not in FIELDS)
        raise _bad(reason="unknown_field", field=unknown[:MAX_SHOWN_CHARACTERS])
    timezone = _timezone(row.get("timezone"))
    lead_id = _lead_id(row.get("lead_id"), largest_id)
    reading = _phone(row.get("phone"), region)
    lead = NewLead(
        lead_id=None if isinstance(lead_id, str) else lead_id,
        external_id=lead_id if isinstance(lead_id, str) else None,
        phone=reading.e164,
        name=_name(row.get("name")),
        zone=zone_key(reading.e164, timezone, region, zone),
        variables=_variables(row.get("variables")),
    )
    return lead_id, reading, lead


def _lead_id(value: object, largest: int) -> LeadId:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise _bad(reason="missing_lead_id")
    if isinstance(value, str) and len(value) <= MAX_LEAD_ID_CHARACTERS and storable(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= largest:
        return value
    raise _bad(reason="invalid_lead_id", most=largest, characters=MAX_LEAD_ID_CHARACTERS)


def _phone(value: object, region: str) -> PhoneReading:
    try:
        return read_phone(value, region)
    except RefusedPhoneError as error:
        raise BadRowError(error.reason, sentence_of(error)) from None


def _name(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_NAME_CHARACTERS or not storable(value):
        raise _bad(reason="invalid_name", most=MAX_NAME_CHARACTERS)
    return value.strip() or None


def _timezone(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or value not in _zones():
        raise _bad(reason="invalid_timezone")
    return value


def _variables(value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) > MAX_VARIABLES or not _fits(value):
        raise _bad(reason="invalid_variables", most=MAX_VARIABLES, characters=MAX_VARIABLES_CHARACTERS)
    return value or None


def _fits(variables: Mapping[str, Any]) -> bool:
    if all(type(value) is str for value in variables.values()):
        text = "".join(chain.from_iterable(variables.items()))
        most = LONGEST_ESCAPE * len(text) + JSON_MARKS * (len(variables) + 1)
        if most <= MAX_VARIABLES_CHARACTERS and "\\" not in text and storable(text):
            return True
    try:
        text = json.dumps(variables, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return False
    # JSON escapes a NUL, and PostgreSQL's jsonb cannot store it.
    return len(text) <= MAX_VARIABLES_CHARACTERS and not ESCAPED_NUL.search(text) and storable(text)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _bad(reason: str, **values: object) -> BadRowError:
    return BadRowError(reason, _sentence_with(reason, values) if values else _sentence(reason))


def _sentence_with(reason: str, values: Mapping[str, object]) -> Text:
    """The report is stored: what a row has named must be storable."""
    shown = {name: shown_text(value, len(value)) if isinstance(value, str) else value for name, value in values.items()}
    return Text(REASONS[reason], shown)


@cache
def _sentence(reason: str) -> Text:
    """One object for all rows with the same fault."""
    return Text(REASONS[reason])


def _identity(row: object) -> tuple[object, str | None]:
    """The lead_id and the phone of a bad row, as far as they can be shown."""
    if isinstance(row, BadRowCellsError):
        row = row.cells
    if not isinstance(row, dict):
        return None, None
    lead_id, phone = row.get("lead_id"), row.get("phone")
    shown = lead_id if isinstance(lead_id, int) and abs(lead_id) <= BIGINT_MAX else shown_text(lead_id, MAX_LEAD_ID_CHARACTERS)
    return shown, shown_text(phone)


def _shown_name(row: object) -> str | None:
    """The name in a bad row, as far as it can be shown."""
    cells = row.cells if isinstance(row, BadRowCellsError) else row
    name = cells.get("name") if isinstance(cells, Mapping) else None
    return (shown_text(name) or "").strip() or None if isinstance(name, str) else None


def shown_text(value: object, most: int = MAX_SHOWN_CHARACTERS) -> str | None:
    """A rejected value as it is shown: text of at most `most` characters; None for what is neither text nor a number."""
    if not isinstance(value, (str, int, float)):
        return None
    return str(value)[:most].encode(errors="replace").decode().replace("\x00", "")


class BadRowCellsError(BadRowError):
    """A row of a file that cannot be read; the cells that could be read are shown."""

    def __init__(self, cells: Mapping[str, object], reason: str, /, **values: object) -> None:
        super().__init__(reason, _sentence_with(reason, values) if values else _sentence(reason))
        self.cells = cells
