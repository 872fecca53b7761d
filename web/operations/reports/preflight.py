"""The forecast for a run before it is loaded: how many leads would be called, when, and what prevents calls. Writes nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from dialer.policy.call_prices import billed_minutes, in_decimals
from dialer.policy.earlier_calls import EarlierCall
from dialer.policy.forecasts.estimates import estimated_end
from dialer.policy.forecasts.forecast import RECENTLY_CALLED, Preflight, Prospect
from dialer.policy.registers import RequiredRegister, registers_too_old
from dialer.policy.run_settings import effective
from dialer.policy.time_zones import read_key
from sql.phones.phones import Phones
from web.operations.reports.waits_for import SENTENCES, WaitReason
from web.operations.settings.run_fields import business_rules
from web.server import keys
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from aiohttp import web as http

    from dialer.policy.call_prices import PriceList
    from dialer.policy.forecasts.forecast import Forecast
    from dialer.policy.run_settings import RunRules
    from sql.businesses.businesses import Business
    from sql.phones.phones import KnownPhone, Outlook
    from sql.runs.new_lead import NewLead
    from web.operations.settings.run_fields import RunSettings

# How long a call uses a line, if the business has made none yet.
CALL_SECONDS: Final = 60.0
SHORTEST_CALL_SECONDS: Final = 1.0
# A lead's day began at most this long ago, in any zone.
DAY: Final = timedelta(hours=50)
LONG_CLOSED: Final = timedelta(hours=24)

OTHER_COUNTRY: Final = msgid("Leads in another country than the business ({country}): {leads}.")
NO_ZONE: Final = msgid("Leads whose time zone is not known: {leads}. With calling hours they are never called; give them a timezone.")
STOPPED: Final = msgid("Dialling is stopped: no lead is called until it is resumed.")
REGISTER_MISSING: Final = msgid("The do-not-call register {register} has not been imported: no lead is called until it is.")
REGISTER_TOO_OLD: Final = msgid("The do-not-call register {register} is too old: no lead is called until it is imported again.")
LATE: Final = msgid("The first lead can be called only {hours} hours after the start.")
RECORDED: Final = msgid("The calls are recorded: the script must say so.")
SMALL_BUDGET: Final = msgid("The budget allows {calls} calls, fewer than there are leads to call: {leads}.")
BUDGET_OF_ONE: Final = msgid("The budget allows one call, fewer than there are leads to call: {leads}.")
SMALL_AMOUNT: Final = msgid(
    "The budget of {amount} {currency} may be too small: if every call lasts the maximum time, calling each lead once costs {most} "
    "{currency}."
)
NO_CALL_COVERED: Final = msgid("The budget does not cover a single call ({price} {currency} is reserved for each).")
WILL_CALL: Final = "will_call"
# While one of these applies, the time of the first call is unknown.
BARRING: Final = frozenset({"stopped", "account", "register_missing", "register_too_old", "budget_too_small"})


@dataclass(frozen=True, slots=True)
class PreflightWarning:
    """A warning to read before the start; `code` is for programs."""

    code: str
    text: Text


@dataclass(slots=True)
class PreflightReport:
    """Counts of the leads; both times are None when they are unknown, and `ends_at` is an estimate.

    `most_cost`, in `currency`, is for one call of the maximum length to each lead, `least_cost` for one such call to the cheapest number;
    both None without a price table.
    """

    will_call: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)
    recently_called: int = 0
    first_call_at: datetime | None = None
    ends_at: datetime | None = None
    most_cost: Decimal | None = None
    least_cost: Decimal | None = None
    currency: str | None = None
    warnings: list[PreflightWarning] = field(default_factory=list)
    # Which leads are meant, by their index: will_call, recently_called, and the reasons of skipped and waiting.
    groups: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the run would be dialled, from `start` on."""

    business: Business
    rules: RunRules
    outlook: Outlook
    start: datetime
    calls_per_second: float
    is_recorded: bool
    prices: PriceList
    currency: str | None
    max_minutes: int


async def preflight(request: http.Request, business: Business, settings: RunSettings, leads: Sequence[NewLead]) -> PreflightReport:
    """The forecast for these leads, by the rules that apply now.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    phones = Phones(request.app[keys.POOL])
    outlook = await phones.outlook(business.business_id)
    rules = effective(business_rules(business), settings)
    start = max(settings.schedule_at or outlook.now, outlook.now)
    pace = _calls_per_second(business, settings, outlook, request.app[keys.SETTINGS].calls_per_second)
    known = await phones.known(business.business_id, [lead.phone for lead in leads], _since(rules, outlook.now))
    prices = request.app[keys.PRICES]
    max_minutes = billed_minutes(request.app[keys.SETTINGS].call_time_limit_seconds)
    currency = (settings.budget and settings.budget.currency) or next(iter(await prices.currencies()), None)
    money = await prices.table(currency or ""), currency, max_minutes
    return await asyncio.to_thread(_report, _Plan(business, rules, outlook, start, pace, settings.record, *money), leads, known)


def _calls_per_second(business: Business, settings: RunSettings, outlook: Outlook, most: float) -> float:
    """The pace of the run's calls; `most` is the limit of the account, 0 for none."""
    lines = min(settings.concurrency or business.max_calls, business.max_calls)
    pace = lines / max(outlook.call_seconds or CALL_SECONDS, SHORTEST_CALL_SECONDS)
    return min(pace, most) if most else pace


def _since(rules: RunRules, now: datetime) -> datetime | None:
    """Since when earlier calls matter; None when they do not."""
    gap = timedelta(hours=rules.min_gap_hours or 0)
    return now - max(gap, DAY) if gap or rules.max_per_day is not None else None


def _report(plan: _Plan, leads: Sequence[NewLead], known: Mapping[int, KnownPhone]) -> PreflightReport:
    checking = Preflight(plan.rules, plan.business.allowed_countries, plan.start)
    report = PreflightReport()
    moments: Counter[tuple[datetime, str]] = Counter()
    for n, lead in enumerate(leads):
        forecast = checking.decide(_prospect(lead, known.get(n)))
        _count(report, n, forecast)
        if forecast.at:
            moments[forecast.at, lead.zone] += 1
            _price(report, plan.prices.of(lead.phone), plan.max_minutes)
    first = min((at for at, _ in moments), default=None)
    report.currency = plan.currency
    report.warnings = [*_of_business(plan), *_of_leads(plan, leads), *_of_run(plan, report, first)]
    if first and not any(warning.code in BARRING for warning in report.warnings):
        report.first_call_at = first
        report.ends_at = estimated_end(moments, checking.calendar, plan.start, calls_per_second=plan.calls_per_second)
    return report


def _prospect(lead: NewLead, known: KnownPhone | None) -> Prospect:
    if known is None:
        return Prospect(lead.zone)
    # The calls of every run count: a run that is not loaded has none of its own.
    return Prospect(lead.zone, [EarlierCall(at, 0) for at in known.calls], known.is_listed, known.is_refused)


def _price(report: PreflightReport, price: Decimal | None, minutes: int) -> None:
    if price is not None:
        cost = price * minutes
        report.most_cost = (report.most_cost or 0) + cost
        report.least_cost = cost if report.least_cost is None else min(report.least_cost, cost)


def _count(report: PreflightReport, n: int, forecast: Forecast) -> None:
    report.recently_called += forecast.is_recent
    for group in (RECENTLY_CALLED if forecast.is_recent else forecast.reason, WILL_CALL if forecast.at else None):
        if group:
            report.groups.setdefault(group, []).append(n)
    if forecast.at is None:
        report.skipped[forecast.reason or ""] += 1
        return
    report.will_call += 1
    if forecast.reason:
        report.waiting[forecast.reason] += 1


def _of_business(plan: _Plan) -> Iterator[PreflightWarning]:
    if plan.outlook.is_stopped:
        yield PreflightWarning("stopped", Text(STOPPED))
    if plan.outlook.lacks_account:
        yield PreflightWarning("account", Text(SENTENCES[WaitReason.ACCOUNT]))
    if not plan.outlook.has_worker:
        yield PreflightWarning("no_worker", Text(SENTENCES[WaitReason.NO_WORKER]))
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
        yield PreflightWarning(
            "budget", Text(SMALL_BUDGET if budget.calls > 1 else BUDGET_OF_ONE, {"calls": budget.calls, "leads": report.will_call})
        )
    if budget and budget.amount is not None:
        yield from _of_money(Decimal(budget.amount), report)


def _of_money(budget: Decimal, report: PreflightReport) -> Iterator[PreflightWarning]:
    if report.least_cost is not None and budget < report.least_cost:
        amounts = {"price": in_decimals(report.least_cost), "currency": report.currency}
        yield PreflightWarning("budget_too_small", Text(NO_CALL_COVERED, amounts))
    elif report.most_cost is not None and budget < report.most_cost:
        amounts = {"amount": in_decimals(budget), "currency": report.currency, "most": in_decimals(report.most_cost)}
        yield PreflightWarning("budget_amount", Text(SMALL_AMOUNT, amounts))
