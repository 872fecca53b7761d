"""Loads businesses and runs into the in-memory database, as sql.businesses.businesses and sql.runs.runs do into PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tests.simulation.checking import is_always_open
from tests.simulation.rows import ALWAYS, NEVER, BusinessRules, Job, Lane, Run, Zone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.runs.new_lead import NewLead
    from tests.simulation.rows import Database


def load_business(db: Database, partition: int, max_calls: int, *, caller_ids: Sequence[str], account_sid: str | None = None) -> int:
    """Create a business with its lane; return its id."""
    business_id = len(db.lanes) + 1
    db.lanes[business_id] = Lane(business_id, partition, max_calls, max_calls, list(caller_ids), account_sid)
    db.rules[business_id] = BusinessRules()
    db.runs_of[business_id] = []
    return business_id


def load_run(
    db: Database,
    business_id: int,
    leads: Sequence[NewLead],
    *,
    concurrency: int = 3,
    priority: int = 0,
    settings: dict[str, Any] | None = None,
    ancestors: tuple[int, ...] = (),
    schedule_at: float | None = None,
) -> int:
    """Load a run that has not been started; return its id."""
    run = Run(len(db.runs) + 1, business_id, concurrency, 0, 0, priority, settings or {}, ancestors=ancestors, schedule_at=schedule_at)
    db.runs[run.id] = run
    db.runs_of[business_id].append(run)
    append_leads(db, run, leads)
    return run.id


def append_leads(db: Database, run: Run, leads: Sequence[NewLead]) -> None:
    """Put leads behind those of a run, as its copy and sql/runs/windows_v1.sql's add_zones_v1 do."""
    first = len(run.jobs) + 1
    ordered = sorted(leads, key=lambda lead: lead.zone)
    for position, lead in enumerate(ordered, start=first):
        assert lead.lead_id is not None
        job = Job(len(db.jobs) + 1, run.id, run.business_id, lead.lead_id, lead.phone, position)
        db.jobs[job.id] = job
        run.jobs.append(job)
    run.total_leads += len(leads)
    run.queued += len(leads)
    for name, found in groupby(ordered, key=lambda lead: lead.zone):
        last = first + sum(1 for _ in found) - 1
        _add_zone(db, run, name, first, last)
        first = last + 1


def _add_zone(db: Database, run: Run, name: str, first: int, last: int) -> None:
    same = [zone for zone in run.zones if zone.name == name]
    if same and same[-1].last == first - 1:
        same[-1].last = last
        return
    added = replace(same[-1], first=first, last=last, next=first) if same else Zone(name, first, last, first)
    if is_always_open(db, run):
        added.opens_at, added.closes_at = ALWAYS, NEVER
    run.zones.append(added)
