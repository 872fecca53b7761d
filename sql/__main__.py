"""`python -m sql migrate | status | check`: the schema of DATABASE_URL."""

from __future__ import annotations

import argparse
import asyncio
import sys

from dialer.config import ConfigError, load
from sql.errors import FAILED
from sql.migrate import ChangedMigrationError, migrate, report
from sql.unusable import why_unusable


def main() -> int:
    """Run one of the three commands; return 0 on success, 1 when it failed or `check` found work, 2 for wrong settings."""
    parser = argparse.ArgumentParser(prog="python -m sql", description="The schema of DATABASE_URL.")
    parser.add_argument("command", choices=["migrate", "status", "check"], help="apply what is pending; show it; or fail when there is any")
    command = parser.parse_args().command
    try:
        database_url = load("DATABASE_URL").database_url
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        return asyncio.run(_migrate(database_url) if command == "migrate" else _show(database_url, failing=command == "check"))
    except ChangedMigrationError as error:
        sys.stderr.write(f"these migrations were applied here and have changed since: {error}; restore them, and write a new one instead\n")
    except FAILED as error:
        sys.stderr.write(f"{why_unusable(error, database_url)}\n")
    return 1


async def _migrate(database_url: str) -> int:
    applied = await migrate(database_url)
    sys.stdout.writelines(f"applied {name}\n" for name in applied)
    sys.stdout.write("the schema is up to date\n")
    return 0


async def _show(database_url: str, *, failing: bool) -> int:
    state = await report(database_url)
    for label, names in (("applied", state.applied), ("pending", state.pending), ("changed", state.changed), ("unknown", state.unknown)):
        sys.stdout.writelines(f"{label:8} {name}\n" for name in names)
    sys.stdout.write("the schema is up to date\n" if state.up_to_date else "the schema is not up to date: python -m sql migrate\n")
    return int(failing and not state.up_to_date)


if __name__ == "__main__":
    sys.exit(main())
