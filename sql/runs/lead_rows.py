"""Leads as the rows of two COPY statements, in the order of their zones: the jobs, and what a script may say of each lead.

The rows are in PostgreSQL's text format, so whoever loads them passes bytes on. They end without the ids of run and business, which are
not known where leads are read; as no text has an end of line of its own in it, these are put before each one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from dialer.scripts.texts import lead_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sql.runs.new_lead import NewLead

# Zone keys, and the first and the last position of each.
ZoneRanges: TypeAlias = tuple[list[str], list[int], list[int]]

JOB_COLUMNS: Final = ("lead_id", "external_id", "lead_name", "phone", "position")
VARIABLE_COLUMNS: Final = ("variables", "position")
NULL: Final = "\\N"
SPECIAL: Final = re.compile(r"[\\\t\n\r]")
ESCAPES: Final = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
ROWS_AT_ONCE: Final = 2_000
JSON: Final = json.JSONEncoder(ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class LeadRows:
    """`count` leads: `jobs` and `variables` are the rows of their tables, in parts with whole or cut rows, as often as called.

    `external_ids` are those of leads whose id is a text; their rows have no number yet.
    """

    count: int
    zones: ZoneRanges
    jobs: Callable[[], Iterator[bytes]]
    variables: Callable[[], Iterator[bytes]]
    external_ids: Sequence[str] = ()

    def __len__(self) -> int:
        return self.count


@dataclass(slots=True)
class _Zone:
    jobs: list[bytes] = field(default_factory=list)
    # By the index of the job.
    variables: dict[int, bytes] = field(default_factory=dict)


class ZonedLeads:
    """Takes leads in any order, and keeps them as rows."""

    def __init__(self) -> None:
        self._zones: dict[str, _Zone] = {}
        self._external_ids: list[str] = []

    def add(self, lead: NewLead) -> None:
        """Keep a lead."""
        zone = self._zones.setdefault(lead.zone, _Zone())
        if lead.variables and (texts := lead_values(None, lead.variables)):
            zone.variables[len(zone.jobs)] = escaped(JSON.encode(texts)).encode()
        external = lead.external_id
        if external is not None and lead.lead_id is None:
            self._external_ids.append(external)
        lead_id = NULL if lead.lead_id is None else lead.lead_id
        name = NULL if lead.name is None else escaped(lead.name)
        zone.jobs.append(f"{lead_id}\t{NULL if external is None else escaped(external)}\t{name}\t{lead.phone}".encode())

    def rows(self, after: int = 0) -> LeadRows:
        """The leads at the positions behind `after`."""
        zones: ZoneRanges = [], [], []
        for key, zone in sorted(self._zones.items()):
            last = after + len(zone.jobs)
            zones[0].append(key)
            zones[1].append(after + 1)
            zones[2].append(last)
            after = last
        count = sum(len(zone.jobs) for zone in self._zones.values())
        return LeadRows(count, zones, lambda: _parts(self._jobs(zones)), lambda: _parts(self._variables(zones)), self._external_ids)

    def _jobs(self, zones: ZoneRanges) -> Iterator[bytes]:
        for key, first in zip(zones[0], zones[1], strict=True):
            for position, job in enumerate(self._zones[key].jobs, first):
                yield b"%b\t%d\n" % (job, position)

    def _variables(self, zones: ZoneRanges) -> Iterator[bytes]:
        for key, first in zip(zones[0], zones[1], strict=True):
            for n, variables in self._zones[key].variables.items():
                yield b"%b\t%d\n" % (variables, first + n)


def rows_of_leads(leads: Iterable[NewLead], after: int = 0) -> LeadRows:
    """The rows of leads at the positions behind `after`."""
    zoned = ZonedLeads()
    for lead in leads:
        zoned.add(lead)
    return zoned.rows(after)


def with_numbers(parts: Iterator[bytes], numbers: Mapping[str, int]) -> Iterator[bytes]:
    """The rows of jobs, those without a number with that of their id."""
    known = {escaped(external_id).encode(): b"%d" % number for external_id, number in numbers.items()}
    rest = b""
    for part in parts:
        *rows, rest = (rest + part).split(b"\n")
        yield b"".join([_with_number(row, known) + b"\n" for row in rows])


def _with_number(row: bytes, known: Mapping[bytes, bytes]) -> bytes:
    number, external_id, _ = row.split(b"\t", 2)
    return known[external_id] + row[len(number) :] if number == NULL.encode() else row


def escaped(text: str) -> str:
    """A text as it stands in a row."""
    return SPECIAL.sub(lambda found: ESCAPES[found[0]], text) if SPECIAL.search(text) else text


def _parts(rows: Iterator[bytes]) -> Iterator[bytes]:
    while part := b"".join(islice(rows, ROWS_AT_ONCE)):
        yield part
