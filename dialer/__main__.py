"""`python -m dialer ...`: business, user, token, up, demo.

Beside the road of a call: the terminal.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from dialer.cli import business, demo, token, up, user
from dialer.cli.refusal import MISUSED, RefusalError
from dialer.config import ConfigError


def main() -> int:
    """Run one command; 0 when it did what it was asked, 1 when it could not, 2 when it was asked wrongly."""
    options = parser().parse_args()
    try:
        return int(asyncio.run(options.run(options)))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return MISUSED
    except RefusalError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def parser() -> argparse.ArgumentParser:
    """Describe every command."""
    found = argparse.ArgumentParser(prog="python -m dialer", description="An outbound call queue for many businesses at once.")
    commands = found.add_subparsers(required=True, metavar="command")
    for module in (up, demo, business, user, token):
        module.add_to(commands)
    return found


if __name__ == "__main__":
    sys.exit(main())
