"""`python -m telephony.simulator --port N`: the simulator as a process of its own.

Accounts: `TWILIO_ACCOUNT_SID` with `TWILIO_AUTH_TOKEN`, and more from `--accounts FILE`, a JSON object of sids and tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import sys
from pathlib import Path
from typing import Final

import uvloop

from dialer.config import ConfigError, load
from dialer.credentials import secrets_of
from telephony.simulator.http.server import running
from telephony.simulator.scenarios import Scenario

ACCOUNT_SID: Final = re.compile(r"AC[0-9a-fA-F]{32}")
MAX_SPEED: Final = 10_000.0


def arguments(line: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m telephony.simulator", description="A local stand-in for Twilio's voice API.")
    parser.add_argument("--port", type=int, required=True, help="the port to serve on; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="the address to serve on (default: this machine only)")
    parser.add_argument("--seed", type=int, default=0, help="decides which calls are answered, busy, ...; a seed repeats")
    parser.add_argument("--scenario", type=Scenario, choices=list(Scenario), default=Scenario.MIX, help="how calls go (default: mix)")
    parser.add_argument("--speed", type=_speed, default=1.0, help="simulated seconds in a real one (default: 1)")
    parser.add_argument("--ledger", type=Path, help="append every request and every call to this file, one JSON object a line")
    parser.add_argument("--resume", action="store_true", help="load the calls of an earlier run from the file of --ledger")
    parser.add_argument("--accounts", type=Path, help="a JSON file of further accounts, {sid: token}")
    parser.add_argument("--public-url", help="the address others reach this at, if it is not the one it serves on; printed at the start")
    return parser.parse_args(line)


def accounts(file: Path | None) -> dict[str, str]:
    """The accounts whose calls are accepted, as sids with their tokens.

    Raises:
        ConfigError: when there is none, or one is malformed.
    """
    settings = load()
    first_token = secrets_of(settings.twilio_auth_token.get_secret_value())[0]
    tokens = {settings.twilio_account_sid: first_token} if settings.twilio_account_sid else {}
    try:
        tokens |= json.loads(file.read_text(encoding="utf-8")) if file else {}
    except (OSError, ValueError, TypeError) as error:
        message = f"--accounts: {error}"
        raise ConfigError(message) from None
    if not tokens or not all(_is_account(sid, token) for sid, token in tokens.items()):
        message = "TWILIO_ACCOUNT_SID (AC and 32 hexadecimal digits) and TWILIO_AUTH_TOKEN, or --accounts: set at least one"
        raise ConfigError(message)
    return tokens


async def serve(options: argparse.Namespace, tokens: dict[str, str]) -> None:
    """Serve until a signal."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(
        options.port,
        host=options.host,
        accounts=tokens,
        seed=options.seed,
        scenario=options.scenario,
        speed=options.speed,
        call_log_file=options.ledger,
        resume=options.resume,
    ) as simulator:
        print(f"simulator on {options.public_url or simulator.url}, scenario {options.scenario}, seed {options.seed}", flush=True)
        await stop.wait()


def main() -> int:
    """Run the process; return 0 after a signal, 2 when it cannot start."""
    options = arguments()
    try:
        uvloop.run(serve(options, accounts(options.accounts)))
    except (ConfigError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _is_account(sid: str, token: object) -> bool:
    return ACCOUNT_SID.fullmatch(sid) is not None and isinstance(token, str) and bool(token)


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed <= MAX_SPEED:
        message = f"more than 0, at most {MAX_SPEED:g}"
        raise argparse.ArgumentTypeError(message)
    return speed


if __name__ == "__main__":
    sys.exit(main())
