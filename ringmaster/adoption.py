"""`python -m dialer business adopt`: makes businesses of those of the old application, and follows the calls that it left behind."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dialer.config import load
from ringmaster.database import address, connected
from ringmaster.errors import CommandError, OptionError
from ringmaster.new_business import CALLING_HOURS, MAX_PER_DAY, MIN_GAP_HOURS, starting_rules, validate
from sql.adoption.old_businesses import OldBusinesses
from sql.adoption.old_calls import OldCalls
from sql.adoption.old_runs import OldRuns
from sql.businesses.businesses import Businesses

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

    from sql.adoption.old_businesses import OldBusiness
    from sql.pool import Pool


@dataclass(slots=True)
class BusinessAdoption:
    """What became of the businesses: those `adopted` now, those that are ours `already`, and the `rejected` with the reason."""

    adopted: list[dict[str, Any]] = field(default_factory=list)
    already: list[int] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people."""
        done = (
            "business {business_id}: {name}, calls from {caller_id}, {max_calls} at once, {timezone}; runs in doubt: {runs_in_doubt}; "
            "calls of the last week, which count for the gap: {calls_of_last_week}"
        )
        return [
            *(done.format(**one) for one in self.adopted),
            *(f"business {business_id} is adopted already" for business_id in self.already),
            *("business {business_id} is not adopted: {reason}".format(**one) for one in self.rejected),
        ]


def add_to(group: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to argparse."""
    about = "Make businesses of the rows of public.business, with the same ids. Those that are adopted already stay as they are."
    adopt = group.add_parser("adopt", help="take over the businesses of an existing CRM", description=about)
    adopt.add_argument("--from-public", action="store_true", required=True, help="those of public.business")
    adopt.add_argument("--business", type=int, metavar="ID", help="this one only")
    adopt.add_argument("--caller-id", metavar="+E164", help="with --business: the number its calls come from (default: its phone_e164)")
    adopt.add_argument("--timezone", metavar="ZONE", help="such as Asia/Jerusalem (default: where the caller id is)")
    adopt.add_argument("--max-calls", type=int, metavar="N", help="calls at once (default: DIALER_MAX_CALLS_PER_BUSINESS, 3)")
    adopt.add_argument("--by", metavar="NAME", help="your name, for the audit log")
    adopt.add_argument("--json", action="store_true", help="print one JSON object")
    adopt.set_defaults(run=run)


async def run(options: Namespace) -> int:
    """Run the command; 0 also when some were rejected, each with its reason.

    Raises:
        CommandError: naming the wrong option, or the reason why the database cannot be used.
    """
    if options.caller_id and options.business is None:
        raise OptionError(option="--caller-id", problem="it is of one business: name it with --business")
    async with connected(address()) as pool:
        found = await OldBusinesses(pool).all()
        wanted = [old for old in found if options.business in {None, old.business_id}]
        if not wanted:
            what = "rows" if options.business is None else f"a row {options.business}"
            message = f"there is no table public.business with {what}"
            raise CommandError(message)
        result = BusinessAdoption()
        for old in wanted:
            await _adopt(pool, old, options, result)
    text = json.dumps({"adopted": result.adopted, "already": result.already, "rejected": result.rejected}, ensure_ascii=False)
    print(text if options.json else "\n".join(result.lines()))
    return 0


async def _adopt(pool: Pool, old: OldBusiness, options: Namespace, result: BusinessAdoption) -> None:
    settings = load()
    if old.is_adopted:
        result.already.append(old.business_id)
    else:
        max_calls = settings.max_calls_per_business if options.max_calls is None else options.max_calls
        try:
            fields = await _add(pool, old, options, max_calls)
        except OptionError as error:
            result.rejected.append({"business_id": old.business_id, "reason": str(error)})
            return
        result.adopted.append(fields)
    runs = OldRuns(pool, settings.twilio_account_sid)
    in_doubt = await runs.in_doubt(old.business_id)
    for run_id in in_doubt:
        await runs.complete(old.business_id, run_id)
    counted = await OldCalls(pool, settings.twilio_account_sid).count(old.business_id)
    if not old.is_adopted:
        result.adopted[-1] |= {"runs_in_doubt": in_doubt, "calls_of_last_week": counted}


async def _add(pool: Pool, old: OldBusiness, options: Namespace, max_calls: int) -> dict[str, Any]:
    """Add it as ours; return its fields.

    Raises:
        OptionError: when its number or name is not one that a business can have.
    """
    name, caller_id = old.name or f"Business {old.business_id}", options.caller_id or old.phone or ""
    new = validate(name=name, caller_id=caller_id, timezone=options.timezone, max_calls=max_calls)
    if await Businesses(pool).used_elsewhere(old.business_id, [new.caller_id]):
        raise OptionError(option="--caller-id", problem=f"another business calls from {new.caller_id}; give it one of its own")
    fields = {"name": new.name, "caller_id": new.caller_id, "region": new.region, "timezone": new.timezone, "max_calls": new.max_calls}
    rules = starting_rules(new.region, CALLING_HOURS[0], MIN_GAP_HOURS, str(MAX_PER_DAY))
    by = f"cli:{options.by}" if options.by else "cli"
    await OldBusinesses(pool).adopt(old.business_id, **fields, rules=rules, actor=by)  # type: ignore[arg-type]
    return {"business_id": old.business_id, **fields}
