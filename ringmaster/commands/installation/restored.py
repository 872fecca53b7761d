"""`python -m dialer restored`: the database comes from a copy although nothing in it shows that, such as a snapshot of its disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringmaster.database import address, connected
from ringmaster.output import print_result
from sql.timelines.timelines import Timelines

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

DONE = "Each business takes its next lead after its calls have been compared with those of the provider, about a minute from now."


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to argparse."""
    about = (
        "After a snapshot of the disk was put back, or a copy made by CREATE DATABASE ... TEMPLATE. A fail-over, a recovered backup and a "
        "dump are noticed without it. Harmless when there was no need."
    )
    command = commands.add_parser("restored", help="say that the database comes from a copy", description=about)
    command.add_argument("--by", metavar="NAME", help="your name, for the audit log")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run)


async def run(options: Namespace) -> int:
    """Run the command.

    Raises:
        CommandError: when the database cannot be used.
    """
    async with connected(address()) as pool:
        await Timelines(pool).note_restore(f"cli:{options.by}" if options.by else "cli")
    print_result({"noted": True}, DONE, as_json=options.json)
    return 0
