"""The rules of calling as sql/attempts/check_v1.sql and sql/runs/windows_v1.sql decide them, in memory."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from dialer.model import AttemptState
from dialer.policy.call_prices import billed_minutes
from telephony import refusals
from tests.simulation.rows import ALWAYS, NEVER

if TYPE_CHECKING:
    from tests.simulation.rows import Attempt, Database, Job, Run, Zone

ANSWERED = frozenset({"human", "machine", "fax", "answered"})
NOT_DIALLED = frozenset({AttemptState.NOT_SENT, AttemptState.NOT_PLACED})
REASONS = {
    "country": "country_not_allowed", "do_not_call": "do_not_call", "register": "do_not_call", "number": "number_refused",
    "hours": "hours_never_open",
}  # fmt: skip
NUMBER_FAULTS = frozenset(rule.code for rule in refusals.CODES if rule.action is refusals.Action.LEAD)
COMPUTED_SECONDS = 1.0


class Check(NamedTuple):
    """The rule that keeps a lead from being called: it waits `until`, or ends as `ends_as` says."""

    rule: str
    until: float | None = None
    ends_as: str | None = None
    reason: str | None = None


def hours_of(db: Database, run: Run) -> Any:  # noqa: ANN401 JSON
    """The calling hours that hold for a run; None: always."""
    own = "calling_hours" in run.settings and "own_hours_are_ignored" not in db.faults
    return run.settings["calling_hours"] if own else db.rules[run.business_id].calling_hours


def max_per_day_of(db: Database, run: Run) -> int | None:
    """The daily cap that holds for a run."""
    found: int | None = run.settings["max_per_day"] if "max_per_day" in run.settings else db.rules[run.business_id].max_per_day
    return found


def gap_seconds_of(db: Database, run: Run) -> float:
    """The gap that holds for a run."""
    own = run.settings.get("min_gap_hours")
    return 3600.0 * float(db.rules[run.business_id].gap_hours if own is None else own)


def retries_of(db: Database, run: Run) -> dict[str, Any]:
    """The retries that hold for a run."""
    own = "retries" in run.settings
    return (run.settings["retries"] if own else db.rules[run.business_id].retries) or {}


def budget_left(run: Run) -> int | None:
    """Calls that the budget of a run has left."""
    budget = run.settings.get("budget")
    return None if not budget or "calls" not in budget else int(budget["calls"]) - run.calls_count


def amount_left(run: Run) -> Decimal | None:
    """Money that the budget of a run has left."""
    budget = run.settings.get("budget")
    return None if not budget or "amount" not in budget else Decimal(budget["amount"]) - run.amount_spent


def cost_of(attempt: Attempt, state: AttemptState, outcome: str | None, duration: int | None) -> Decimal:
    """What an attempt in this state counts for a budget in money, as dialer.cost_of."""
    if attempt.minute_price is None or attempt.max_cost is None or state in NOT_DIALLED:
        return Decimal(0)
    if state is AttemptState.OVER and outcome == "completed" and duration is not None:
        return billed_minutes(duration) * attempt.minute_price
    is_free = state is AttemptState.OVER and outcome not in {"completed", "lost", None}
    return Decimal(0) if is_free else attempt.max_cost


def is_allowed(db: Database, business_id: int, zone: str) -> bool:
    """Whether the country of a zone may be called."""
    countries = db.rules[business_id].countries
    return countries is None or "country_is_ignored" in db.faults or zone.split(":", 1)[0] in countries


def is_open(db: Database, zone: Zone, send_by: float) -> bool:
    """Whether calls of a claim made now may be sent until `send_by`."""
    if "hours_are_ignored" in db.faults:
        return True
    return zone.opens_at is not None and zone.closes_at is not None and zone.opens_at <= db.clock() and send_by < zone.closes_at


def may_offer(db: Database, run: Run, zone: Zone, send_by: float) -> bool:
    """Whether a claim may offer leads of a zone."""
    if not (is_open(db, zone, send_by) or zone.never_opens or not is_allowed(db, run.business_id, zone.name)):
        return False
    return zone.next <= zone.last or any(r.due_at <= db.clock() for r in _retries(db, run, zone))


def next_chance(db: Database, run: Run, zone: Zone, send_by: float) -> float | None:
    """When a lead of a zone can be claimed next; None when it has none, or some can be claimed now."""
    now = db.clock()
    if zone.never_opens or is_open(db, zone, send_by):
        at = now
    elif zone.opens_at is not None and zone.opens_at > now:
        at = zone.opens_at
    else:
        at = max(now, zone.closes_at if zone.closes_at is not None else now) + COMPUTED_SECONDS
    due = [now] if zone.next <= zone.last else []
    waiting = [r.due_at for r in _retries(db, run, zone) if at > now or r.due_at > now]
    due += [min(waiting)] if waiting else []
    chances = [max(d, at) for d in due if max(d, at) > now]
    return min(chances, default=None)


def _retries(db: Database, run: Run, zone: Zone) -> list[Any]:
    return [r for r in db.retries.values() if r.run_id == run.id and r.zone == zone.name]


def check(db: Database, run: Run, job: Job, zone: Zone) -> Check | None:
    """The first rule that keeps this lead from being called now, if any."""
    rule, until = _rule(db, run, job, zone)
    if rule is None or f"{rule}_is_ignored" in db.faults:
        return None
    reason = REASONS.get(rule)
    if rule == "gap" and run.settings.get("recently_called") == "skip":
        reason = "recently_called"
    return Check(rule, None if reason else until, _without_call(job) if reason else None, reason)


def _rule(db: Database, run: Run, job: Job, zone: Zone) -> tuple[str | None, float | None]:
    rules, now = db.rules[run.business_id], db.clock()
    lineage = {run.id} if "gap_counts_ancestors" in db.faults else {run.id, *run.ancestors}
    calls = [a for a in db.attempts.values() if a.business_id == run.business_id and a.phone == job.phone and a.state not in NOT_DIALLED]
    for_ever = {
        "country": not is_allowed(db, run.business_id, zone.name),
        "do_not_call": rules.do_not_call.get(job.phone) == 0,
        "register": rules.do_not_call.get(job.phone, 0) > 0,
        "number": _is_refused(calls, lineage),
        "hours": zone.never_opens,
    }
    if any(for_ever.values()):
        return next(rule for rule, applies in for_ever.items() if applies), None
    cap, gap = max_per_day_of(db, run), gap_seconds_of(db, run)
    today = sum(1 for a in calls if zone.day_from is not None and a.created_at >= zone.day_from)
    if cap is not None and today >= cap:
        return "daily_cap", zone.day_to
    others = [a.created_at for a in calls if a.run_id not in lineage]
    if gap > 0 and others and max(others) + gap > now:
        return "gap", max(others) + gap
    return None, None


def _is_refused(calls: list[Attempt], lineage: set[int]) -> bool:
    """Whether the provider has refused the number in another run, and no call to it has gone through since."""
    refused = [a.created_at for a in calls if a.run_id not in lineage and a.error_code in NUMBER_FAULTS]
    through = [a.created_at for a in calls if a.outcome in {"completed", "busy", "no-answer"}]
    return bool(refused) and max(refused) > max(through, default=float("-inf"))


def _without_call(job: Job) -> str:
    if job.outcome is None:
        return "skipped"
    return "completed" if job.outcome in ANSWERED else "failed"


def is_always_open(db: Database, run: Run) -> bool:
    """A run without hours and without a daily cap needs no worker to open its zones."""
    return hours_of(db, run) is None and max_per_day_of(db, run) is None


def reset_windows(db: Database, run: Run) -> None:
    """Delete what was computed by other rules."""
    always = is_always_open(db, run)
    for zone in run.zones:
        zone.opens_at, zone.closes_at = (ALWAYS, NEVER) if always else (None, None)
        zone.day_from = zone.day_to = None


def change_rules(db: Database, business_id: int, **changes: object) -> None:
    """Change rules of a business: in the same transaction the windows of its runs are deleted, and leads that were put off are due."""
    for name, value in changes.items():
        setattr(db.rules[business_id], name, value)
    runs = {run.id: run for run in db.runs_of[business_id] if run.status in {"pending", "running", "paused"}}
    if changes.keys() & {"calling_hours", "max_per_day"} and "windows_outlive_the_rules" not in db.faults:
        for run in runs.values():
            reset_windows(db, run)
    if changes.keys() & {"gap_hours", "max_per_day"}:
        for retry in db.retries.values():
            if retry.run_id in runs and retry.reason in {"gap", "daily_cap"}:
                retry.due_at = min(retry.due_at, db.clock())
