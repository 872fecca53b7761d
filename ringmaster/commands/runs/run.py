"""`python -m dialer run start|pause|resume|cancel|stop`: the buttons of a run, at the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dialer.clock import SystemIds
from dialer.messages import Command, CommandType
from ringmaster.arguments import business_id
from ringmaster.database import address, connected
from ringmaster.errors import CommandError, OptionError
from ringmaster.operations import services
from ringmaster.output import print_result
from sql.errors import RowLockedError
from web.api.serializers import ended_json, run_json_in
from web.operations.commands import decide
from web.operations.drain_wait import until_placed
from web.operations.runs import refused_in_state
from web.pages.run.run_actions import NOTICES
from web.server import errors, keys
from web.server.error_responses import said_in
from web.server.i18n import ENGLISH

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

    from aiohttp import web as http

    from sql.commands.commands import Answer

VERBS = {kind.removeprefix("run."): kind for kind in CommandType if kind is not CommandType.CANCEL_JOB}
ENDING = (CommandType.CANCEL, CommandType.STOP)
ABOUT = {
    "start": "Call the leads of a pending run.",
    "pause": "Take no further leads; calls in progress go on.",
    "resume": "Take leads again.",
    "cancel": "Take no further leads; the run ends when the calls in progress have ended.",
    "stop": "End the run at once; calls in progress go on to their end.",
}
ON_THE_LINE = " Calls in progress: {in_progress}."
UNCERTAIN = " Not confirmed by the provider: {uncertain}."


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the commands to argparse."""
    group = commands.add_parser("run", help="start, pause, resume, cancel or stop a run").add_subparsers(
        required=True, metavar="|".join(VERBS)
    )
    for verb, kind in VERBS.items():
        about = f"{ABOUT[verb]} Needs neither a worker nor Redis: when the command has ended, it is decided."
        change = group.add_parser(verb, help=f"{verb} a run", description=about)
        for name in ("business", "run"):
            change.add_argument(f"--{name}", required=True, type=business_id, dest=f"{name}_id", metavar="ID", help=f"the {name}_id")
        if kind in ENDING:
            change.add_argument("--hang-up", action="store_true", help="end the calls in progress too")
            change.add_argument("--wait", action="store_true", help="until no call is being placed any more, 8 s at most")
        change.add_argument("--by", metavar="NAME", help="your name, for the audit log")
        change.add_argument("--json", action="store_true", help="print one JSON object, the answer of the API")
        change.set_defaults(run=run, kind=kind, hang_up=False, wait=False)


async def run(options: Namespace) -> int:
    """Run the command.

    Raises:
        CommandError: when the business has no such run, its state does not allow the command, or another program keeps it locked.
    """
    requested_by = f"cli:{options.by}" if options.by else "cli"
    identity = f"cli:{SystemIds().uuid()}"
    command = Command(
        options.business_id, identity, options.kind, options.run_id, hang_up=options.hang_up, requested_by=requested_by, wait=options.wait
    )
    async with connected(address()) as pool, services(pool) as app:
        try:
            answer = await decide(app, command)
        except RowLockedError as error:
            raise CommandError(said_in(ENGLISH, errors.busy().text)) from error
        if not answer.accepted:
            raise await _refusal(app, command, answer)
        fields = await _fields(app, command, answer)
    print_result(fields, _line(command, answer, fields), as_json=options.json)
    return 0


async def _refusal(app: http.Application, command: Command, answer: Answer) -> CommandError:
    if answer.code == "not_found":
        return OptionError(option="--run", problem=f"business {command.business_id} has no run {command.run_id}")
    return CommandError(said_in(ENGLISH, (await refused_in_state(app, command.business_id, command.run_id)).text))


async def _fields(app: http.Application, command: Command, answer: Answer) -> dict[str, Any]:
    """The answer as the API gives it."""
    if command.type in ENDING:
        body = ended_json(command.type, command.run_id, answer)
        uncertain = {"uncertain": await until_placed(app, command.business_id, command.run_id)} if command.wait else {}
        return {**body, **uncertain}
    changed = await app[keys.RUNS].get(command.business_id, command.run_id)
    if changed is None:
        raise OptionError(option="--run", problem="it was deleted a moment ago")
    return run_json_in(ENGLISH, changed)


def _line(command: Command, answer: Answer, fields: dict[str, Any]) -> str:
    notice = NOTICES["ended" if answer.already_ended else command.type.removeprefix("run.")]
    calls = ON_THE_LINE if fields["in_progress"] else ""
    return "run {run_id} is {status}. " + notice + calls + (UNCERTAIN if fields.get("uncertain") else "")
