"""`python -m telephony.simulator --port N`: the simulator as a process of its own.

Accounts: `TWILIO_ACCOUNT_SID` with `TWILIO_AUTH_TOKEN`, and more from `--accounts FILE`, a JSON object of sids with
tokens, or with all that an account can be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Final

import uvloop
from pydantic import ValidationError

from dialer.config import ConfigError, load
from dialer.credentials import secrets_of
from telephony.simulator.accounts.account_record import SimulatorAccount
from telephony.simulator.http.fields import is_private
from telephony.simulator.http.server import running
from telephony.simulator.scenarios import Scenario
from telephony.simulator.simulator import ServerSettings

NEEDED: Final = "TWILIO_ACCOUNT_SID (AC and 32 hexadecimal digits) and TWILIO_AUTH_TOKEN, or --accounts: set at least one"
MAX_SPEED: Final = 10_000.0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    flags = argparse.ArgumentParser(prog="python -m telephony.simulator", description="A local stand-in for Twilio's voice API.")
    flags.add_argument("--port", type=int, required=True, help="the port to serve on; 0 takes a free one")
    flags.add_argument("--host", default="127.0.0.1", help="the address to serve on (default: this machine only)")
    flags.add_argument("--seed", type=int, default=0, help="decides which calls are answered, busy, ...; a seed repeats")
    flags.add_argument("--scenario", type=Scenario, choices=list(Scenario), default=Scenario.MIX, help="how calls go (default: mix)")
    flags.add_argument("--speed", type=_speed, default=1.0, help="simulated seconds in a real one (default: 1)")
    flags.add_argument("--ledger", type=Path, help="append every request and every call to this file, one JSON object a line")
    flags.add_argument("--resume", action="store_true", help="load the calls of an earlier run from the file of --ledger")
    flags.add_argument("--accounts", type=Path, help="a JSON file of further accounts, {sid: token} or as docs/simulator.md says")
    flags.add_argument(
        "--private-hosts",
        choices=("allow", "refuse"),
        help="callback addresses on private hosts, which Twilio refuses (default: allow, when serving on this machine only)",
    )
    flags.add_argument("--public-url", help="the address others reach this at, if it is not the one it serves on; printed at the start")
    return flags


def accounts(file: Path | None) -> list[SimulatorAccount]:
    """The accounts whose calls are accepted.

    Raises:
        ConfigError: when there is none, or one is malformed.
    """
    settings = load()
    first_token = secrets_of(settings.twilio_auth_token.get_secret_value())[0]
    own = {settings.twilio_account_sid: first_token} if settings.twilio_account_sid else {}
    try:
        declared = {**own, **(json.loads(file.read_text(encoding="utf-8")) if file else {})}
        found = [_account(sid, fields) for sid, fields in declared.items()]
    except ValidationError as error:
        message = f"{NEEDED}: {'; '.join('.'.join(map(str, fault['loc'])) + ': ' + fault['msg'] for fault in error.errors())}"
        raise ConfigError(message) from None
    except (OSError, ValueError, TypeError) as error:
        message = f"--accounts: {error}"
        raise ConfigError(message) from None
    if not found:
        raise ConfigError(NEEDED)
    return found


async def serve(options: argparse.Namespace, declared: list[SimulatorAccount]) -> None:
    """Serve until a signal."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(
        options.port,
        host=options.host,
        accounts=declared,
        seed=options.seed,
        scenario=options.scenario,
        speed=options.speed,
        call_log_file=options.ledger,
        resume=options.resume,
    ) as simulator:
        simulator.settings = settings(options)
        print(f"simulator on {options.public_url or simulator.url}, scenario {options.scenario}, seed {options.seed}", flush=True)
        await stop.wait()


def main() -> int:
    """Run the process; return 0 after a signal, 2 when it cannot start."""
    options = parser().parse_args()
    try:
        uvloop.run(serve(options, accounts(options.accounts)))
    except (ConfigError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def settings(options: argparse.Namespace) -> ServerSettings:
    """The settings of the server, from the command line."""
    allowed = is_private(options.host) if options.private_hosts is None else options.private_hosts == "allow"
    return ServerSettings(options.public_url, allowed)


def _account(sid: str, fields: str | dict[str, object]) -> SimulatorAccount:
    return SimulatorAccount.model_validate({"auth_token": fields, "sid": sid} if isinstance(fields, str) else {**fields, "sid": sid})


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed <= MAX_SPEED:
        message = f"more than 0, at most {MAX_SPEED:g}"
        raise argparse.ArgumentTypeError(message)
    return speed


if __name__ == "__main__":
    sys.exit(main())
