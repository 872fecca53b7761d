"""`python -m dialer business ...`: `create` adds a tenant; region and time zone follow from its caller id."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dialer.config import load
from ringmaster import adoption
from ringmaster.commands.businesses import erasure, export
from ringmaster.database import address, connected
from ringmaster.errors import CommandError
from ringmaster.new_business import CALLING_HOURS, MAX_PER_DAY, MIN_GAP_HOURS, UNLIMITED, create, starting_rules, validate
from ringmaster.output import print_result
from sql.adoption.old_businesses import OldBusinesses

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to argparse."""
    group = commands.add_parser("business", help="tenants").add_subparsers(required=True, metavar="create|adopt|export|erase|proof")
    for module in (adoption, export, erasure):
        module.add_to(group)
    create = group.add_parser("create", help="add a business", description="Add a business, with its own leads, users and limit of calls.")
    create.add_argument("--name", required=True, help="its name")
    create.add_argument("--caller-id", required=True, metavar="+E164", help="the number its calls come from, such as +12125550100")
    create.add_argument("--timezone", metavar="ZONE", help="such as Asia/Jerusalem (default: where the caller id is)")
    create.add_argument("--max-calls", type=int, metavar="N", help="calls at once (default: DIALER_MAX_CALLS_PER_BUSINESS, 3)")
    hours = "default: 08:00 to 21:00 where the lead is, in Israel not on Saturdays and holidays; always: at any hour"
    create.add_argument("--calling-hours", choices=CALLING_HOURS, default=CALLING_HOURS[0], help=hours)
    gap = f"hours between calls of two runs to one phone, 0: none (default: {MIN_GAP_HOURS:g})"
    create.add_argument("--min-gap-hours", type=float, default=MIN_GAP_HOURS, metavar="H", help=gap)
    a_day = f"calls to one phone on a day (default: {MAX_PER_DAY})"
    create.add_argument("--max-per-day", default=str(MAX_PER_DAY), metavar=f"N|{UNLIMITED}", help=a_day)
    create.add_argument("--by", metavar="NAME", help="your name, for the audit log")
    create.add_argument("--json", action="store_true", help="print one JSON object")
    create.set_defaults(run=run)


async def run(options: Namespace) -> int:
    """Run the command.

    Raises:
        CommandError: naming the wrong option, or the reason why the database cannot be used.
    """
    max_calls = load().max_calls_per_business if options.max_calls is None else options.max_calls
    new = validate(name=options.name, caller_id=options.caller_id, timezone=options.timezone, max_calls=max_calls)
    rules = starting_rules(new.region, options.calling_hours, options.min_gap_hours, options.max_per_day)
    async with connected(address()) as pool:
        if await OldBusinesses(pool).are_elsewhere():
            message = "this database has public.business: add the business there, then python -m dialer business adopt --from-public"
            raise CommandError(message)
        created = await create(pool, replace(new, rules=rules), by=f"cli:{options.by}" if options.by else "cli")
    print_result(created, "business {business_id}: {name}, calls from {caller_id}, {max_calls} at once, {timezone}", as_json=options.json)
    return 0
