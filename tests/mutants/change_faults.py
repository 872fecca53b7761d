"""Deliberate faults in what is done to runs while they go on, and in the calendar of the calling hours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dialer.policy.calling_hours
import dialer.policy.windows
from actors.duties.operation_runner import OperationRunner
from actors.duties.scheduled_runs import RunStarter
from dialer.policy.calling_hours import CallingHours
from tests.mutants.fault import Fault
from tests.simulation import recording

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dialer.policy.windows import Stretch

_outcome = recording.job_outcome


async def _never(_: object) -> None:
    """A duty that does nothing."""


def _the_first(left: Iterable[Stretch], _: Iterable[Stretch]) -> Iterable[Stretch]:
    return left


def _people_are_machines(outcome: str | None, answered_by: str | None) -> str:
    return _outcome(outcome, "machine_start" if answered_by == "human" else answered_by)


CHANGE_FAULTS = (
    Fault("put_off_is_ignored", "a run that was put off after it was read as due is started"),
    Fault("nobody_starts_runs", "no worker starts runs at their time", ((RunStarter, "_start_due", _never),)),
    Fault("own_windows_outlive_the_rules", "new hours of a run leave the windows that were computed by the old ones"),
    Fault("own_hours_are_ignored", "the hours of the business hold for a run with its own"),
    Fault("added_leads_are_not_counted", "leads that are added to a run are not counted as queued"),
    Fault("added_leads_are_not_compared", "leads that a run has already are added once more"),
    Fault("chunk_without_its_count", "the leads of an operation change in another transaction than its count"),
    Fault("calls_are_cancelled_in_bulk", "a bulk cancel takes leads that are being called"),
    Fault("live_leads_are_called_again", "a lead that is still to be called is copied into the run that calls again"),
    Fault("bulk_refuses_nobody", "the do-not-call list does not get the numbers of an operation"),
    Fault("nobody_carries_out", "no worker carries out operations", ((OperationRunner, "_run", _never),)),
    Fault("holidays_are_ignored", "a holiday is a day like any other", ((dialer.policy.calling_hours, "is_holiday", lambda *_: False),)),
    Fault("dates_are_ignored", "the hours of a date are not looked at", ((CallingHours, "listed", property(lambda _: {})),)),
    Fault("one_zone_is_enough", "a lead of several zones is called where one is open", ((dialer.policy.windows, "_common", _the_first),)),
    Fault("people_are_machines", "a person who has answered is called again", ((recording, "job_outcome", _people_are_machines),)),
    Fault(
        "put_off_is_ignored_in_sql", "a run is started by a time that it does not have any more",
        sql=("start_due_v1", "AND floor(extract(epoch FROM run.schedule_at))::bigint = p_at", ""),
    ),
    Fault(
        "started_early_in_sql", "a run is started before its time",
        sql=("start_due_v1", "AND run.schedule_at <= clock_timestamp() AT TIME ZONE 'UTC' THEN", "THEN"),
    ),
    Fault(
        "own_windows_kept_in_sql", "new hours of a run leave its windows",
        sql=("change_settings_v1", "IF p_changes -> 'settings' ? 'calling_hours' THEN", "IF FALSE THEN"),
    ),
    Fault(
        "scheduled_after_the_start_in_sql", "a run that was started is given a time to start at",
        sql=("change_settings_v1", "AND (run.status <> 'pending' OR", "AND (FALSE OR"),
    ),
    Fault(
        "added_to_what_is_filled_in_sql", "leads are added to a run while an operation still copies leads into it",
        sql=("more_leads_v1", "\n        OR dialer.is_being_filled(p_business_id, p_run_id) THEN", " THEN"),
    ),
    Fault(
        "new_zone_stays_closed_in_sql", "a zone that is added to a run without hours waits for a window",
        sql=("windows_v1", "CASE WHEN w.always THEN '-infinity' ELSE s.opens_at END", "s.opens_at"),
    ),
    Fault(
        "skipped_leads_again_in_sql", "an operation goes on at the leads that it has done, without those it has skipped",
        sql=("operation_v1", "first := operation.done + operation.skipped + 1;", "first := operation.done + 1;"),
    ),
    Fault(
        "calls_cancelled_in_sql", "a bulk cancel takes leads that are not queued",
        sql=("operation_v1", "AND j.status = 'queued'\n        ORDER BY j.id", "\n        ORDER BY j.id"),
    ),
    Fault(
        "filled_though_started_in_sql", "an operation copies leads into a run that was cancelled",
        sql=("operation_v1", "ended = '{}' OR made.status IS DISTINCT FROM 'pending' OR made.cancel_requested", "ended = '{}'"),
    ),
)  # fmt: skip
