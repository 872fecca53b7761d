"""The present state of a business: lines, runs, today's calls, and what needs attention."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Final

from dialer.policy.time_zones import time_zone
from web.operations.reports.provider_outage import provider_away_since
from web.operations.reports.run_report import all_outcomes
from web.operations.reports.waits_for import DRIVEN, ORDER, Wait, WaitReason, business_report, is_driven, of_business
from web.server import keys
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web as http

    from sql.reports.reports import BusinessReport, LinesReport
    from web.access.auth import Principal

# These pass by themselves, and are no alarms.
NO_ALARM: Final = frozenset({WaitReason.PACED})
EXCESS: Final = "excess"
EXCESS_SENTENCE: Final = msgid("A call beyond the limit of this business is on the line. It is being ended.")
UNCONFIRMED_SENTENCE: Final = msgid("The provider has not confirmed some calls. Most of these are settled within minutes.")


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that needs attention: a reason of `waits_for`, or `excess`."""

    reason: str
    since: datetime | None
    sentence: Text


@dataclass(frozen=True, slots=True)
class Summary:
    """`calls` were placed since midnight in the zone of the business; `outcomes` are those that have ended."""

    lines: LinesReport
    calls: int
    outcomes: dict[str, int]
    alarms: list[Alarm]


async def business_summary(request: http.Request, principal: Principal) -> Summary:
    """The summary of one business.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    business_id, reports = principal.business_id, request.app[keys.REPORTS]
    lines = await reports.lines(business_id, driven_seconds=DRIVEN.total_seconds())
    business = await business_report(request.app, business_id)
    calls, outcomes = await reports.calls_since(business_id, midnight(business.now, lines.timezone))
    away_since = await provider_away_since(request.app, business_id) if lines.running else None
    return Summary(lines, calls, all_outcomes(outcomes), list(_alarms(business, lines, away_since)))


def midnight(now: datetime, zone: str) -> datetime:
    """When the calendar day of a zone began; where the clocks skip midnight, the first moment of the day."""
    rules = time_zone(zone) or UTC
    return datetime.combine(now.astimezone(rules).date(), time.min, rules)


def _alarms(business: BusinessReport, lines: LinesReport, away_since: datetime | None) -> Iterator[Alarm]:
    waits = [wait for wait in of_business(business) if wait.reason not in NO_ALARM]
    if away_since:
        waits.append(Wait(WaitReason.PROVIDER_AWAY, away_since))
    if lines.undriven_since and is_driven(business):
        waits.append(Wait(WaitReason.NO_WORKER, lines.undriven_since))
    if business.unconfirmed_since:
        waits.append(Wait(WaitReason.UNCONFIRMED_CALLS, business.unconfirmed_since, text=Text(UNCONFIRMED_SENTENCE)))
    if lines.excess_since:
        yield Alarm(EXCESS, lines.excess_since, Text(EXCESS_SENTENCE))
    for wait in sorted(waits, key=lambda wait: ORDER[wait.reason]):
        yield Alarm(wait.reason, wait.since, wait.sentence)
