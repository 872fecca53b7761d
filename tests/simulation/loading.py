"""Loads businesses and runs into the in-memory database, as sql.businesses.businesses and sql.runs.runs do into PostgreSQL."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from tests.simulation.checking import reset_windows
from tests.simulation.rows import BusinessRules, Job, Lane, Run, Zone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.runs.new_run import NewLead
    from tests.simulation.rows import Database


def load_business(db: Database, partition: int, max_calls: int, *, caller_id: str, account_sid: str | None = None) -> int:
    """Create a business with its lane; return its id."""
    business_id = len(db.lanes) + 1
    db.lanes[business_id] = Lane(business_id, partition, max_calls, max_calls, caller_id, account_sid)
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
) -> int:
    """Load a run that has not been started; return its id."""
    run = Run(len(db.runs) + 1, business_id, concurrency, len(leads), len(leads), priority, settings or {}, ancestors=ancestors)
    ordered = sorted(leads, key=lambda lead: lead.zone)
    for position, lead in enumerate(ordered, start=1):
        assert lead.lead_id is not None
        job = Job(len(db.jobs) + 1, run.id, business_id, lead.lead_id, lead.phone, position)
        db.jobs[job.id] = job
        run.jobs.append(job)
    first = 1
    for name, found in groupby(ordered, key=lambda lead: lead.zone):
        last = first + sum(1 for _ in found) - 1
        run.zones.append(Zone(name, first, last, first))
        first = last + 1
    reset_windows(db, run)
    db.runs[run.id] = run
    db.runs_of[business_id].append(run)
    return run.id
