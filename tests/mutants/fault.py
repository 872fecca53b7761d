"""One deliberate fault, and how it is injected."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from sql import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sql.migrate import Step

SQL = Path(__file__).parents[2] / "sql"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `replaces` are patches (object, attribute, new value), `sql` changes one of PostgreSQL's functions (file, old, new).

    With `test` it is run against this test, or file of tests: random schedules meet the case too seldom.
    """

    name: str
    what: str
    replaces: tuple[tuple[Any, str, Any], ...] = ()
    sql: tuple[str, str, str] | None = None
    test: str = ""

    def text(self) -> str:
        """The faulty text of the function.

        Raises:
            LookupError: when the healthy text no longer exists, and the fault would have no effect.
        """
        if self.sql is None:
            return ""
        file, old, new = self.sql
        healthy = next(SQL.glob(f"*/{file}.sql")).read_text()
        if healthy.count(old) != 1:
            message = f"{self.name}: {file}.sql has {healthy.count(old)} times: {old}"
            raise LookupError(message)
        return healthy.replace(old, new)

    def steps(self) -> list[Step]:
        """The steps of a migration, with the faulty text of the function."""
        return [replace(step, text=self.text()) if self.sql and step.name == self.sql[0] else step for step in migrate.steps()]

    @contextmanager
    def applied(self) -> Iterator[frozenset[str]]:
        """Apply the patches; yield the name for the simulation."""
        patches = [patch.object(target, name, new) for target, name, new in self.replaces]
        for one in patches:
            one.start()
        try:
            yield frozenset({self.name})
        finally:
            for one in patches:
                one.stop()
