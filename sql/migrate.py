"""Brings the schema up to date: each migration once, in order; functions again whenever their file has changed.

An applied migration must not change: its checksum is stored. Functions are versioned by name, so that old and new code can run side by
side during a deploy; applying one again is harmless.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from sql.statements import FOLDER, QUERIES, statements

if TYPE_CHECKING:
    from sql.pool import Connection, Pool

# Any number, the same in all versions: the holder of this advisory lock migrates.
LOCK = 7_417_001
LOCK_TIMEOUT_SECONDS = 60


class ChangedMigrationError(Exception):
    """A migration that was applied to this database is not the one in this checkout."""


@dataclass(frozen=True, slots=True)
class Step:
    """One file to apply: `kind` is migration or function."""

    kind: str
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Report:
    """A database compared with this checkout: files applied and pending, changed migrations, applied files that are unknown here."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    changed: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def up_to_date(self) -> bool:
        """True when nothing is pending and nothing has changed."""
        return not self.pending and not self.changed


def steps() -> list[Step]:
    """Every migration, then every function, in the order in which they are applied.

    Raises:
        ValueError: when two have the same name, of which only one would be remembered as applied.
    """
    order = [("migration", path) for path in sorted((FOLDER / "migrations").glob("[0-9]*.sql"))]
    functions = [path for path in FOLDER.glob("*/*.sql") if path.parent.name != "migrations" and path.name != QUERIES]
    # The other functions call those of states.sql.
    order += [("function", path) for path in sorted(functions, key=lambda path: (path.stem != "states", path.stem))]
    names = [path.stem for _, path in order]
    if len(set(names)) < len(names):
        message = f"two files of sql/ have the same name: {', '.join(sorted({name for name in names if names.count(name) > 1}))}"
        raise ValueError(message)
    return [Step(kind, path.stem, path.read_text(encoding="utf-8")) for kind, path in order]


async def migrate(database_url: str) -> list[str]:
    """Apply what is pending, each file in a transaction of its own; return the names applied.

    Safe to run from many processes at once: one migrates, the others wait and find nothing to do.

    Raises:
        ChangedMigrationError: when an applied migration has changed; nothing is applied then.
        asyncpg.PostgresError: when a file fails; that file is rolled back, those before it stay.
    """
    settings = {"application_name": "migrate", "timezone": "UTC", "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s"}
    connection = await asyncpg.connect(database_url, server_settings=settings)
    try:
        await connection.execute(statements("migrations")["lock"], LOCK)
        await connection.execute(statements("migrations")["create_schema"])
        await connection.execute(statements("migrations")["create_applied"])
        before = await _report(connection)
        if before.changed:
            raise ChangedMigrationError(", ".join(before.changed))
        todo = [step for step in steps() if step.name in before.pending]
        for step in todo:
            await _apply(connection, step)
        await connection.execute(statements("timelines")["notice"])
        return [step.name for step in todo]
    finally:
        await connection.close()


async def report(database_url: str) -> Report:
    """Compare a database with this checkout; changes nothing.

    Raises:
        OSError, asyncpg.PostgresError: when the server cannot be reached or refuses.
    """
    connection = await asyncpg.connect(database_url)
    try:
        return await _report(connection)
    finally:
        await connection.close()


async def _apply(connection: Connection, step: Step) -> None:
    async with connection.transaction():
        await connection.execute(step.text)
        await connection.execute(statements("migrations")["record"], step.kind, step.name, step.checksum)


async def _report(connection: Connection) -> Report:
    applied: dict[str, str] = {}
    if await connection.fetchval(statements("migrations")["has_applied"]):
        applied = {row["name"]: row["checksum"] for row in await connection.fetch(statements("migrations")["applied"])}
    here = steps()
    return Report(
        applied=tuple(applied),
        pending=tuple(s.name for s in here if s.name not in applied or (s.kind == "function" and applied[s.name] != s.checksum)),
        changed=tuple(s.name for s in here if s.kind == "migration" and applied.get(s.name, s.checksum) != s.checksum),
        unknown=tuple(sorted(set(applied) - {s.name for s in here})),
    )


async def report_of(pool: Pool) -> Report:
    """Compare the database of an open pool with this checkout; changes nothing.

    Raises:
        OSError, asyncpg.PostgresError: when the server cannot be reached or refuses.
    """
    async with pool.acquire() as connection:
        return await _report(connection)
