"""What `watch` shows of a business: read in a few bounded statements, each for this business alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ringmaster.output import printable
from sql.audit.audit import AuditFilter
from web.operations.explanations.outcome_labels import OUTCOME_LABELS
from web.operations.explanations.principal_labels import label_of
from web.operations.reports.waits_for import DRIVEN, business_report, may_wait, of_business, waits_of
from web.server import keys
from web.server.error_responses import said_in
from web.server.i18n import ENGLISH

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from aiohttp import web as http

    from sql.audit.audit import AuditEntry
    from sql.call_history.call_history import EndedCall
    from sql.reports.reports import BusinessReport
    from sql.runs.runs import Run
    from web.operations.reports.waits_for import Wait

MAX_RUNS = 8
MAX_EVENTS = 6
# How far back the calls that have ended are looked for.
RECENT = timedelta(minutes=10)
COUNTS = ("queued", "in_progress", "completed", "failed", "cancelled", "skipped")


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run with `why`, the first reason why it takes no leads; empty when it takes some, or has nothing left to call."""

    run: Run
    why: str

    @property
    def name(self) -> str:
        """Its number and its name."""
        return f"run {self.run.run_id}" + (f" {printable(self.run.name)}" if self.run.name else "")

    @property
    def status(self) -> str:
        """Its status; of a run that is being cancelled, so."""
        return "being cancelled" if self.run.cancel_requested and not self.run.status.ended else str(self.run.status)

    @property
    def counts(self) -> list[int]:
        """Its counts, in the order of COUNTS."""
        return [getattr(self.run, name) for name in COUNTS]

    @property
    def line(self) -> str:
        """All of it on one line."""
        counts = ", ".join(f"{count} {name}" for count, name in zip(self.counts, COUNTS, strict=True))
        return f"{self.name}: {self.status}; {counts}" + (f" | {self.why}" if self.why else "")


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """Something that has happened: a call has ended, or somebody has done something."""

    at: datetime
    key: tuple[str, int]
    text: str

    @property
    def line(self) -> str:
        """With its time, in the zone of this machine."""
        return f"{self.at.astimezone():%H:%M:%S} {self.text}"


@dataclass(frozen=True, slots=True)
class WatchView:
    """One business now: its newest runs that have not ended, or were shown before; `events` are the last ones, the oldest first.

    `notice` says what keeps all of its runs from calling; empty when nothing does.
    """

    title: str
    rows: list[RunRow]
    notice: str
    events: list[WatchEvent]


async def read_view(app: http.Application, business_id: int, name: str, shown: Collection[int]) -> WatchView:
    """Read the state of a business; `shown` are the runs that were active when it was read before.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    lines = await app[keys.REPORTS].lines(business_id, driven_seconds=DRIVEN.total_seconds())
    business = await business_report(app, business_id)
    runs = await app[keys.RUNS].active(business_id, MAX_RUNS)
    ended = set(shown) - {run.run_id for run in runs}
    if ended:
        runs += await app[keys.RUNS].some(business_id, sorted(ended))
    rows = [RunRow(run, _said(await _waits(app, run, business))) for run in sorted(runs, key=lambda run: run.run_id)]
    title = f"business {business_id} {printable(name)}: {lines.in_use} of {lines.max} lines in use"
    return WatchView(title, rows, _said(list(of_business(business))), await _events(app, business_id, runs, business.now))


async def _waits(app: http.Application, run: Run, business: BusinessReport) -> list[Wait]:
    if not may_wait(run):
        return []
    return await waits_of(app, run, await app[keys.REPORTS].of_run(run.business_id, run.run_id), business)


def _said(waits: Sequence[Wait]) -> str:
    if not waits:
        return ""
    until = f" (until {waits[0].until.astimezone():%H:%M:%S})" if waits[0].until else ""
    return printable(said_in(ENGLISH, waits[0].sentence)) + until


async def _events(app: http.Application, business_id: int, runs: Sequence[Run], now: datetime) -> list[WatchEvent]:
    events = [_of_action(entry) for entry in await app[keys.AUDIT].page(business_id, AuditFilter(), before=None, limit=MAX_EVENTS)]
    for run in runs:
        calls = await app[keys.CALL_HISTORY].newest(business_id, run.run_id, since=now - RECENT, until=now, limit=MAX_EVENTS)
        events += [_of_call(run.run_id, call) for call in calls]
    return sorted(events, key=lambda event: event.at)[-MAX_EVENTS:]


def _of_action(entry: AuditEntry) -> WatchEvent:
    actor = label_of(entry.actor)
    who = actor if isinstance(actor, str) else said_in(ENGLISH, actor)
    where = f" run {entry.run_id}" if entry.run_id is not None else ""
    return WatchEvent(entry.at, ("action", entry.audit_id), printable(f"{entry.action}{where}: {who}"))


def _of_call(run_id: int, call: EndedCall) -> WatchEvent:
    outcome = OUTCOME_LABELS.get(call.outcome, call.outcome)
    return WatchEvent(call.ended_at, ("call", call.attempt_id), printable(f"run {run_id}, {call.name or call.phone}: {outcome}"))
