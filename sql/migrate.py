"""Brings the schema up to date: each migration once, in order; functions again whenever their file has changed.

An applied migration must not change: its checksum is stored. Functions are versioned by name, so that old and new code can run side by
side during a deploy; applying one again is harmless.

Where the tables of an old application exist, they are adopted (sql/adoption/) in place of the migration that creates them.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sql.adoption.adopt import adopt, adoption_steps
from sql.adoption.old_schema import ForeignSchemaError, old_schema
from sql.adoption.survey import survey
from sql.lock_times import LockTimes
from sql.patience import BlockedMigrationError, MigrationError, patiently
from sql.pooler import Connector
from sql.statements import FOLDER, QUERIES, statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sql.adoption.old_schema import OldSchema
    from sql.pool import Connection, Pool
    from sql.pooler import Session

# Any number, the same in all versions: the holder of this advisory lock migrates.
LOCK = 7_417_001
# Others wait for it without a statement in progress: an index that is built concurrently would wait for theirs.
LOCK_PAUSE_SECONDS = 0.1
LOCK_TRIES = 36_000
# Functions of these files are called by the others.
CALLED_BY_OTHERS = {"states", "old_job_v1"}
# The migration that creates the tables which other programs read.
PUBLIC = "0002_public"


POOLED_ADOPTION = (
    "the tables of an old application are adopted over a direct connection only, since a pooler may run each statement in another session: "
    "run this once with the address of PostgreSQL itself in DATABASE_URL"
)
LOST_LOCK = "the connection that keeps other migrations away is lost; what was done stays, and the same command goes on from there"


class PooledAdoptionError(MigrationError):
    """Tables of an old application cannot be adopted through a pooler."""


class ChangedMigrationError(MigrationError):
    """A migration that was applied to this database is not the one in this checkout; the message names it."""


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
    """A database compared with this checkout: files applied and pending, changed migrations, applied files that are unknown here.

    `old`: the tables of an old application that are still to be adopted.
    """

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    changed: tuple[str, ...]
    unknown: tuple[str, ...]
    old: OldSchema | None = None

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
    order += [("function", path) for path in sorted(functions, key=lambda path: (path.stem not in CALLED_BY_OTHERS, path.stem))]
    names = [path.stem for _, path in order]
    if len(set(names)) < len(names):
        message = f"two files of sql/ have the same name: {', '.join(sorted({name for name in names if names.count(name) > 1}))}"
        raise ValueError(message)
    return [Step(kind, path.stem, path.read_text(encoding="utf-8")) for kind, path in order]


async def migrate(database_url: str, times: LockTimes | None = None) -> list[str]:
    """Apply what is pending, each file in a transaction of its own; return the names applied. `times` gets how long it locked what.

    Safe to run from many processes at once: one migrates, the others wait and find nothing to do. Safe to interrupt: what was done stays.

    Raises:
        ChangedMigrationError: when an applied migration has changed; nothing is applied then.
        ForeignSchemaError: when tables of these names exist that are not the old application's; nothing is applied then.
        PooledAdoptionError: when there are tables of an old application, and a pooler in between; nothing is applied then.
        BlockedMigrationError: when another session keeps a table locked, or another process migrates for an hour.
        asyncpg.PostgresError: when a file fails; that file is rolled back, those before it stay.
    """
    times = LockTimes() if times is None else times
    connector = Connector("migrate", {})
    async with _exclusively(connector, database_url) as lock, _connected(connector, database_url) as connection:
        before = await _report(connection)
        if before.changed:
            raise ChangedMigrationError(", ".join(before.changed))
        if before.old and before.old.differences:
            raise ForeignSchemaError("\n".join(before.old.differences))
        if before.old and connector.pooled:
            raise PooledAdoptionError(POOLED_ADOPTION)
        if before.pending:  # otherwise the role of the processes may run this too
            await connection.execute(statements("migrations")["create_schema"])
            await connection.execute(statements("migrations")["create_applied"])
        done: list[str] = []
        for step in [step for step in steps() if step.name in before.pending]:
            if lock.is_closed():
                raise BlockedMigrationError(LOST_LOCK)
            if step.name == PUBLIC and before.old:
                done += await adopt(connection, set(before.applied), times)
                await connection.execute(statements("migrations")["record"], step.kind, step.name, step.checksum)
            else:
                await _apply(connection, step, times)
            done.append(step.name)
        await connection.execute(statements("timelines")["notice"])
        return done


async def plan(database_url: str) -> list[str]:
    """What `migrate` would do to rows of an old application, a line each; empty when there are none. Changes nothing.

    Raises:
        OSError, asyncpg.PostgresError: when the server cannot be reached or refuses.
    """
    async with _connected(Connector("migrate", {}), database_url) as connection:
        old = (await _report(connection)).old
        return await survey(connection, old) if old else []


async def report(database_url: str) -> Report:
    """Compare a database with this checkout; changes nothing.

    Raises:
        OSError, asyncpg.PostgresError: when the server cannot be reached or refuses.
    """
    async with _connected(Connector("migrate", {}), database_url) as connection:
        return await _report(connection)


@asynccontextmanager
async def _connected(connector: Connector, database_url: str) -> AsyncIterator[Session]:
    connection = await connector.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _exclusively(connector: Connector, database_url: str) -> AsyncIterator[Session]:
    """Hold the lock of those that migrate, in a transaction on a connection of its own: behind a pooler no session is ours for longer.

    Raises:
        BlockedMigrationError: when another process holds it for an hour.
    """
    async with _connected(connector, database_url) as connection:
        for _ in range(LOCK_TRIES):
            async with connection.transaction():
                if await connection.fetchval(statements("migrations")["lock"], LOCK):
                    await connection.execute(statements("migrations")["keep"])
                    yield connection
                    return
            await asyncio.sleep(LOCK_PAUSE_SECONDS)
        message = "another process has been migrating this database for an hour"
        raise BlockedMigrationError(message)


async def _apply(connection: Connection, step: Step, times: LockTimes) -> None:
    async def attempt() -> None:
        async with times.transaction(connection, step.name):
            await connection.execute(step.text)
            await connection.execute(statements("migrations")["record"], step.kind, step.name, step.checksum)

    await patiently(attempt)


async def _report(connection: Connection) -> Report:
    applied: dict[str, str] = {}
    if await connection.fetchval(statements("migrations")["has_applied"]):
        applied = {row["name"]: row["checksum"] for row in await connection.fetch(statements("migrations")["applied"])}
    here = steps()
    old = None if PUBLIC in applied else await old_schema(connection)
    adopted = [step.name for step in adoption_steps()]
    pending = [s.name for s in here if s.name not in applied or (s.kind == "function" and applied[s.name] != s.checksum)]
    if old:
        at = pending.index(PUBLIC)
        pending[at:at] = [name for name in adopted if name not in applied]
    return Report(
        applied=tuple(applied),
        pending=tuple(pending),
        changed=tuple(s.name for s in here if s.kind == "migration" and applied.get(s.name, s.checksum) != s.checksum),
        unknown=tuple(sorted(set(applied) - {s.name for s in here} - set(adopted))),
        old=old,
    )


async def report_of(pool: Pool) -> Report:
    """Compare the database of an open pool with this checkout; changes nothing.

    Raises:
        OSError, asyncpg.PostgresError: when the server cannot be reached or refuses.
    """
    async with pool.acquire() as connection:
        return await _report(connection)
