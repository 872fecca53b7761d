"""`python -m sql migrate | status | check`: the schema of DATABASE_URL.

On the road of a call: not on it; the release step of a deploy.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from dialer.config import ConfigError, load
from sql.errors import FAILED
from sql.migrate import ChangedMigrationError, migrate, report
from sql.unusable import why_unusable


def main() -> int:
    """Run one of the three commands; 0 when all is well, 1 when it failed or `check` found something to do, 2 for bad settings."""
    parser = argparse.ArgumentParser(prog="python -m sql", description="The schema of DATABASE_URL.")
    parser.add_argument("command", choices=["migrate", "status", "check"], help="apply what is pending; show it; or fail when there is any")
    command = parser.parse_args().command
    try:
        database_url = load("DATABASE_URL").database_url
    except ConfigError as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    try:
        return asyncio.run(_migrate(database_url) if command == "migrate" else _show(database_url, failing=command == "check"))
    except ChangedMigrationError as fault:
        sys.stderr.write(f"these migrations were applied here and have changed since: {fault}; restore them, and write a new one instead\n")
    except FAILED as fault:
        sys.stderr.write(f"{why_unusable(fault, database_url)}\n")
    return 1


async def _migrate(database_url: str) -> int:
    applied = await migrate(database_url)
    sys.stdout.writelines(f"applied {name}\n" for name in applied)
    sys.stdout.write("the schema is up to date\n")
    return 0


async def _show(database_url: str, *, failing: bool) -> int:
    found = await report(database_url)
    for word, names in (("applied", found.applied), ("pending", found.pending), ("changed", found.changed), ("unknown", found.unknown)):
        sys.stdout.writelines(f"{word:8} {name}\n" for name in names)
    sys.stdout.write("the schema is up to date\n" if found.up_to_date else "the schema is not up to date: python -m sql migrate\n")
    return int(failing and not found.up_to_date)


if __name__ == "__main__":
    sys.exit(main())
