"""Runs, jobs and attempts as JSON, in the words of the contract; the API and the event streams share these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dialer.messages import CommandType
from dialer.policy.call_prices import in_decimals
from web.operations.explanations.call_explanation import explain_attempt, explain_call
from web.operations.explanations.pause_explanation import explain_pause
from web.operations.reports.waits_for import outage_since
from web.server.error_responses import said, said_in, translated
from web.server.i18n import language

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal

    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from sql.commands.commands import Answer
    from sql.do_not_call.do_not_call import Register
    from sql.jobs.jobs import Job
    from sql.runs.runs import Run
    from web.operations.reports.preflight import PreflightReport
    from web.operations.reports.run_report import RunDetail
    from web.operations.reports.waits_for import Wait
    from web.operations.reports.why import Reason
    from web.server.errors import Text
    from web.server.i18n import Language

# The columns that hold the time of each step of a call, and its name in the timeline.
MOMENTS: Final = {
    "created_at": "placing",
    "placed_at": "placed",
    "ringing_at": "ringing",
    "answered_at": "answered",
    "hang_up_at": "hang_up_requested",
    "ended_at": "ended",
}


def run_answer_json(request: http.Request, run: Run) -> dict[str, Any]:
    """A run in an answer, as `GET /api/outbound/runs/{run_id}` shows it: with its error in the reader's language."""
    return run_json_in(language(request), run)


def run_json_in(chosen: Language, run: Run) -> dict[str, Any]:
    """The same in this language."""
    explanation = explain_pause(run.last_error, run.last_error_cause)
    return {**run_json(run), "last_error": said_in(chosen, explanation) if explanation else None}


def run_json(run: Run) -> dict[str, Any]:
    """A run in an event, which has no reader of its own: with its error in English."""
    return {
        "run_id": run.run_id,
        "name": run.name,
        "status": run.status,
        "total_leads": run.total_leads,
        "queued": run.queued,
        "in_progress": run.in_progress,
        "completed": run.completed,
        "failed": run.failed,
        "cancelled": run.cancelled,
        "skipped": run.skipped,
        "cursor_position": run.cursor_position,
        "concurrency": run.concurrency,
        "can_cancel": run.can_cancel,
        "cancel_requested": run.cancel_requested,
        "cancel_requested_at": moment(run.cancel_requested_at),
        "cancel_requested_by": run.cancel_requested_by,
        "created_at": moment(run.created_at),
        "started_at": moment(run.started_at),
        "ended_at": moment(run.ended_at),
        "locked_by_worker": run.locked_by_worker,
        "lock_ts": moment(run.lock_ts),
        "last_error": run.last_error,
        "last_error_cause": run.last_error_cause,
        "spent": _money(run.amount_spent, run.spent_currency or (run.settings.get("budget") or {}).get("currency")),
        "priority": run.priority,
        "schedule_at": moment(run.schedule_at),
        "archived": run.archived_at is not None,
        "settings": run.settings,
        "effective_settings": run.effective_settings,
    }


def ended_json(kind: CommandType, run_id: int, answer: Answer) -> dict[str, Any]:
    """The answer to a cancel or a stop of a run."""
    body = {
        "success": True,
        "run_id": run_id,
        "status": answer.status,
        "in_progress": answer.in_progress,
        "already_ended": answer.already_ended,
    }
    if kind is CommandType.STOP:
        return {**body, "cancelled_jobs": answer.cancelled_jobs}
    return {**body, "cancel_requested": answer.cancel_requested}


def business_json(business: Business, registers: Sequence[Register]) -> dict[str, Any]:
    """A business, as `GET /api/business` shows it; `max_calls_limit` is what the command line allowed.

    Of an account of its own only the sid and the kind of credentials are shown.
    """
    account = {"account_sid": business.account_sid, "credentials": business.account_credentials} if business.account_sid else None
    return {
        "business_id": business.business_id,
        "name": business.name,
        "region": business.region,
        "timezone": business.timezone,
        "caller_ids": business.caller_ids,
        "max_calls": business.max_calls,
        "max_calls_limit": business.max_calls_limit,
        "calling_hours": business.calling_hours,
        "retries": business.retries,
        "min_gap_hours": business.min_gap_hours,
        "max_per_day": business.max_per_day,
        "allowed_countries": business.allowed_countries,
        "required_registers": business.required_registers,
        "registers": [{"name": one.name, "imported_at": moment(one.imported_at), "numbers": one.numbers} for one in registers],
        "retention_days": business.retention_days,
        "script": business.script,
        "inbound_script": business.inbound_script,
        "provider_account": account,
    }


def preflight_json(request: http.Request, found: PreflightReport, rows: Mapping[str, Any]) -> dict[str, Any]:
    """What would become of a run; `rows` is the report of its rows, sentences are in the reader's language."""
    return {
        "will_call": found.will_call,
        "rejected": rows["rejected"],
        "duplicates": rows["duplicates"],
        "skipped": found.skipped,
        "waiting": found.waiting,
        "recently_called": found.recently_called,
        "first_call_at": moment(found.first_call_at),
        "ends_at": moment(found.ends_at),
        "most_cost": _money(found.most_cost, found.currency),
        "warnings": [{"code": warning.code, "detail": translated(request, warning.text)} for warning in found.warnings],
    }


def job_answer_json(request: http.Request, job: Job) -> dict[str, Any]:
    """A job in an answer, as a list of jobs shows it: with its error in the reader's language."""
    return {**job_json(job), "error": said_or_none(request, explain_call(job.error_code, job.error))}


def job_json(job: Job) -> dict[str, Any]:
    """A job in an event or a file for programs: `attempts` is their number, the error is in English."""
    return {
        "job_id": job.job_id,
        "lead_id": job.lead_id,
        "phone": job.phone,
        "name": job.name,
        "status": job.status,
        "outcome": job.outcome,
        "attempts": job.attempts,
        "attempt_state": job.attempt_state,
        "twilio_call_sid": job.twilio_call_sid,
        "started_at": moment(job.started_at),
        "ended_at": moment(job.ended_at),
        "reason": job.reason,
        "error": job.error,
    }


def run_detail_json(request: http.Request, detail: RunDetail) -> dict[str, Any]:
    """What is added to a run where one is shown; sentences in the reader's language."""
    return {
        "outcomes": detail.outcomes,
        "waits_for": [_wait_json(request, wait) for wait in detail.waits],
        "provider_waited_for_since": moment(outage_since(detail.waits)),
        "ends_at": moment(detail.ends_at),
    }


def _wait_json(request: http.Request, wait: Wait) -> dict[str, Any]:
    until = {"until": moment(wait.until)} if wait.until else {}
    return {"reason": wait.reason, "since": moment(wait.since), **until, "detail": said(request, wait.sentence)}


def why_json(request: http.Request, reason: Reason) -> dict[str, Any]:
    """One rule that kept a lead from being called, with the sentence in the reader's language."""
    refusal = reason.refusal
    until = {"until": moment(refusal.until)} if refusal.until else {}
    sentence = said(request, reason.sentence)
    return {"at": moment(refusal.at), "rule": refusal.rule, "verdict": refusal.verdict, **until, "detail": sentence}


def said_or_none(request: http.Request, text: Text | None) -> str | None:
    """A sentence in the reader's language, if there is one."""
    return said(request, text) if text else None


def attempt_json(request: http.Request, attempt: Mapping[str, Any]) -> dict[str, Any]:
    """An attempt with its timeline: its steps, and each callback as it was received; explained in the reader's language."""
    timeline = [{"at": attempt[name], "event": event} for name, event in MOMENTS.items() if attempt[name] is not None]
    timeline += [_callback(callback) for callback in attempt["callbacks"]]
    timeline.sort(key=lambda entry: entry["at"])
    return {
        "attempt_id": attempt["id"],
        "state": attempt["state"],
        "twilio_call_sid": attempt["sid"],
        "outcome": attempt["outcome"],
        "answered_by": attempt["answered_by"],
        "duration_seconds": attempt["duration"],
        "error_code": attempt["error_code"],
        "reason": attempt["reason"],
        "explanation": said_or_none(request, explain_attempt(attempt)),
        "excess": attempt["excess"],
        "cost": _money(attempt["cost"], attempt["currency"]),
        "price": _money(attempt["price"], attempt["price_unit"]),
        "missing_since": moment(attempt["missing_since"]),
        "recordings": [_recording(recording) for recording in attempt["recordings"]],
        "timeline": [{**entry, "at": moment(entry["at"])} for entry in timeline],
    }


def moment(at: datetime | None) -> str | None:
    """A time as ISO 8601 with its zone."""
    return at.isoformat() if at else None


def _recording(recording: Mapping[str, Any]) -> dict[str, Any]:
    return {name: recording[name] for name in ("recording_sid", "url", "duration_seconds")}


def _callback(callback: Mapping[str, Any]) -> dict[str, Any]:
    fields = callback["fields"]
    return {
        "at": callback["received_at"],
        "event": "callback",
        "status": fields.get("CallStatus"),
        "fields": fields,
        "verdict": callback["verdict"],
        "answer": callback["answer"],
    }


def _money(amount: Decimal | None, currency: str | None) -> dict[str, str] | None:
    return None if amount is None or currency is None else {"amount": in_decimals(amount), "currency": currency}
