"""All messages between processes: commands from outside, hints to the owner of a business, events for other programs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn

from dialer.model import BIGINT_MAX, INTEGER_MAX, bounded_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

COMMANDS = "dialer:commands"
EVENTS = "dialer:events"
REJECTED = "dialer:commands:rejected"
VERSION = "1"
MAX_ID_CHARACTERS = 200
MAX_NAME_CHARACTERS = 255
SERIAL_MAX = INTEGER_MAX
# The largest id of a job: what the type of outbound_call_jobs.id holds.
JOB_ID_MAX = BIGINT_MAX
MAX_KEPT_FIELDS = 32
MAX_KEPT_CHARACTERS = 500
# How long a command's id is kept: contract section 5, and section 4 for those that came over HTTP.
KEEP_STREAM_SECONDS = 30 * 24 * 3600
KEEP_HTTP_SECONDS = 24 * 3600


class CommandType(StrEnum):
    """The commands for a run or a job."""

    START = "run.start"
    PAUSE = "run.pause"
    RESUME = "run.resume"
    CANCEL = "run.cancel"
    STOP = "run.stop"
    CANCEL_JOB = "job.cancel"


class MalformedError(ValueError):
    """A malformed command; the message names the field and what is expected."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `id` is unique for the business, `entry` is its place in the stream, None when it came over HTTP."""

    business_id: int
    id: str
    type: CommandType
    run_id: int
    job_id: int | None = None
    hang_up: bool = False
    requested_by: str = ""
    entry: str | None = None
    # Over HTTP: True when the answer is to wait until no call is being placed. It changes the answer, and nothing else.
    wait: bool = False
    # The span of the program that sent it, by W3C Trace Context.
    traceparent: str = ""

    @property
    def digest(self) -> bytes:
        """SHA-256 of all fields that change the answer: the same id with another digest is another command."""
        asked = f"{self.type}|{self.run_id}|{self.job_id}|{self.hang_up}"
        # Keeps the digest of ids stored before `wait` was part of it.
        return hashlib.sha256((f"{asked}|wait" if self.wait else asked).encode()).digest()

    @property
    def keep_seconds(self) -> int:
        """How long its id is kept."""
        return KEEP_HTTP_SECONDS if self.entry is None else KEEP_STREAM_SECONDS


def parse_command(fields: Mapping[str, str], entry: str) -> Command:
    """Parse an entry of dialer:commands.

    Raises:
        MalformedError: naming the first field that is missing or wrong.
    """
    if fields.get("v") != VERSION:
        _refuse("v", f"must be {VERSION}")
    identity = fields.get("id", "")
    if not 0 < len(identity) <= MAX_ID_CHARACTERS or not identity.isprintable():
        _refuse("id", f"must have 1 to {MAX_ID_CHARACTERS} printable characters")
    if fields.get("type") not in list(CommandType):
        _refuse("type", f"must be one of {', '.join(CommandType)}")
    kind = CommandType(fields["type"])
    job_id = _number(fields, "job_id", JOB_ID_MAX) if kind is CommandType.CANCEL_JOB or "job_id" in fields else None
    if fields.get("hang_up", "0") not in {"0", "1"}:
        _refuse("hang_up", "must be 0 or 1")
    requested_by = fields.get("requested_by", "stream")
    if len(requested_by) > MAX_NAME_CHARACTERS or not requested_by.isprintable():
        _refuse("requested_by", f"must have at most {MAX_NAME_CHARACTERS} printable characters")
    return Command(
        business_id=_number(fields, "business_id"),
        id=identity,
        type=kind,
        run_id=_number(fields, "run_id"),
        job_id=job_id,
        hang_up=fields.get("hang_up") == "1",
        requested_by=requested_by,
        entry=entry,
        traceparent=fields.get("traceparent", ""),
    )


def keepable(fields: Mapping[str, str]) -> dict[str, str]:
    """The part of a malformed entry to keep: its first 32 fields, cut to 500 characters, without characters PostgreSQL cannot store."""
    first = list(fields.items())[:MAX_KEPT_FIELDS]
    return {_cut(name): _cut(value) for name, value in first}


def _cut(text: str) -> str:
    return text[:MAX_KEPT_CHARACTERS].replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _number(fields: Mapping[str, str], name: str, largest: int = SERIAL_MAX) -> int:
    try:
        return bounded_id(fields.get(name, ""), largest)
    except ValueError as error:
        _refuse(name, str(error))


def _refuse(name: str, rule: str) -> NoReturn:
    message = f"{name} {rule}"
    raise MalformedError(message)


@dataclass(frozen=True, slots=True)
class RunChanged:
    """To the owner: a command for this run has been applied in PostgreSQL; reload the run."""

    business_id: int
    run_id: int
    command: CommandType
    job_id: int | None = None
    hang_up: bool = False


@dataclass(frozen=True, slots=True)
class CallChanged:
    """To the owner: a fact about this attempt has been written to PostgreSQL; `error_code` is the provider's, when it gave one."""

    business_id: int
    run_id: int
    job_id: int
    attempt_id: int
    state: str
    sid: str | None = None
    hang_up: bool = False
    error_code: int | None = None


Hint = RunChanged | CallChanged
HINTS: dict[str, type[RunChanged | CallChanged]] = {"run": RunChanged, "call": CallChanged}


def encode_hint(hint: Hint) -> dict[str, str]:
    """The fields of a partition's stream entry."""
    kind = "run" if isinstance(hint, RunChanged) else "call"
    return {"kind": kind, "body": json.dumps({name: getattr(hint, name) for name in hint.__slots__})}


def decode_hint(fields: Mapping[str, str]) -> Hint:
    """Parse a hint as `encode_hint` wrote it.

    Raises:
        ValueError, TypeError, KeyError: when it is not one of ours.
    """
    body = json.loads(fields["body"])
    if fields["kind"] == "run":
        body["command"] = CommandType(body["command"])
    return HINTS[fields["kind"]](**body)


@dataclass(frozen=True, slots=True)
class Event:
    """A change, as published to other programs. `serial` is its number in the outbox; best-effort events have none."""

    type: str
    business_id: int
    run_id: int | None = None
    job_id: int | None = None
    command_id: str | None = None
    at: datetime = field(kw_only=True)
    data: dict[str, Any] = field(default_factory=dict)
    serial: int | None = None

    @property
    def id(self) -> str:
        """The same for every delivery of one event."""
        return f"e{self.serial}" if self.serial is not None else f"{self.type}:{self.run_id}:{self.at.timestamp():.6f}"

    @property
    def fields(self) -> dict[str, str]:
        """The fields of the entry of dialer:events."""
        fields = {
            "id": self.id,
            "type": self.type,
            "business_id": str(self.business_id),
            "at": self.at.isoformat(),
            "data": json.dumps(self.data),
        }
        for name in ("run_id", "job_id", "command_id"):
            if (value := getattr(self, name)) is not None:
                fields[name] = str(value)
        return fields
