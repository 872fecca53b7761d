"""Reads entries of dialer:events and writes them as server-sent events.

Anybody with access to Redis may write an entry, so nothing here raises: an entry without a business, a run or a type is left out, and
a field that is not what it should be is null.

On the road of a call: after 7; between the stream of Redis and the screens.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dialer.streams.client import Entry

# An entry's id as two numbers, which can be compared.
Id: TypeAlias = tuple[int, int]


ENTRY_ID_MAX: Final = 2**64 - 1
ROW_ID_MAX: Final = 2**63 - 1
MAX_DIGITS: Final = 20
MAX_COMMAND_ID_CHARACTERS: Final = 255
# More than this is nothing that the dialer writes; what every listener holds in memory depends on it.
MAX_DATA_CHARACTERS: Final = 16_384
MAX_AT_CHARACTERS: Final = 64
# The dot keeps an entry from passing for `reset`, `end` or `alive`, which only this process may say.
TYPE: Final = re.compile(r"[a-z]{1,20}(\.[a-z_]{1,20}){1,2}")


@dataclass(frozen=True, slots=True)
class FramedEvent:
    """An event as it goes to a browser: `frame` is the text on the wire, `id` the entry's."""

    id: Id
    business_id: int
    run_id: int
    type: str
    frame: bytes


def parse_id(text: str) -> Id | None:
    """An entry's id as two numbers; None when it is not one."""
    milliseconds, _, sequence = text.partition("-")
    first, second = _number(milliseconds, ENTRY_ID_MAX), _number(sequence, ENTRY_ID_MAX)
    return None if first is None or second is None else (first, second)


def run_of_entry(fields: Mapping[str, str]) -> tuple[int, int] | None:
    """The business and the run an entry is about; None for one that is about no run."""
    business_id, run_id = _number(fields.get("business_id", ""), ROW_ID_MAX), _number(fields.get("run_id", ""), ROW_ID_MAX)
    return None if business_id is None or run_id is None else (business_id, run_id)


def read_entry(entry: Entry) -> FramedEvent | None:
    """The event of an entry, framed; None for an entry that is no event of a run."""
    identity, fields = entry
    entry_id, about, kind = parse_id(identity), run_of_entry(fields), fields.get("type", "")
    if entry_id is None or about is None or not TYPE.fullmatch(kind):
        return None
    command_id = fields.get("command_id", "")
    body = {
        "type": kind,
        "run_id": about[1],
        "job_id": _number(fields.get("job_id", ""), ROW_ID_MAX),
        "command_id": command_id if 0 < len(command_id) <= MAX_COMMAND_ID_CHARACTERS else None,
        "at": _moment(fields.get("at", "")),
        "data": _data(fields.get("data", "{}")),
    }
    return FramedEvent(entry_id, *about, kind, encode(kind, body, identity))


def encode(name: str, body: object, identity: str | None = None) -> bytes:
    """One event of a stream, as HTML's standard writes it (server-sent events)."""
    lines = [f"id: {identity}"] if identity is not None else []
    lines += [f"event: {name}", f"data: {json.dumps(body)}", "", ""]
    return "\n".join(lines).encode()


def _number(text: str, most: int) -> int | None:
    # `isdigit` alone also takes digits such as a superscript two, which `int` refuses.
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        return None
    number = int(text)
    return number if number <= most else None


def _moment(text: str) -> str | None:
    if len(text) > MAX_AT_CHARACTERS:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.isoformat() if at.tzinfo else None


def _data(text: str) -> object:
    """The object in `data`, if it is one that can be written as JSON again."""
    if len(text) > MAX_DATA_CHARACTERS:
        return None
    try:
        found = json.loads(text)
        json.dumps(found, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
