"""`python -m dialer resolve`: a person decides how an unknown call ended that no provider or callback will report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.clock import SystemIds
from ringmaster.arguments import business_id
from ringmaster.database import address, connected
from ringmaster.errors import CommandError, OptionError
from ringmaster.output import print_result
from sql.resolutions.resolutions import Resolution, Resolutions

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

REFUSALS = {
    "not_found": "there is no such job in this run of this business",
    "invalid_state": "its newest call has ended already, or is being placed, or the provider knows it: then it was placed",
}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to argparse."""
    about = "Decide how a call that stays unknown ended. Applied as given, and written into the audit log under your name."
    resolve = commands.add_parser("resolve", help="decide how an unknown call ended", description=about)
    for name in ("business", "run", "job"):
        # `run` is the attribute of the function to call, so the ids get names of their own.
        resolve.add_argument(f"--{name}", required=True, type=business_id, dest=f"{name}_id", metavar="ID", help=f"the {name}_id")
    resolve.add_argument(
        "--as", required=True, dest="judgement", choices=["over", "not_placed"], help="it took place and has ended; or it was never placed"
    )
    resolve.add_argument("--by", required=True, metavar="NAME", help="your name, for the audit log")
    resolve.add_argument("--json", action="store_true", help="print one JSON object")
    resolve.set_defaults(run=run)


async def run(options: Namespace) -> int:
    """Run the command.

    Raises:
        CommandError: when there is nothing to resolve.
    """
    resolution = Resolution(
        options.business_id, options.run_id, options.job_id, options.judgement, f"cli:{options.by}", f"cli:{SystemIds().uuid()}"
    )
    async with connected(address()) as pool:
        result = await Resolutions(pool).resolve(resolution)
    if result["code"] == "busy":
        message = "the row of this business is locked; try again in a moment"
        raise CommandError(message)
    if result["code"]:
        raise OptionError(option="--job", problem=REFUSALS[result["code"]])
    fields = {name: result[name] for name in ("run_id", "job_id", "status", "outcome", "attempt_state", "in_progress")}
    print_result(fields, "job {job_id} of run {run_id} is {status} now", as_json=options.json)
    return 0
