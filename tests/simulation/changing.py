"""What is done to a run after it was loaded, in memory: sql/commands/start_due_v1.sql, change_settings_v1.sql and more_leads_v1.sql."""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING, Any

from tests.simulation import checking, commanding
from tests.simulation.loaders import append_leads
from tests.simulation.rows import ENDED, START

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dialer.messages import Command
    from sql.runs.new_lead import NewLead
    from tests.simulation.rows import Database, Run

# As columns of a run; the others are kept among its settings.
COLUMNS = ("concurrency", "priority", "schedule_at")


def epoch_second(seconds: float) -> int:
    """A time of the database's clock as the id of a scheduled start has it."""
    return floor(START.timestamp() + seconds)


def start_due(db: Database, command: Command, at: int) -> dict[str, Any]:
    """Start a pending run whose time has come and is still the one that was read."""
    run = db.runs.get(command.run_id)
    if run is None or run.business_id != command.business_id:
        return {"accepted": False, "code": "not_found"}
    if run.status != "pending" or not (_is_due(db, run, at) or "put_off_is_ignored" in db.faults):
        return {"accepted": False, "code": "invalid_state"}
    return commanding.command(db, command)


def _is_due(db: Database, run: Run, at: int) -> bool:
    return run.schedule_at is not None and epoch_second(run.schedule_at) == at and run.schedule_at <= db.clock()


def change_run(db: Database, run_id: int, changes: Mapping[str, Any]) -> str:
    """Change columns and settings of a run; a code, empty on success."""
    run = db.runs[run_id]
    unscheduled = run.status != "pending" or db.is_being_filled(run_id)
    if run.status in ENDED or run.cancel_requested or ("schedule_at" in changes and unscheduled):
        return "invalid_state"
    for name in COLUMNS:
        if name in changes:
            setattr(run, name, changes[name])
    settings = {name: value for name, value in changes.items() if name not in COLUMNS}
    run.settings = run.settings | settings
    if "calling_hours" in settings and "own_windows_outlive_the_rules" not in db.faults:
        checking.reset_windows(db, run)
    db.touched.add(run_id)
    return ""


def add_leads(db: Database, run_id: int, leads: Sequence[NewLead]) -> int | None:
    """Add those of these leads that the run does not have, and say how many; None: it has ended, or is being filled."""
    run = db.runs[run_id]
    if run.status in ENDED or run.cancel_requested or db.is_being_filled(run_id):
        return None
    ids, phones = {job.lead_id for job in run.jobs}, {job.phone for job in run.jobs}
    compared = "added_leads_are_not_compared" not in db.faults
    new = [lead for lead in leads if not (compared and (lead.lead_id in ids or lead.phone in phones))]
    append_leads(db, run, new)
    if "added_leads_are_not_counted" in db.faults:
        run.queued -= len(new)
    db.touched.add(run_id)
    return len(new)
