"""The judge of the rules of calling: knows them from those who gave and changed them, and holds the provider's call log against them.

It shares no code with the store: a fault there cannot hide itself here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from dialer.model import AttemptState
from dialer.policy.call_prices import billed_minutes
from tests.simulation.rows import moment
from tests.simulation.rules import MAX_COST, MINUTE_PRICE, WEEKDAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from tests.simulation.fake_twilio import Entry
    from tests.simulation.rows import Attempt, Database, Run

# Of the days of a schedule.
HOLIDAYS = frozenset({("US", date(2030, 1, 1))})
# The one code by which the provider refuses a number here.
INVALID_NUMBER = 21211
RANG = frozenset({"completed", "busy", "no-answer"})
NO_CALL = frozenset({AttemptState.NOT_SENT, AttemptState.NOT_PLACED})


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """The rules that held when an attempt was claimed; `budget` in calls, `amount` in money."""

    hours: Any
    gap_seconds: float
    max_per_day: int | None
    budget: int | None
    amount: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """When an attempt was recorded as over, in the order of these, and the retries that held then."""

    nth: int
    retries: dict[str, Any]


class RuleJudge:
    """Says which rules of calling an attempt or a call breaks; `jumps` when the database's clock is set in this schedule.

    Whoever changes a rule notes it here at that moment: the rules of businesses, the settings of runs, and the zones of leads, by run and
    lead_id.
    """

    def __init__(self, db: Database, *, jumps: bool) -> None:
        self._db = db
        self._jumps = jumps
        self.businesses: dict[int, dict[str, Any]] = defaultdict(dict)
        self.settings: dict[int, dict[str, Any]] = {}
        self.zones: dict[tuple[int, int], str] = {}
        self.refused: set[tuple[int, str]] = set()
        self.stopped: set[int] = set()
        self._in_force: dict[int, RulesInForce] = {}
        self._ended: dict[int, Ended] = {}
        self._not_ended: set[int] = set()

    def check(self) -> None:
        """After a statement: runs that an operation made, with the settings of those they are made from; attempts that are over."""
        db = self._db
        for run_id in range(len(self.settings) + 1, len(db.runs) + 1):
            self.settings[run_id] = dict(self.settings[db.runs[run_id].ancestors[-1]])
        for attempt_id in [i for i in self._not_ended if db.attempts[i].state is AttemptState.OVER]:
            self._not_ended.remove(attempt_id)
            self._ended[attempt_id] = Ended(len(self._ended), self._rule(db.attempts[attempt_id].run_id, "retries") or {})

    def claimed(self, attempt: Attempt) -> Iterator[str]:
        """An attempt was made by a claim at this moment."""
        business_id, run_id = attempt.business_id, attempt.run_id
        gap, own_gap = self.businesses[business_id].get("gap_hours", 0.0), self.settings[run_id].get("min_gap_hours")
        self._in_force[attempt.id] = RulesInForce(
            self._rule(run_id, "calling_hours"), 3600.0 * (gap if own_gap is None else own_gap), self._rule(run_id, "max_per_day"),
            self._budget(run_id), self._amount(run_id),
        )  # fmt: skip
        self._not_ended.add(attempt.id)
        if business_id in self.stopped:
            yield f"attempt {attempt.id} was taken while the dialling of its business was stopped"
        if (business_id, attempt.phone) in self.refused:
            yield f"attempt {attempt.id} was taken, and its number is on a do-not-call list"
        lineage = {run_id, *self._db.runs[run_id].ancestors}
        others = [other for other in self._to_number(attempt) if other.id != attempt.id]
        refused = [other.created_at for other in others if other.error_code == INVALID_NUMBER and other.run_id not in lineage]
        rang = [other.created_at for other in others if other.outcome in RANG]
        if refused and max(refused) > max(rang, default=float("-inf")):
            yield f"attempt {attempt.id} was taken, and the provider has refused its number in another run"
        countries = self.businesses[business_id].get("countries")
        if countries is not None and self._key(attempt.job_id).partition(":")[0] not in countries:
            yield f"attempt {attempt.id} was taken, and its country may not be called"

    def written(self, attempt: Attempt) -> Iterator[str]:
        """A request for a call is sent: its zone must be open."""
        at = moment(self._db.clock())
        if not _is_open(self._in_force[attempt.id].hours, self._key(attempt.job_id), at):
            yield f"attempt {attempt.id} was sent at {at:%H:%M:%S} UTC, outside of its calling hours"

    def created(self, entry: Entry, calls: Sequence[Entry]) -> Iterator[str]:
        """The provider has begun a call; `calls` are those of its business that it was asked for, this one among them."""
        attempt = self._of(entry)
        mine = sorted(self._of(call).id for call in calls if self._of(call).run_id == attempt.run_id)
        for nth, attempt_id in enumerate(mine, start=1):
            budget = self._in_force[attempt_id].budget
            if attempt_id >= attempt.id and budget is not None and nth > budget:
                yield f"run {attempt.run_id} has made {nth} calls, its budget was {budget}"
        amount = self._in_force[attempt.id].amount
        cost = sum(_cost(call) for call in calls if self._is_counted(self._of(call), attempt))
        if amount is not None and cost > amount:
            yield f"the calls of run {attempt.run_id} may cost {cost}, its budget was {amount}"
        if not self._jumps:
            yield from self._too_often(attempt, [self._of(call) for call in calls if call.to == entry.to])

    def _too_often(self, attempt: Attempt, to_number: Sequence[Attempt]) -> Iterator[str]:
        rules, run = self._in_force[attempt.id], self._db.runs[attempt.run_id]
        zone = ZoneInfo(_names(self._key(attempt.job_id))[0])
        today = sum(1 for other in to_number if _day(other, zone) == _day(attempt, zone))
        if rules.max_per_day is not None and today > rules.max_per_day:
            yield f"the number of attempt {attempt.id} is called {today} times on one day, {rules.max_per_day} are allowed"
        lineage = {run.id, *run.ancestors}
        for other in to_number:
            apart = attempt.created_at - other.created_at
            if other.run_id not in lineage and 0 <= apart < rules.gap_seconds:
                yield f"attempt {attempt.id} came {apart:.0f} s after one of run {other.run_id}, {rules.gap_seconds:.0f} s must be between"

    def may_repeat(self, calls: Sequence[Entry]) -> bool:
        """Whether a lead whose earlier calls were these may be called again."""
        return all(self._pause_minutes(call, calls) is not None for call in calls)

    def too_early(self, attempt: Attempt, calls: Sequence[Entry], perhaps: Sequence[Entry]) -> bool:
        """Whether an attempt was made before the pause after the last of `calls` had passed; those in `perhaps` may have been counted."""
        last = max(calls, key=lambda call: call.ended_at or 0.0)
        pauses = [self._pause_minutes(last, calls), self._pause_minutes(last, [*calls, *perhaps])]
        known = [minutes for minutes in pauses if minutes is not None]
        if not known or self._jumps or last.ended_at is None:
            return False
        return attempt.created_at < last.ended_at + 60.0 * min(known)

    def _pause_minutes(self, call: Entry, calls: Sequence[Entry]) -> float | None:
        """The pause after a call of a lead; None: it is not called again because of it."""
        ended = self._ended.get(call.reference.attempt_id)
        rule = ended.retries.get(call.outcome) if ended else None
        same = [self._ended.get(other.reference.attempt_id) for other in calls if other.outcome == call.outcome]
        earlier = sum(1 for other in same if other and ended and other.nth < ended.nth)
        if rule is None or earlier >= rule["times"]:
            return None
        return float(rule["after_minutes"][min(earlier, len(rule["after_minutes"]) - 1)])

    def may_follow(self, attempt: Attempt) -> bool:
        """Whether a lead may be called again after this attempt, which is over."""
        retries = self._ended[attempt.id].retries if attempt.id in self._ended else {}
        machine = (attempt.answered_by or "").startswith("machine")
        answered = "machine" if machine else (attempt.answered_by or "answered")
        return (answered if attempt.outcome in {None, "completed"} else attempt.outcome) in retries

    def has_retries(self, calls: Sequence[Entry]) -> bool:
        """Whether one of these calls ended while retries were wanted."""
        return any(self._ended[i].retries for i in (call.reference.attempt_id for call in calls) if i in self._ended)

    def waits(self, run: Run, seconds: float) -> bool:
        """Whether every queued lead of a run waits, by a rule, for something that comes in `seconds` at the earliest."""
        budget = self._budget(run.id)
        spent = sum(1 for attempt in self._db.attempts.values() if attempt.run_id == run.id and attempt.state not in NO_CALL)
        if run.business_id in self.stopped or (budget is not None and spent >= budget):
            return True
        amount = self._amount(run.id)
        if amount is not None and run.in_progress and amount - run.amount_spent < MAX_COST:
            return True
        soon, hours = self._db.clock() + seconds, self._rule(run.id, "calling_hours")
        queued = [job.id for job in run.jobs if job.status == "queued" and not self._is_put_off(job.id, soon)]
        return all(self._stays_closed(hours, key, soon) for key in {self._key(job_id) for job_id in queued})

    def _is_put_off(self, job_id: int, soon: float) -> bool:
        retry = self._db.retries.get(job_id)
        return retry is not None and retry.due_at > soon

    def _stays_closed(self, hours: Any, key: str, soon: float) -> bool:  # noqa: ANN401 JSON
        at, end = moment(self._db.clock()), moment(soon)
        while not _is_open(hours, key, at):
            at = at.replace(second=0, microsecond=0) + timedelta(minutes=1)
            if at > end:
                return True
        return False

    def _rule(self, run_id: int, name: str) -> Any:  # noqa: ANN401 JSON
        own = self.settings[run_id]
        return own[name] if name in own else self.businesses[self._db.runs[run_id].business_id].get(name)

    def _is_counted(self, call: Attempt, newest: Attempt) -> bool:
        """Whether a call counts for the budget in money that held when `newest` was claimed."""
        return call.run_id == newest.run_id and call.id <= newest.id and self._in_force[call.id].amount is not None

    def _to_number(self, attempt: Attempt) -> Iterator[Attempt]:
        return (a for a in self._db.attempts.values() if a.business_id == attempt.business_id and a.phone == attempt.phone)

    def _amount(self, run_id: int) -> int | None:
        budget = self.settings[run_id].get("budget") or {}
        return int(budget["amount"]) if "amount" in budget else None

    def _budget(self, run_id: int) -> int | None:
        return (self.settings[run_id].get("budget") or {}).get("calls")

    def _of(self, call: Entry) -> Attempt:
        return self._db.attempts[call.reference.attempt_id]

    def _key(self, job_id: int) -> str:
        """The zone key of a lead; one that is called again has that of the run it comes from."""
        job = self._db.jobs[job_id]
        runs = [job.run_id, *reversed(self._db.runs[job.run_id].ancestors)]
        return next(self.zones[run_id, job.lead_id] for run_id in runs if (run_id, job.lead_id) in self.zones)


def _cost(call: Entry) -> int:
    """What a call costs, in progress at most; one that the provider lets go on for too long counts as the longest."""
    if call.ended_at is None:
        return MAX_COST
    return min(MINUTE_PRICE * billed_minutes(call.duration_seconds or 0), MAX_COST)


def _names(key: str) -> list[str]:
    return key.partition(":")[2].split(",")


def _day(attempt: Attempt, zone: ZoneInfo) -> date:
    return moment(attempt.created_at).astimezone(zone).date()


def _is_open(hours: Any, key: str, at: datetime) -> bool:  # noqa: ANN401 JSON
    """Whether a clock in each of the zones shows a time within the hours."""
    country = key.partition(":")[0]
    locals_ = [at.astimezone(ZoneInfo(name)) for name in _names(key)]
    return hours is None or all(
        any(start <= f"{local:%H:%M}" < end for start, end in _on(hours, country, local.date())) for local in locals_
    )


def _on(hours: dict[str, Any], country: str, day: date) -> list[list[str]]:
    """The intervals of one day."""
    usual: list[list[str]] = hours.get(WEEKDAYS[day.weekday()], [])
    if str(day) in hours.get("dates", {}):
        usual = hours["dates"][str(day)]
    elif hours.get("holidays") != "open" and (country, day) in HOLIDAYS:
        usual = []
    elif usual and hours.get("holiday_eves") is not None and (country, day + timedelta(days=1)) in HOLIDAYS:
        usual = hours["holiday_eves"]
    return usual
