"""`python -m dialer resolve`: a person's word on a call that stays unknown, when neither the provider nor a callback will ever tell.

On the road of a call: 7, by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.clock import SystemIds
from ringmaster.answer import answer, say
from ringmaster.commands.user import business_id
from ringmaster.database import address, connected
from ringmaster.refusal import OptionError, RefusalError
from sql.resolutions.resolutions import Resolution, Resolutions

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

REFUSALS = {
    "not_found": "there is no such job in this run of this business",
    "invalid_state": "its newest call is over already, or is being placed, or the provider knows it: then it was placed",
}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to argparse."""
    about = "Say what became of a call that stays unknown. Believed, and written into the audit log under your name."
    resolve = commands.add_parser("resolve", help="say what became of an unknown call", description=about)
    for name in ("business", "run", "job"):
        # `run` is what is called for a command, so each id has a name of its own.
        resolve.add_argument(f"--{name}", required=True, type=business_id, dest=f"{name}_id", metavar="ID", help=f"the {name}_id")
    resolve.add_argument(
        "--as", required=True, dest="judgement", choices=["over", "not_placed"], help="it took place and has ended; or it never did"
    )
    resolve.add_argument("--by", required=True, metavar="NAME", help="who says so")
    resolve.add_argument("--json", action="store_true", help="print one JSON object")
    resolve.set_defaults(run=run)


async def run(options: Namespace) -> int:
    """Do what the command line asks.

    Raises:
        RefusalError: when there is nothing to resolve.
    """
    said = Resolution(
        options.business_id, options.run_id, options.job_id, options.judgement, f"cli:{options.by}", f"cli:{SystemIds().uuid()}"
    )
    async with connected(address()) as pool:
        found = await Resolutions(pool).resolve(said)
    if found["code"] == "busy":
        message = "somebody else holds this business's row; try again in a moment"
        raise RefusalError(message)
    if found["code"]:
        raise OptionError(option="--job", problem=REFUSALS[found["code"]])
    shown = {name: found[name] for name in ("run_id", "job_id", "status", "outcome", "attempt_state", "in_progress")}
    answer(shown) if options.json else say("job {job_id} of run {run_id} is {status} now", shown)
    return 0
