"""`python -m dialer user create`: adds a person of one business, who signs in with an e-mail address and a password."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import re
import sys
from typing import TYPE_CHECKING, Any

from argon2 import PasswordHasher

from dialer.model import Role
from ringmaster.database import address, connected
from ringmaster.errors import OptionError
from ringmaster.output import print_result
from sql.businesses.businesses import Businesses, EmailTakenError, NoSuchBusinessError

if TYPE_CHECKING:
    from argparse import Namespace

    from sql.pool import Pool

MIN_PASSWORD_CHARACTERS = 8
MAX_PASSWORD_CHARACTERS = 1024
MAX_EMAIL_CHARACTERS = 254  # RFC 5321, 4.5.3.1.3
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
ID_MAX = 2**31 - 1


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to argparse."""
    group = commands.add_parser("user", help="people").add_subparsers(required=True, metavar="create")
    create = group.add_parser("create", help="add a user", description="Add a person to a business.")
    create.add_argument("--business", required=True, type=business_id, metavar="ID", help="the business_id")
    create.add_argument("--email", required=True, help="the address to sign in with")
    create.add_argument("--role", required=True, choices=[role.value for role in Role], help="viewer reads, operator dials, admin does all")
    create.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input (default: ask at the terminal)"
    )
    create.add_argument("--json", action="store_true", help="print one JSON object")
    create.set_defaults(run=run)


def business_id(text: str) -> int:
    """Parse an id of the command line."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= ID_MAX:
        message = f"{text!r} is not an id, which is a number from 1"
        raise argparse.ArgumentTypeError(message)
    return int(text)


async def run(options: Namespace) -> int:
    """Run the command.

    Raises:
        CommandError: naming the wrong option, or the reason why the database cannot be used.
    """
    password = _password(from_stdin=options.password_stdin)
    async with connected(address()) as pool:
        created = await create(pool, options.business, email=options.email, role=Role(options.role), password=password)
    print_result(created, "user {user_id}: {email}, {role} of business {business_id}", as_json=options.json)
    return 0


async def create(pool: Pool, business: int, *, email: str, role: Role, password: str) -> dict[str, Any]:
    """Add a person; the password is stored as its argon2 hash. Return the fields of `--json`.

    Raises:
        OptionError: when the address or the password is invalid, the address is taken, or the business does not exist.
    """
    email = email.strip()
    if len(email) > MAX_EMAIL_CHARACTERS or not email.isprintable() or not EMAIL.fullmatch(email):
        raise OptionError(option="--email", problem=f"{email!r} is not an e-mail address")
    if not MIN_PASSWORD_CHARACTERS <= len(password) <= MAX_PASSWORD_CHARACTERS:
        raise OptionError(
            option="--password-stdin", problem=f"the password must have {MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS} characters"
        )
    hashed = await asyncio.to_thread(PasswordHasher().hash, password)
    try:
        user_id = await Businesses(pool).create_user(business, email=email, role=role, password_hash=hashed)
    except EmailTakenError:
        raise OptionError(option="--email", problem=f"there is a user {email} already") from None
    except NoSuchBusinessError:
        raise OptionError(option="--business", problem=f"there is no business {business}") from None
    return {"user_id": user_id, "business_id": business, "email": email, "role": role}


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        # As bytes, so that the password does not depend on the encoding of the terminal.
        line = sys.stdin.buffer.readline(4 * MAX_PASSWORD_CHARACTERS + 2)
        try:
            return line.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise OptionError(option="--password-stdin", problem="the password must be UTF-8") from None
    if not sys.stdin.isatty():
        raise OptionError(option="--password-stdin", problem="no terminal; use this option and give the password on standard input")
    return getpass.getpass()
