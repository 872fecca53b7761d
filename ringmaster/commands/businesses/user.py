"""`python -m dialer user create` and `user reset`: adds a person who signs in; makes a link with which one sets a password again."""

from __future__ import annotations

import asyncio
import getpass
import re
import secrets
import sys
from typing import TYPE_CHECKING, Any

from argon2 import PasswordHasher

from dialer.config import load
from dialer.model import Role
from ringmaster.arguments import business_id
from ringmaster.database import address, connected
from ringmaster.errors import MISUSED, CommandError, OptionError
from ringmaster.output import print_result
from sql.commands.requests import request_by
from sql.users.users import INSTALLATION, EmailTakenError, NewUser, NoSuchBusinessError, PasswordLink, Users
from web.operations.access.users import LINK_SECONDS, SECRET_BYTES, link_digest

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

    from sql.pool import Pool

MIN_PASSWORD_CHARACTERS = 8
MAX_PASSWORD_CHARACTERS = 1024
MAX_EMAIL_CHARACTERS = 254  # RFC 5321, 4.5.3.1.3
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to argparse."""
    group = commands.add_parser("user", help="people").add_subparsers(required=True, metavar="create|reset")
    create = group.add_parser("create", help="add a user", description="Add a person to a business, or to the installation.")
    where = create.add_mutually_exclusive_group(required=True)
    where.add_argument("--business", type=business_id, metavar="ID", help="the business_id")
    of_none = "a user of no business, who sees the health of all and rejected commands; the role is viewer unless given"
    where.add_argument("--installation", action="store_true", help=of_none)
    create.add_argument("--email", required=True, help="the address to sign in with")
    create.add_argument("--role", choices=[role.value for role in Role], help="viewer reads, operator dials, admin does all")
    create.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input (default: ask at the terminal)"
    )
    create.add_argument("--by", metavar="NAME", help="your name, for the audit log")
    create.add_argument("--json", action="store_true", help="print one JSON object")
    create.set_defaults(run=run)
    about = "Print a link with which a person sets a password, once, within three days. For an administrator who has forgotten it."
    reset = group.add_parser("reset", help="a link to set a password", description=about)
    reset.add_argument("--email", required=True, help="whose")
    reset.add_argument("--by", metavar="NAME", help="your name, for the audit log")
    reset.add_argument("--json", action="store_true", help="print one JSON object")
    reset.set_defaults(run=run_reset)


async def run(options: Namespace) -> int:
    """Run the command.

    Raises:
        CommandError: naming the wrong option, or the reason why the database cannot be used.
    """
    if options.role is None and not options.installation:
        raise OptionError(option="--role", problem="viewer, operator or admin")
    role, by = Role(options.role or Role.VIEWER), f"cli:{options.by}" if options.by else "cli"
    password = _password(from_stdin=options.password_stdin)
    async with connected(address()) as pool:
        created = await create(
            pool, INSTALLATION if options.installation else options.business, email=options.email, role=role, password=password, by=by
        )
    line = "user {user_id}: {email}, {role} of " + ("the installation" if options.installation else "business {business_id}")
    print_result(created, line, as_json=options.json)
    return 0


async def run_reset(options: Namespace) -> int:
    """Run `user reset`.

    Raises:
        CommandError: when there is no such user, the user is disabled, or PUBLIC_URL is not set.
    """
    public_url = load().public_url
    if not public_url:
        message = "PUBLIC_URL is not set: it is the beginning of the link"
        raise CommandError(message, MISUSED)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    link = PasswordLink(link_digest(secret), LINK_SECONDS, None)
    async with connected(address()) as pool:
        found = await Users(pool).by_email(options.email.strip())
        if found is None or found.disabled:
            raise OptionError(option="--email", problem=f"there is no user {options.email}, or the user is disabled")
        await Users(pool).link(found.business_id, found.user_id, link, request_by(f"cli:{options.by}" if options.by else "cli"))
    print_result({"user_id": found.user_id, "link": f"{public_url}/reset/{secret}"}, "{link}", as_json=options.json)
    return 0


async def create(pool: Pool, business: int, *, email: str, role: Role, password: str, by: str = "cli") -> dict[str, Any]:
    """Add a person to a business, 0 for the installation; the password is stored as its argon2 hash. Return the fields of `--json`.

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
        user, _ = await Users(pool).create(business, NewUser(email, role, hashed), request_by(by))
    except EmailTakenError:
        raise OptionError(option="--email", problem=f"there is a user {email} already") from None
    except NoSuchBusinessError:
        raise OptionError(option="--business", problem=f"there is no business {business}") from None
    return {"user_id": user.user_id, "business_id": business, "email": email, "role": role}


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
