"""Adopts the tables of the old application, step by step, while it goes on writing them.

The steps are the files of sql/migrations/adoption/, each with a first line that says how it runs:

- once: in one transaction;
- in parts: by the ids of jobs, or of runs, a transaction each part; a part that was done changes nothing when it is done again;
- alone: a statement at a time without a transaction, since an index that is built while others write needs that.

A step that was recorded is not run again; one that was interrupted begins anew. When the old application has written rows meanwhile that an
index or a constraint does not allow, the rows are put right again first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import asyncpg

from sql.patience import patiently
from sql.statements import FOLDER, statements

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sql.lock_times import LockTimes
    from sql.pool import Connection

STEPS: Final = FOLDER / "migrations" / "adoption"
KINDS: Final = {
    "-- once": "once",
    "-- in parts": "parts of jobs",
    "-- in parts, of runs": "parts of runs",
    "-- alone, each statement": "alone",
}
# Its rows are locked for some ten milliseconds.
PART_ROWS: Final = {"parts of jobs": 2_000, "parts of runs": 50}
INDEX: Final = re.compile(r"INDEX CONCURRENTLY IF NOT EXISTS (\w+)")
# How often rows are put right that the old application has written meanwhile.
MAX_ROUNDS: Final = 10


@dataclass(frozen=True, slots=True)
class AdoptionStep:
    """A file of sql/migrations/adoption/; `kind` says how it runs."""

    name: str
    kind: str
    text: str


@cache
def adoption_steps() -> tuple[AdoptionStep, ...]:
    """The steps, in their order.

    Raises:
        KeyError: when the first line of a file does not say how it runs.
    """
    paths = sorted(STEPS.glob("*.sql"))
    texts = [(f"adoption_{path.stem}", path.read_text(encoding="utf-8")) for path in paths]
    return tuple(AdoptionStep(name, KINDS[text.partition("\n")[0]], text) for name, text in texts)


async def adopt(connection: Connection, applied: set[str], times: LockTimes) -> list[str]:
    """Run the steps that are not among those `applied`; return their names. `times` gets how long each locks tables or rows.

    Raises:
        BlockedMigrationError: when another session keeps a table locked.
        asyncpg.PostgresError: when a step fails; it is rolled back, those before it stay.
    """
    pending = [step for step in adoption_steps() if step.name not in applied]
    for step in pending:
        await _mend_and_run(connection, step, times)
        await connection.execute(statements("migrations")["record"], "adoption", step.name, "")
    return [step.name for step in pending]


async def _mend_and_run(connection: Connection, step: AdoptionStep, times: LockTimes) -> None:
    for last in (n == MAX_ROUNDS for n in range(1, MAX_ROUNDS + 1)):
        try:
            await RUNNERS[step.kind](connection, step, times)
        except asyncpg.IntegrityConstraintViolationError:
            if last:
                raise
            for earlier in adoption_steps():
                if earlier.kind == "parts of jobs" or earlier.name.endswith("duplicates"):
                    await RUNNERS[earlier.kind](connection, earlier, times)
        else:
            return


async def _once(connection: Connection, step: AdoptionStep, times: LockTimes) -> None:
    async def attempt() -> None:
        async with times.transaction(connection, step.name):
            await connection.execute(step.text)
            if step is adoption_steps()[0]:
                # From now on the rows that the old application inserts are filled; the words of a job's status are needed below.
                await connection.execute((FOLDER / "adoption" / "old_job_v1.sql").read_text(encoding="utf-8"))

    await patiently(attempt)


async def _in_parts(connection: Connection, step: AdoptionStep, times: LockTimes) -> None:
    after = 0
    while (reached := await patiently(_part(connection, step, after, times))) is not None:
        after = reached


def _part(connection: Connection, step: AdoptionStep, after: int, times: LockTimes) -> Callable[[], Awaitable[int | None]]:
    async def attempt() -> int | None:
        async with times.of_rows(connection, step.name):
            reached: int | None = await connection.fetchval(step.text, after, PART_ROWS[step.kind])
        return reached

    return attempt


async def _alone(connection: Connection, step: AdoptionStep, _: LockTimes) -> None:
    # Such a statement waits for the transactions that were there before it, and nobody waits for it.
    await connection.execute("SET lock_timeout = '10min'")
    try:
        for statement in filter(None, (part.strip() for part in step.text.split(";"))):
            for invalid in await connection.fetch(statements("adoption")["invalid_indexes"], INDEX.findall(statement)):
                await connection.execute(invalid["statement"])
            await connection.execute(statement)
    finally:
        if not connection.is_closed():
            await connection.execute("RESET lock_timeout")


RUNNERS: Final[dict[str, Callable[[Connection, AdoptionStep, LockTimes], Awaitable[None]]]] = {
    "once": _once,
    "parts of jobs": _in_parts,
    "parts of runs": _in_parts,
    "alone": _alone,
}
