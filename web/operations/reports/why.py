"""Says why a lead was not called, is not called yet, or is in doubt: from the refusals of the claim, and from what applies now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dialer.model import RunStatus
from sql.reports.reports import Refusal
from web.operations.explanations.outcome_labels import OUTCOME_LABELS
from web.operations.explanations.pause_explanation import explain_pause, is_of_money
from web.operations.explanations.principal_labels import name_of
from web.operations.reports.waits_for import WaitReason, business_report, of_business, waits_for
from web.server import keys
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import datetime

    from aiohttp import web as http

    from sql.reports.reports import BusinessReport, JobReport

WAIT, SKIP = "wait", "skip"
# Whole runs wait for these; they are shown for each lead too.
OF_BUSINESS: Final = ("stopped", "register_too_old", "account")
# By rule and verdict.
SENTENCES: Final = {
    ("do_not_call", SKIP): msgid("This number is on the do-not-call list of the business. It will not be called."),
    ("register", SKIP): msgid("This number is in an official do-not-call register. It will not be called."),
    ("country", SKIP): msgid(
        "This business does not call numbers in this country. This one will not be called. An administrator can allow the country in the "
        "settings of the business."
    ),
    ("number", SKIP): msgid(
        "Twilio has refused this number in an earlier campaign, so no other campaign calls it for 90 days. To try once more, call the "
        "leads of that campaign again."
    ),
    ("hours", SKIP): msgid("The calling hours never allow a call to this person. Change the calling hours, and load the lead again."),
    ("hours", WAIT): msgid("It is outside calling hours where this person is. The call will be made when calling hours begin."),
    ("gap", SKIP): msgid(
        "This number was called recently, and this campaign skips numbers that were called recently. It will not be called."
    ),
    ("gap", WAIT): msgid("This number was called recently. It will be called when enough time has passed."),
    ("daily_cap", WAIT): msgid("This number has already been called as often as is allowed in one day. It will be called on another day."),
    ("budget", WAIT): msgid(
        "The budget of the campaign is used up. This person will be called after it is raised and the campaign is resumed."
    ),
    ("retry", WAIT): msgid("This person was called before. We will try again later."),
    ("number_in_use", WAIT): msgid("Another call to this number is in progress. This one will be made when that one has ended."),
    ("paused", WAIT): msgid("The campaign is paused. This person will be called after it is resumed."),
    ("pending", WAIT): msgid("The campaign has not started yet. This person will be called after it is started."),
}
RETRIED: Final = msgid("The last call ended as: {outcome}. We call again at the time shown.")
IN_DOUBT: Final = msgid("The provider has not confirmed this call yet. We find out by asking it.")
MISSING: Final = msgid("The provider does not know this call. If you know how it ended, say so (resolve); otherwise it is closed as lost.")
CANCELLED: Final = msgid("Cancelled by {who}.")
CANCELLED_WITH_RUN: Final = msgid("Cancelled by {who} with the campaign.")
# Of a run that paused itself: why stands behind it.
PAUSED_ITSELF: Final = msgid("This person will be called after the campaign is resumed.")
# Why no hours are open for a lead: its zone key has no zone, or several.
NO_ZONE: Final = msgid(
    "The time zone of this person is not known, so calling hours cannot be kept. To call this number, load the lead again with its time "
    "zone."
)
MANY_ZONES: Final = msgid(
    "This number may be answered in several time zones, such as a toll-free number, and calling hours are never open in all of them at "
    "once. To call it, load the lead again with its time zone."
)
SCHEDULED: Final = msgid("The campaign has not started yet. It starts by itself at its scheduled time.")
# The sentence for a wait that is over.
PAST: Final = {
    "gap": msgid("The call was put off because this number had been called recently."),
    "daily_cap": msgid("The call was put off to another day: the number had been called as often as is allowed in one day."),
}
PAST_UNKNOWN: Final = msgid("The call was put off by a calling rule.")
UNKNOWN: Final = {
    WAIT: msgid("A calling rule does not allow this call now. It will be made later."),
    SKIP: msgid("A calling rule does not allow this call. It will not be made."),
}
# Reasons of waits_for that a lead shows as a rule; the others have the same name.
RULE_OF_WAIT: Final = {WaitReason.CLOSED: "hours", WaitReason.RECENTLY_CALLED: "gap"}
# The rule for a reason in dialer.retries; other reasons have their own refusals.
RULE_OF_RETRY: Final = {"retry": "retry", "same_phone": "number_in_use"}


@dataclass(frozen=True, slots=True)
class Reason:
    """One entry of `why`: a refusal, and `text`, its sentence if it is not the usual one."""

    refusal: Refusal
    text: Text | None = None

    @property
    def sentence(self) -> Text:
        """What a user reads."""
        rule, verdict = self.refusal.rule, self.refusal.verdict
        if (rule, verdict) == ("hours", SKIP) and self.refusal.zone and not self.text:
            return Text(_never_open(self.refusal.zone))
        return self.text or Text(SENTENCES.get((rule, verdict)) or UNKNOWN[SKIP if verdict == SKIP else WAIT])


def _never_open(zone: str) -> str:
    """Why the calling hours are never open in the zones of a zone key: a sentence."""
    _, _, zones = zone.partition(":")
    if not zones:
        return NO_ZONE
    return MANY_ZONES if "," in zones else SENTENCES["hours", SKIP]


async def why(request: http.Request, business_id: int, run_id: int, job_id: int) -> list[Reason]:
    """The rules that kept this lead from being called, the oldest first, and those that do now.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    reports = request.app[keys.REPORTS]
    stored = await reports.refusals(business_id, run_id, job_id)
    job = await reports.of_job(business_id, run_id, job_id)
    if job is None:
        past = [_stored(refusal, None) for refusal in stored]
        return [*past, *[reason async for reason in _of_call(request, business_id, run_id, job_id)]]
    now = [*_of_business(await business_report(request.app, business_id)), *_of_job(job)]
    if not now and job.run_status == RunStatus.RUNNING and all(_is_over(refusal, job.now) for refusal in stored):
        now = await _of_run(request, business_id, run_id, job.now)
    shown = {reason.refusal.rule for reason in now}
    return [*(_stored(refusal, job.now) for refusal in stored if refusal.rule not in shown), *now]


def _stored(refusal: Refusal, now: datetime | None) -> Reason:
    """A refusal of the claim, read at `now`, or None when its lead no longer waits: a wait that is over is shown as past."""
    text = Text(PAST.get(refusal.rule, PAST_UNKNOWN)) if _is_over(refusal, now) and refusal.verdict == WAIT else None
    return Reason(refusal, text)


def _is_over(refusal: Refusal, now: datetime | None) -> bool:
    """True when this refusal of the claim keeps its lead no more, at `now`, or None when the lead waits no more."""
    return now is None or (refusal.until is not None and refusal.until <= now)


async def _of_call(request: http.Request, business_id: int, run_id: int, job_id: int) -> AsyncIterator[Reason]:
    """What is not known of the call of a lead, and who cancelled one."""
    reports = request.app[keys.REPORTS]
    if doubt := await reports.call_in_doubt(business_id, run_id, job_id):
        text = Text(MISSING if doubt.is_missing else IN_DOUBT)
        yield Reason(Refusal(doubt.at, WaitReason.UNCONFIRMED_CALLS, WAIT, None), text)
    elif cancelled := await reports.cancelled(business_id, run_id, job_id):
        who = await name_of(request, business_id, cancelled.requested_by)
        text = Text(CANCELLED_WITH_RUN if cancelled.with_run else CANCELLED, {"who": who})
        yield Reason(Refusal(cancelled.at, "cancelled", SKIP, None), text)


def _of_business(business: BusinessReport) -> Iterator[Reason]:
    for wait in of_business(business):
        if wait.reason in OF_BUSINESS:
            rule = "register" if wait.reason == "register_too_old" else str(wait.reason)
            yield Reason(Refusal(wait.since or business.now, rule, WAIT, None), wait.sentence)


async def _of_run(request: http.Request, business_id: int, run_id: int, now: datetime) -> list[Reason]:
    """What stops all leads of the run: lines in use, no worker, a provider that cannot be reached."""
    run = await request.app[keys.RUNS].get(business_id, run_id)
    waits = await waits_for(request.app, run) if run else []
    rules = ((wait, RULE_OF_WAIT.get(wait.reason, str(wait.reason))) for wait in waits)
    return [Reason(Refusal(wait.since or now, rule, WAIT, wait.until), wait.sentence) for wait, rule in rules]


def _of_job(job: JobReport) -> Iterator[Reason]:
    """What a queued lead waits for besides the rules that the claim has stored."""
    changed_at = job.run_changed_at or job.now
    explanation = explain_pause(job.last_error, job.last_error_cause, to_other_leads=True)
    if job.run_status == RunStatus.PAUSED and job.is_spent:
        yield Reason(Refusal(changed_at, "budget", WAIT, None), explanation if is_of_money(job.last_error_cause) else None)
    elif job.run_status == RunStatus.PAUSED:
        text = Text(PAUSED_ITSELF, then=(explanation,)) if explanation else None
        yield Reason(Refusal(changed_at, "paused", WAIT, None), text)
    elif job.run_status == RunStatus.PENDING:
        yield Reason(Refusal(changed_at, "pending", WAIT, job.schedule_at), Text(SCHEDULED) if job.schedule_at else None)
    if job.is_closed:
        yield Reason(Refusal(job.now, "hours", WAIT if job.opens_at else SKIP, job.opens_at, zone=job.zone))
    rule = RULE_OF_RETRY.get(job.due_reason or "")
    if rule and job.due_at and job.due_at > job.now:
        # The end of the other call is not known: the stored time is only the next try.
        is_retry = rule == "retry"
        yield Reason(Refusal(job.now, rule, WAIT, job.due_at if is_retry else None), _of_last_call(job.outcome) if is_retry else None)


def _of_last_call(outcome: str | None) -> Text | None:
    label = OUTCOME_LABELS.get(outcome or "")
    return Text(RETRIED, {"outcome": Text(label)}) if label else None
