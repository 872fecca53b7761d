"""Compares the tables of a database with those of the old application; what differs is listed, and nothing is guessed.

Both of its variants are known: with defaults in the database, and as an ORM creates it, without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sql.patience import MigrationError
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sql.pool import Connection

RUNS: Final = "outbound_call_runs"
JOBS: Final = "outbound_call_jobs"
TIME: Final = "timestamp without time zone"
ID: Final = "integer"
ANY_TEXT: Final = "text of any length"
TEXTS: Final = {"character varying", "text"}

COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    RUNS: {
        "id": ID,
        "business_id": ID,
        "outbound_list_id": ID,
        "concurrency": "integer",
        **dict.fromkeys(("total_leads", "queued_count", "in_progress_count", "completed_count", "failed_count"), "integer"),
        "status": "character varying(32)",
        "last_error": "text",
        **dict.fromkeys(("created_at", "updated_at", "completed_at"), TIME),
        "cancel_requested": "boolean",
    },
    JOBS: {
        "id": ID,
        "run_id": ID,
        "lead_id": ID,
        "call_log_id": ID,
        "status": "character varying(32)",
        "error_message": "text",
        "call_sid": "character varying(64)",
        **dict.fromkeys(("created_at", "started_at", "completed_at", "dial_started_at"), TIME),
        "twilio_call_sid": "character varying(64)",
        "dial_lock_token": "character varying(64)",
        "lead_name": "character varying(255)",
        "project_id": ID,
    },
    "leads": {"id": ID, "tenant_id": ID, "phone_e164": ANY_TEXT},
    "business": {"id": ID, "name": ANY_TEXT, "phone_e164": ANY_TEXT},
}
# Jobs may lack theirs: they are archived then.
REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {RUNS: ("business_id", "cancel_requested")}
# What migration adds: a column of this name that is there already must be of this type.
ADDED: Final[Mapping[str, Mapping[str, str]]] = {
    RUNS: {
        **dict.fromkeys(("created_by_user_id", "cursor_position", "cancelled_count", "skipped_count", "calls_count"), "integer"),
        **dict.fromkeys(("started_at", "ended_at", "lock_ts", "schedule_at", "served_at", "cancel_requested_at", "archived_at"), TIME),
        "locked_by_worker": "character varying(128)",
        **dict.fromkeys(("name", "cancel_requested_by"), "character varying(255)"),
        "priority": "smallint",
        **dict.fromkeys(("settings", "last_error_cause"), "jsonb"),
        "ancestors": "integer[]",
        "rewrite_pending": "boolean",
        "spent_currency": "text",
        "amount_spent": "numeric",
    },
    JOBS: {
        **dict.fromkeys(("business_id", "position"), "integer"),
        "external_id": "character varying(255)",
        **dict.fromkeys(("phone", "outcome", "reason"), "character varying(32)"),
        "attempt_id": "bigint",
        "attempts": "smallint",
    },
}


class ForeignSchemaError(MigrationError):
    """The tables are not those of the old application; the message lists the differences, a line each."""


@dataclass(frozen=True, slots=True)
class OldSchema:
    """What is there: the `differences` from the old application's tables, and whether its defaults are in the database."""

    differences: tuple[str, ...]
    has_defaults: bool


async def old_schema(connection: Connection) -> OldSchema | None:
    """Compare the tables of the old application; None when there are none, or they are ours already."""
    if not await connection.fetchval(statements("adoption")["has_old_tables"]):
        return None
    rows = await connection.fetch(statements("adoption")["old_columns"], list(COLUMNS))
    found: dict[str, dict[str, tuple[str, bool, bool]]] = {}
    for row in rows:
        found.setdefault(row["table_name"], {})[row["column_name"]] = (row["type"], row["required"], row["has_default"])
    differences = [line for table in COLUMNS for line in _differences(table, found.get(table))]
    differences += [row["difference"] for row in await connection.fetch(statements("adoption")["obstacles"])]
    has_defaults = found.get(RUNS, {}).get("concurrency", ("", False, False))[2]
    return OldSchema(tuple(differences), has_defaults)


def _differences(table: str, found: Mapping[str, tuple[str, bool, bool]] | None) -> Iterator[str]:
    if found is None:
        yield f"table {table} is missing"
        return
    known = {**COLUMNS[table], **ADDED.get(table, {})}
    for name, wanted in known.items():
        if name not in found and name in COLUMNS[table]:
            yield f"{table}.{name} is missing: {wanted}"
        elif name in found and not _fits(found[name][0], wanted):
            yield f"{table}.{name} is {found[name][0]}, not {wanted}"
    yield from (f"{table}.{name} may be NULL" for name in REQUIRED.get(table, ()) if name in found and not found[name][1])
    if table not in ADDED:
        return
    if "id" in found and not found["id"][2]:
        yield f"{table}.id has no default: it is no SERIAL"
    for name in found.keys() - known.keys():
        _, is_required, has_default = found[name]
        if is_required and not has_default:
            yield f"{table}.{name} is unknown, and every row must have it"


def _fits(found: str, wanted: str) -> bool:
    """True for the same type, a wider integer, and a text that has room for as much."""
    if found == wanted or (wanted == "integer" and found == "bigint"):
        return True
    (kind, room), (wanted_kind, wanted_room) = _room(found), _room(wanted)
    if wanted == ANY_TEXT:
        return kind in TEXTS
    return kind in TEXTS and wanted_kind in TEXTS and (room == 0 or 0 < wanted_room <= room)


def _room(described: str) -> tuple[str, int]:
    """The type without its length, and the length; 0 when it has none."""
    kind, _, room = described.partition("(")
    return kind, int(room.rstrip(")")) if room.rstrip(")").isdigit() else 0
