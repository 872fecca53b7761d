"""The judge of the rules of calling: reads the provider's call log and the clock on the wall, and decides by neither store nor policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tests.simulation.checking import budget_left, gap_seconds_of, hours_of, max_per_day_of, retries_of
from tests.simulation.recording import job_outcome
from tests.simulation.rows import moment
from tests.simulation.rules import WEEKDAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from tests.simulation.fake_twilio import Entry
    from tests.simulation.rows import Attempt, Database, Run


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """The rules that held when an attempt was claimed."""

    hours: Any
    gap_seconds: float
    max_per_day: int | None


class RuleJudge:
    """Says which rules of calling an attempt or a call breaks; `jumps` when the database's clock is set in this schedule."""

    def __init__(self, db: Database, *, jumps: bool) -> None:
        self._db = db
        self._jumps = jumps
        self._in_force: dict[int, RulesInForce] = {}

    def claimed(self, attempt: Attempt) -> Iterator[str]:
        """An attempt was made by a claim at this moment."""
        db, run = self._db, self._db.runs[attempt.run_id]
        rules = db.rules[attempt.business_id]
        self._in_force[attempt.id] = RulesInForce(hours_of(db, run), gap_seconds_of(db, run), max_per_day_of(db, run))
        if rules.stopped:
            yield f"attempt {attempt.id} was taken while the dialling of its business was stopped"
        if attempt.phone in rules.do_not_call:
            yield f"attempt {attempt.id} was taken, and its number is on a do-not-call list"
        if rules.countries is not None and "US" not in rules.countries:
            yield f"attempt {attempt.id} was taken, and its country may not be called"

    def written(self, attempt: Attempt) -> Iterator[str]:
        """A request for a call is sent: its zone must be open."""
        hours = self._in_force[attempt.id].hours
        local = moment(self._db.clock()).astimezone(self._zone(attempt))
        clock = f"{local:%H:%M}"
        intervals = [] if hours is None else hours.get(WEEKDAYS[local.weekday()], [])
        if hours is not None and not any(start <= clock < end for start, end in intervals):
            yield f"attempt {attempt.id} was sent at {local:%H:%M:%S}, outside of its calling hours"

    def created(self, entry: Entry, calls: Sequence[Entry]) -> Iterator[str]:
        """The provider has begun a call; `calls` are those of its business that it was asked for, this one among them."""
        attempt = self._db.attempts[entry.reference.attempt_id]
        run = self._db.runs[attempt.run_id]
        spent = sum(1 for call in calls if self._of(call).run_id == run.id)
        budget = run.settings.get("budget")
        if budget and spent > budget["calls"]:
            yield f"run {run.id} has made {spent} calls, its budget is {budget['calls']}"
        if not self._jumps:
            yield from self._too_often(attempt, [self._of(call) for call in calls if call.to == entry.to])

    def _too_often(self, attempt: Attempt, to_number: Sequence[Attempt]) -> Iterator[str]:
        rules, run = self._in_force[attempt.id], self._db.runs[attempt.run_id]
        zone = self._zone(attempt)
        today = sum(1 for other in to_number if self._day(other, zone) == self._day(attempt, zone))
        if rules.max_per_day is not None and today > rules.max_per_day:
            yield f"the number of attempt {attempt.id} is called {today} times on one day, {rules.max_per_day} are allowed"
        lineage = {run.id, *run.ancestors}
        for other in to_number:
            apart = attempt.created_at - other.created_at
            if other.run_id not in lineage and 0 <= apart < rules.gap_seconds:
                yield f"attempt {attempt.id} came {apart:.0f} s after one of run {other.run_id}, {rules.gap_seconds:.0f} s must be between"

    def may_repeat(self, calls: Sequence[Entry]) -> bool:
        """Whether a lead whose earlier calls were these may be called again."""
        outcomes = [call.status for call in calls]
        rules = self._retries(self._of(calls[0])) if calls else {}
        return all(outcome in rules and outcomes.count(outcome) <= rules[outcome]["times"] for outcome in outcomes)

    def too_early(self, attempt: Attempt, calls: Sequence[Entry]) -> bool:
        """Whether an attempt was made before the pause after the last of these calls had passed."""
        last = max(calls, key=lambda call: call.ended_at or 0.0)
        rule = self._retries(attempt).get(last.status)
        if rule is None or self._jumps or last.ended_at is None:
            return False
        nth = sum(1 for call in calls if call.status == last.status) - 1
        return attempt.created_at < last.ended_at + 60.0 * float(rule["after_minutes"][min(nth, len(rule["after_minutes"]) - 1)])

    def may_follow(self, attempt: Attempt) -> bool:
        """Whether a lead may be called again after this attempt, which is over."""
        return job_outcome(attempt.outcome, attempt.answered_by) in self._retries(attempt)

    def waits(self, run: Run, seconds: float) -> bool:
        """Whether every queued lead of a run waits, by a rule, for something that comes in `seconds` at the earliest."""
        db = self._db
        soon = db.clock() + seconds
        if db.rules[run.business_id].stopped or (budget_left(run) or 1) <= 0:
            return True
        return all(self._waits(run, job.position, job.id, soon) for job in run.jobs if job.status == "queued")

    def _waits(self, run: Run, position: int, job_id: int, soon: float) -> bool:
        zone, retry = run.zone_of(position), self._db.retries.get(job_id)
        closed = zone.opens_at is not None and not zone.never_opens and zone.opens_at > soon
        return closed or (retry is not None and retry.due_at > soon)

    def _retries(self, attempt: Attempt) -> dict[str, Any]:
        return retries_of(self._db, self._db.runs[attempt.run_id])

    def _of(self, call: Entry) -> Attempt:
        return self._db.attempts[call.reference.attempt_id]

    def _zone(self, attempt: Attempt) -> ZoneInfo:
        zone = self._db.runs[attempt.run_id].zone_of(self._db.jobs[attempt.job_id].position)
        return ZoneInfo(zone.name.split(":", 1)[1])

    def _day(self, attempt: Attempt, zone: ZoneInfo) -> date:
        return moment(attempt.created_at).astimezone(zone).date()
