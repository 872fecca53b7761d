"""`python -m dialer stop-all` and `resume-all`: no lead of the installation is taken, until dialling is resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringmaster.database import address, connected
from ringmaster.errors import CommandError
from ringmaster.output import print_result
from sql.dialling.dialling import Dialling
from sql.errors import NOT_MIGRATED, RowLockedError

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

MAX_REASON_CHARACTERS = 500
STOPPED = "Dialling is stopped for all businesses. {in_progress} calls are in progress; they end by themselves."
RESUMED = "Dialling is resumed. Workers take leads again within 5 seconds."


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe both commands to argparse."""
    about = "After this command has ended, no worker takes a lead of any business. Runs keep their state, calls in progress go on."
    _add(commands, "stop-all", "stop all dialling of the installation", about)
    _add(commands, "resume-all", "resume it", "Leads are taken again. A business that has been stopped by itself stays so.")


def _add(commands: argparse._SubParsersAction[argparse.ArgumentParser], verb: str, line: str, about: str) -> None:
    command = commands.add_parser(verb, help=line, description=about)
    command.add_argument("--reason", metavar="TEXT", help="why, for the audit log and for the users")
    command.add_argument("--by", metavar="NAME", help="your name, for the audit log")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run, stop=verb == "stop-all")


async def run(options: Namespace) -> int:
    """Run one of the two commands.

    Raises:
        CommandError: when another session holds the row of a business, the stop is stored then, and may be repeated; or when there is
            nothing to stop.
    """
    requested_by = f"cli:{options.by}" if options.by else "cli"
    reason = options.reason[:MAX_REASON_CHARACTERS] if options.reason else None
    # A stop must work in the middle of a deploy too, or after a migration that has failed.
    async with connected(address(), any_schema=options.stop) as pool:
        try:
            state = await Dialling(pool).change_all(stop=options.stop, reason=reason, requested_by=requested_by)
        except RowLockedError as error:
            message = "the row of a business is locked by another program: a lead of it may still be taken; run this again"
            raise CommandError(message) from error
        except NOT_MIGRATED as error:
            message = "this database has no tables of Ringmaster, so nothing dials from it: is DATABASE_URL the right one?"
            raise CommandError(message) from error
    fields = {"stopped": state.stopped, "since": state.since and str(state.since), "reason": state.reason, "in_progress": state.in_progress}
    print_result(fields, STOPPED if state.stopped else RESUMED, as_json=options.json)
    return 0
