"""Turns entries of dialer:events into server-sent events.

Any program with access to Redis can write an entry, so nothing here raises: an entry without a business, a run or a type is skipped, and
a malformed field becomes null.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from dialer.model import BIGINT_MAX
from web.server.inputs import optional_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dialer.streams.client import Entry

# An entry's id as two numbers, which can be compared.
Id: TypeAlias = tuple[int, int]

ENTRY_ID_MAX: Final = 2**64 - 1
MAX_COMMAND_ID_CHARACTERS: Final = 255
# The dialer never writes more; this bounds the memory of each listener.
MAX_DATA_CHARACTERS: Final = 16_384
MAX_AT_CHARACTERS: Final = 64
# The counters of leads that no call is in flight for, once the run has ended.
SETTLED: Final = ("completed", "failed", "cancelled", "skipped")
# The dot keeps an entry from passing for `reset`, `end` or `alive`, which only this process may send.
TYPE: Final = re.compile(r"[a-z]{1,20}(\.[a-z_]{1,20}){1,2}")


@dataclass(frozen=True, slots=True)
class FramedEvent:
    """An event as it is sent to a browser: `frame` is the text on the wire, `id` that of the entry.

    After `is_last` no event of the run follows: it has ended, and no call of it is in flight.
    """

    id: Id
    business_id: int
    run_id: int
    type: str
    is_last: bool
    frame: bytes


def parse_id(text: str) -> Id | None:
    """An entry's id as two numbers; None when it is not one."""
    milliseconds, _, sequence = text.partition("-")
    first, second = _part_of_id(milliseconds), _part_of_id(sequence)
    return None if first is None or second is None else (first, second)


def run_of_entry(fields: Mapping[str, str]) -> tuple[int, int] | None:
    """The business and the run an entry is about; None when it is not about a run."""
    business_id, run_id = _row_id(fields, "business_id"), _row_id(fields, "run_id")
    return None if business_id is None or run_id is None else (business_id, run_id)


def read_entry(entry: Entry) -> FramedEvent | None:
    """The event of an entry, framed; None for an entry that is not an event of a run."""
    identity, fields = entry
    entry_id, about, kind = parse_id(identity), run_of_entry(fields), fields.get("type", "")
    if entry_id is None or about is None or not TYPE.fullmatch(kind):
        return None
    command_id = fields.get("command_id", "")
    body = {
        "type": kind,
        "run_id": about[1],
        "job_id": _row_id(fields, "job_id"),
        "command_id": command_id if 0 < len(command_id) <= MAX_COMMAND_ID_CHARACTERS else None,
        "at": _moment(fields.get("at", "")),
        "data": _data(fields.get("data", "{}")),
    }
    return FramedEvent(entry_id, *about, kind, _is_last(kind, body["data"]), encode(kind, body, identity))


def _is_last(kind: str, data: object) -> bool:
    """`run.drained` follows a `run.finished` that counts fewer leads than there are."""
    if kind != "run.finished" or not isinstance(data, dict):
        return kind == "run.drained"
    return data.get("total_leads") == sum(number for name in SETTLED if isinstance(number := data.get(name), int))


def encode(name: str, body: object, identity: str | None = None) -> bytes:
    """One event of a stream in the format of the HTML standard (server-sent events)."""
    lines = [f"id: {identity}"] if identity is not None else []
    lines += [f"event: {name}", f"data: {json.dumps(body)}", "", ""]
    return "\n".join(lines).encode()


def _row_id(fields: Mapping[str, str], name: str) -> int | None:
    return optional_id(fields.get(name, ""), BIGINT_MAX)


def _part_of_id(text: str) -> int | None:
    """Unlike an id of a row, a part of an entry's id may be 0."""
    return 0 if text == "0" else optional_id(text, ENTRY_ID_MAX)


def _moment(text: str) -> str | None:
    if len(text) > MAX_AT_CHARACTERS:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.isoformat() if at.tzinfo else None


def _data(text: str) -> object:
    """The object in `data`; None when it is not one, or cannot be written as JSON again."""
    if len(text) > MAX_DATA_CHARACTERS:
        return None
    try:
        data = json.loads(text)
        json.dumps(data, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
