"""`python -m dialer token create`: adds a program's key to one business, shown once and stored as its SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from dialer.model import Role
from ringmaster.arguments import business_id
from ringmaster.database import address, connected
from ringmaster.errors import OptionError
from ringmaster.output import print_result
from sql.commands.requests import request_by
from sql.tokens.tokens import NewToken, Tokens
from sql.users.users import NoSuchBusinessError

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

    from sql.pool import Pool

MAX_NAME_CHARACTERS = 100
SECRET_BYTES = 32  # 256 bits: nothing to guess, so a plain digest is enough


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to argparse."""
    group = commands.add_parser("token", help="keys of programs").add_subparsers(required=True, metavar="create")
    create = group.add_parser("create", help="add a token", description="Add a token, for `Authorization: Bearer TOKEN`. It is shown once.")
    create.add_argument("--business", required=True, type=business_id, metavar="ID", help="the business_id")
    create.add_argument("--role", required=True, choices=[role.value for role in Role], help="viewer reads, operator dials, admin does all")
    create.add_argument("--name", default="", metavar="TEXT", help="what it is for, as the list of tokens shows it")
    create.add_argument("--by", metavar="NAME", help="your name, for the audit log")
    create.add_argument("--json", action="store_true", help="print one JSON object")
    create.set_defaults(run=run)


async def run(options: Namespace) -> int:
    """Run the command.

    Raises:
        CommandError: naming the wrong option, or the reason why the database cannot be used.
    """
    name = options.name.strip()
    if len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise OptionError(option="--name", problem=f"at most {MAX_NAME_CHARACTERS} printable characters")
    by = f"cli:{options.by}" if options.by else "cli"
    async with connected(address()) as pool:
        created = await create(pool, options.business, role=Role(options.role), name=name, by=by)
    line = "{token}\ntoken {token_id}: {role} of business {business_id}; it is not shown again"
    print_result(created, line, as_json=options.json)
    return 0


async def create(pool: Pool, business: int, *, role: Role, name: str = "", by: str = "cli") -> dict[str, Any]:
    """Add a token; return the fields of `--json`, with the secret that is not stored.

    Raises:
        OptionError: when the business does not exist.
    """
    secret = secrets.token_urlsafe(SECRET_BYTES)
    try:
        new = NewToken(role, hashlib.sha256(secret.encode()).digest(), name)
        token, _ = await Tokens(pool).create(business, new, request_by(by))
    except NoSuchBusinessError:
        raise OptionError(option="--business", problem=f"there is no business {business}") from None
    return {"token": secret, "token_id": token.token_id, "business_id": business, "role": role, "name": name}
