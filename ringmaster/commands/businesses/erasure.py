"""`python -m dialer business erase` and `business proof`: erases a business or a person, and shows what has been kept of that."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from dialer.sealing import digest_keys
from dialer.streams.client import RedisUnavailableError
from ringmaster import streams
from ringmaster.arguments import business_id
from ringmaster.commands.businesses.account import secret_key
from ringmaster.commands.businesses.export import phone_option
from ringmaster.database import address, connected
from ringmaster.errors import CommandError, OptionError
from ringmaster.output import print_result, printable
from sql.erasure.erasure import Erasure, ProofRules, described, proofs
from sql.errors import RowLockedError

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

    from dialer.streams.client import Streams
    from sql.erasure.erasure import Obstacles

KEEP_DAYS = 1_095
MAX_DAYS = 36_500
ERASED = "{total} rows and {entries} entries of streams are erased{name}; proofs are kept for {keep_days} days"
LOCKED = "a row is locked by another program; what was erased stays erased: run the same command again"
AGAIN = "the rows are erased, the streams are not, since Redis does not answer ({error}): run the same command again when it does"


def add_to(group: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the commands to argparse."""
    about = (
        "Erase everything about a business, or with --phone about one person in it. A digest of each number that was called, with the time "
        "and the result of the call, is kept as a proof. It can be repeated after it was interrupted. docs/erasure.md has the details."
    )
    erase = _add(group, "erase", "erase a business, or one person in it", about)
    erase.add_argument("--phone", metavar="+E164", help="erase only the person with this number")
    erase.add_argument(
        "--keep-days", type=int, default=KEEP_DAYS, metavar="N", help=f"how long proofs are kept (default: {KEEP_DAYS}; 0: none)"
    )
    erase.add_argument("--by", metavar="NAME", help="your name, for the audit log")
    erase.add_argument("--yes", action="store_true", help="it cannot be undone, except from a backup")
    erase.set_defaults(run=run_erase)
    proof = _add(group, "proof", "the proofs of one number", "Show what has been kept of erased calls to a number.")
    proof.add_argument("--phone", required=True, metavar="+E164", help="the number")
    proof.set_defaults(run=run_proof)


def _add(group: argparse._SubParsersAction[argparse.ArgumentParser], verb: str, line: str, about: str) -> argparse.ArgumentParser:
    command = group.add_parser(verb, help=line, description=about)
    command.add_argument("--business", required=True, type=business_id, metavar="ID", help="the business_id")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    return command


async def run_erase(options: Namespace) -> int:
    """Run `business erase`.

    Raises:
        CommandError: naming the wrong option, what must be over first, or why it is not complete.
    """
    if not 0 <= options.keep_days <= MAX_DAYS:
        raise OptionError(option="--keep-days", problem=f"0 to {MAX_DAYS}")
    phone = options.phone and phone_option(options.phone)
    rules = ProofRules(digest_keys(secret_key(), "proof")[0], options.keep_days)
    actor = f"cli:{options.by}" if options.by else "cli"
    async with connected(address()) as pool, streams.connected() as redis:
        found = await described(pool, options.business)
        if not options.yes:
            whom = f"the person with {phone} in " if phone else ""
            name = f"business {options.business} ({printable(found[0])})" if found else f"business {options.business}"
            raise OptionError(option="--yes", problem=f"give it to erase {whom}{name}; that cannot be undone, except from a backup")
        # Redis first: without it the erasure would not be complete.
        await redis.time()
        erasure = Erasure(pool, options.business, rules, _show_progress)
        if lacking := await erasure.lacking():
            message = f"this role lacks DELETE on {', '.join(lacking)}: use the DATABASE_URL of the owner of the tables. Nothing was erased"
            raise CommandError(message)
        try:
            result = await (_erase_person(erasure, phone, actor) if phone else _erase_business(erasure, actor))
        except RowLockedError as error:
            raise CommandError(LOCKED) from error
        result |= {"entries": await _erase_traces(redis, options.business, phone, result)}
    result |= {"business_id": options.business, "keep_days": options.keep_days, "total": sum(result["rows"].values())}
    print_result(result, ERASED.replace("{name}", ""), as_json=options.json)
    return 0


async def _erase_business(erasure: Erasure, actor: str) -> dict[str, Any]:
    obstacles = await erasure.begin(actor)
    if obstacles is None:
        raise OptionError(option="--business", problem="there never was such a business")
    _reject(obstacles)
    return {"rows": await erasure.business(actor)}


async def _erase_person(erasure: Erasure, phone: str, actor: str) -> dict[str, Any]:
    person, counts, obstacles = await erasure.person(phone, actor)
    _reject(obstacles)
    return {"rows": counts, "jobs": [int(job) for job in person.jobs]}


def _reject(obstacles: Obstacles) -> None:
    if obstacles.runs:
        message = f"these runs are not over: {_listed(obstacles.runs)}. End each: python -m dialer run stop --business ID --run RUN --wait"
        raise CommandError(message)
    if obstacles.jobs:
        message = (
            f"leads with this number wait to be called, or are being called: {_listed(obstacles.jobs)}. Cancel each, or its run, first"
        )
        raise CommandError(message)
    if obstacles:
        message = f"calls in progress, or not known to be over: {obstacles.calls}. Wait, or see python -m dialer resolve"
        raise CommandError(message)


def _listed(ids: Any) -> str:  # noqa: ANN401 - any sequence of ids
    return ", ".join(map(str, ids))


async def _erase_traces(redis: Streams, business: int, phone: str | None, result: dict[str, Any]) -> int:
    try:
        if phone is None:
            return await redis.erase_business(business)
        return await redis.erase_person(business, phone, frozenset(map(str, result["jobs"])))
    except RedisUnavailableError as error:
        raise CommandError(AGAIN.format(error=error)) from error


def _show_progress(table: str, page: int, pages: int, rows: int) -> None:
    if rows or page:
        print(f"{table}: {page} of {pages} pages, {rows} rows", file=sys.stderr)


async def run_proof(options: Namespace) -> int:
    """Run `business proof`.

    Raises:
        CommandError: naming the wrong option, or the reason why the database cannot be used.
    """
    phone = phone_option(options.phone)
    async with connected(address()) as pool:
        found = await proofs(pool, options.business, digest_keys(secret_key(), "proof"), phone)
    rows = [
        {**{name: getattr(proof, name) for name in proof.__slots__}, "at": str(proof.at), "kept_until": str(proof.kept_until)}
        for proof in found
    ]
    if options.json:
        print(json.dumps({"business_id": options.business, "proofs": rows}))
    else:
        print("\n".join("{at} {kind} {outcome} {sid}".format(**row) for row in rows) or "nothing is kept about this number")
    return 0
