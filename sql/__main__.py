"""`python -m sql migrate | status | check`: the schema of DATABASE_URL."""

from __future__ import annotations

import argparse
import asyncio
import sys

from dialer.config import ConfigError, load
from sql.adoption.adopt import adoption_steps
from sql.adoption.old_schema import ForeignSchemaError
from sql.errors import FAILED
from sql.lock_times import LockTimes
from sql.migrate import ChangedMigrationError, migrate, plan, report
from sql.patience import MigrationError
from sql.privileges.privileges import grant
from sql.unusable import why_unusable


def main() -> int:
    """Run one of the three commands; return 0 on success, 1 when it failed or `check` found work, 2 for wrong settings."""
    parser = argparse.ArgumentParser(prog="python -m sql", description="The schema of DATABASE_URL.")
    parser.add_argument("command", choices=["migrate", "status", "check"], help="apply what is pending; show it; or fail when there is any")
    parser.add_argument("--dry-run", action="store_true", help="with migrate: only say what it would do")
    parser.add_argument("--grant", metavar="ROLE", help="with migrate: then let this role do what web and worker do, and nothing else")
    options = parser.parse_args()
    if (options.dry_run or options.grant) and options.command != "migrate":
        parser.error("--dry-run and --grant go with migrate")
    try:
        database_url = load("DATABASE_URL").database_url
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        if options.command == "migrate" and not options.dry_run:
            return asyncio.run(_migrate(database_url, options.grant))
        return asyncio.run(_show(database_url, failing=options.command == "check"))
    except ChangedMigrationError as error:
        sys.stderr.write(f"these migrations were applied here and have changed since: {error}; restore them, and write a new one instead\n")
    except ForeignSchemaError as error:
        sys.stderr.write(f"the tables of this database are not those of the old application, and nothing was changed:\n{error}\n")
    except MigrationError as error:
        sys.stderr.write(f"{error}\n")
    except FAILED as error:
        sys.stderr.write(f"{why_unusable(error, database_url)}\n")
    return 1


async def _migrate(database_url: str, role: str | None) -> int:
    times = LockTimes()
    applied = await migrate(database_url, times)
    sys.stdout.writelines(f"applied {name}\n" for name in applied)
    if any(step.name in applied for step in adoption_steps()):
        sys.stdout.write(f"{times}\n")
    sys.stdout.write("the schema is up to date\n")
    if role is not None:
        sys.stdout.writelines(f"{statement}\n" for statement in await grant(database_url, role))
        sys.stdout.write(f"the role {role} may do what the web process and the workers do\n")
    return 0


async def _show(database_url: str, *, failing: bool) -> int:
    state = await report(database_url)
    for label, names in (("applied", state.applied), ("pending", state.pending), ("changed", state.changed), ("unknown", state.unknown)):
        sys.stdout.writelines(f"{label:8} {name}\n" for name in names)
    sys.stdout.writelines(f"{line}\n" for line in await plan(database_url))
    if state.old and state.old.differences:
        sys.stdout.write("the schema cannot be brought up to date\n")
        return 1
    sys.stdout.write("the schema is up to date\n" if state.up_to_date else "the schema is not up to date: python -m sql migrate\n")
    return int(failing and not state.up_to_date)


if __name__ == "__main__":
    sys.exit(main())
