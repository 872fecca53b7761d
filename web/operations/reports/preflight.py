"""What would become of a run before it is loaded: how many leads would be called, when, and what stands in the way. Writes nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from dialer.policy.earlier_calls import EarlierCall
from dialer.policy.estimates import estimated_end
from dialer.policy.forecast import Preflight, Prospect
from dialer.policy.registers import RequiredRegister, registers_too_old
from dialer.policy.run_settings import effective
from dialer.policy.time_zones import read_key
from sql.phones.phones import Phones
from web.operations.settings.run_fields import business_rules
from web.server import keys
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from aiohttp import web as http

    from dialer.policy.forecast import Forecast
    from dialer.policy.run_settings import RunRules
    from sql.businesses.businesses import Business
    from sql.phones.phones import KnownPhone, Outlook
    from sql.runs.new_run import NewLead
    from web.operations.settings.run_fields import RunSettings

# How long a call of a business that has made none holds a line.
CALL_SECONDS: Final = 60.0
SHORTEST_CALL_SECONDS: Final = 1.0
# A lead's day began at most so long ago, whatever its zone.
DAY: Final = timedelta(hours=50)
LONG_CLOSED: Final = timedelta(hours=24)

OTHER_COUNTRY: Final = msgid("Leads in another country than the business ({country}): {leads}.")
NO_ZONE: Final = msgid("Leads whose time zone is not known: {leads}. Within calling hours they are never called; give them a timezone.")
STOPPED: Final = msgid("Dialling is stopped: no lead is called until it is resumed.")
REGISTER_MISSING: Final = msgid("The do-not-call register {register} has not been imported: no lead is called until it is.")
REGISTER_TOO_OLD: Final = msgid("The do-not-call register {register} is too old: no lead is called until it is imported again.")
LATE: Final = msgid("The first lead can be called only {hours} hours after the start.")
RECORDED: Final = msgid("The calls are recorded: the script must say so.")
SMALL_BUDGET: Final = msgid("The budget allows {calls} calls, fewer than there are leads to call: {leads}.")
# While one of these applies nobody knows when the first lead is called.
BARRING: Final = frozenset({"stopped", "register_missing", "register_too_old"})


@dataclass(frozen=True, slots=True)
class PreflightWarning:
    """Something to know before the start; `code` is for programs."""

    code: str
    text: Text


@dataclass(slots=True)
class PreflightReport:
    """Counts of the leads; both times are None when they cannot be told, and `ends_at` is an estimate."""

    will_call: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)
    recently_called: int = 0
    first_call_at: datetime | None = None
    ends_at: datetime | None = None
    warnings: list[PreflightWarning] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the run would be called, from `start` on."""

    business: Business
    rules: RunRules
    outlook: Outlook
    start: datetime
    calls_per_second: float
    is_recorded: bool


async def preflight(request: http.Request, business: Business, settings: RunSettings, leads: Sequence[NewLead]) -> PreflightReport:
    """What would become of these leads, each decided by the rules that hold now.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    phones = Phones(request.app[keys.POOL])
    outlook = await phones.outlook(business.business_id)
    rules = effective(business_rules(business), settings)
    start = max(settings.schedule_at or outlook.now, outlook.now)
    pace = _calls_per_second(business, settings, outlook, request.app[keys.SETTINGS].calls_per_second)
    known = await phones.known(business.business_id, [lead.phone for lead in leads], _since(rules, outlook.now))
    return await asyncio.to_thread(_report, _Plan(business, rules, outlook, start, pace, settings.record), leads, known)


def _calls_per_second(business: Business, settings: RunSettings, outlook: Outlook, most: float) -> float:
    """The pace of the run's calls; `most` is that of the account, 0 for no limit."""
    lines = min(settings.concurrency or business.max_calls, business.max_calls)
    pace = lines / max(outlook.call_seconds or CALL_SECONDS, SHORTEST_CALL_SECONDS)
    return min(pace, most) if most else pace


def _since(rules: RunRules, now: datetime) -> datetime | None:
    """From when on earlier calls matter; None when they do not."""
    gap = timedelta(hours=rules.min_gap_hours or 0)
    return now - max(gap, DAY) if gap or rules.max_per_day is not None else None


def _report(plan: _Plan, leads: Sequence[NewLead], known: Mapping[int, KnownPhone]) -> PreflightReport:
    checking = Preflight(plan.rules, plan.business.allowed_countries, plan.start)
    report = PreflightReport()
    moments: Counter[tuple[datetime, str]] = Counter()
    for n, lead in enumerate(leads):
        forecast = checking.decide(_prospect(lead, known.get(n)))
        _count(report, forecast)
        if forecast.at:
            moments[forecast.at, lead.zone] += 1
    first = min((at for at, _ in moments), default=None)
    report.warnings = [*_of_business(plan), *_of_leads(plan, leads), *_of_run(plan, report, first)]
    if first and not any(warning.code in BARRING for warning in report.warnings):
        report.first_call_at = first
        report.ends_at = estimated_end(moments, checking.calendar, plan.start, calls_per_second=plan.calls_per_second)
    return report


def _prospect(lead: NewLead, known: KnownPhone | None) -> Prospect:
    if known is None:
        return Prospect(lead.zone)
    # The calls of every run count: a run that is not there yet has none of its own.
    return Prospect(lead.zone, [EarlierCall(at, 0) for at in known.calls], known.is_listed)


def _count(report: PreflightReport, forecast: Forecast) -> None:
    report.recently_called += forecast.is_recent
    if forecast.at is None:
        report.skipped[forecast.reason or ""] += 1
        return
    report.will_call += 1
    if forecast.reason:
        report.waiting[forecast.reason] += 1


def _of_business(plan: _Plan) -> Iterator[PreflightWarning]:
    if plan.outlook.is_stopped:
        yield PreflightWarning("stopped", Text(STOPPED))
    required = [RequiredRegister.model_validate(each) for each in plan.business.required_registers]
    for name in registers_too_old(required, plan.outlook.registers, plan.outlook.now):
        is_there = name in plan.outlook.registers
        sentence = REGISTER_TOO_OLD if is_there else REGISTER_MISSING
        yield PreflightWarning("register_too_old" if is_there else "register_missing", Text(sentence, {"register": name}))


def _of_leads(plan: _Plan, leads: Sequence[NewLead]) -> Iterator[PreflightWarning]:
    keys_of_zones = Counter(lead.zone for lead in leads)
    countries: Counter[str] = Counter()
    for zone, count in keys_of_zones.items():
        countries[read_key(zone).country] += count
    for country, count in sorted(countries.items()):
        if country != plan.business.region:
            yield PreflightWarning("other_country", Text(OTHER_COUNTRY, {"country": country, "leads": count}))
    nowhere = sum(count for zone, count in keys_of_zones.items() if not read_key(zone).zones)
    if nowhere and plan.rules.calling_hours:
        yield PreflightWarning("no_zone", Text(NO_ZONE, {"leads": nowhere}))


def _of_run(plan: _Plan, report: PreflightReport, first: datetime | None) -> Iterator[PreflightWarning]:
    if plan.is_recorded:
        yield PreflightWarning("recording", Text(RECORDED))
    if first and first - plan.start > LONG_CLOSED:
        hours = round((first - plan.start) / timedelta(hours=1))
        yield PreflightWarning("late", Text(LATE, {"hours": hours}))
    budget = plan.rules.budget
    if budget and budget.calls is not None and budget.calls < report.will_call:
        yield PreflightWarning("budget", Text(SMALL_BUDGET, {"calls": budget.calls, "leads": report.will_call}))
