"""Says why a lead was not called, or is not called yet: from the refusals of the claim, and from what holds at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dialer.model import RunStatus
from sql.reports.reports import Refusal
from web.operations.reports.waits_for import business_report, of_business
from web.server import keys
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web as http

    from sql.reports.reports import BusinessReport, JobReport

WAIT, SKIP = "wait", "skip"
# Whole runs wait for these; a lead of such a run is told so too.
OF_BUSINESS: Final = ("stopped", "register_too_old", "account")
# By rule and verdict.
SENTENCES: Final = {
    ("do_not_call", SKIP): msgid("This number is on the do-not-call list of the business. It is not called."),
    ("register", SKIP): msgid("This number is in an official do-not-call register. It is not called."),
    ("country", SKIP): msgid("This business does not call numbers of this country."),
    ("hours", SKIP): msgid("There is no time at which the calling hours allow a call to this person, so it is not made."),
    ("hours", WAIT): msgid("It is outside the calling hours where this person is. The call is made when they begin."),
    ("gap", SKIP): msgid("This number was called recently, and the campaign skips people who were. It is not called."),
    ("gap", WAIT): msgid("This number was called recently. It is called again when enough time has passed."),
    ("daily_cap", WAIT): msgid("This number has been called as often as is allowed in one day. It is called again on another day."),
    ("budget", WAIT): msgid("The budget of the campaign is used up. This person is called when it is raised and the campaign resumed."),
    ("retry", WAIT): msgid("This person was called before. The next try is made after a pause."),
    ("number_in_use", WAIT): msgid("Another call to this number is in progress. This one is made when that one has ended."),
    ("paused", WAIT): msgid("The campaign is paused. This person is called when it is resumed."),
    ("pending", WAIT): msgid("The campaign has not started yet."),
}
UNKNOWN: Final = {
    WAIT: msgid("A rule of calling does not allow this call now. It is made later."),
    SKIP: msgid("A rule of calling does not allow this call. It is not made."),
}
# What dialer.retries says of a lead that waits, as a rule; those that are not here are told by their refusals.
RULE_OF_RETRY: Final = {"retry": "retry", "same_phone": "number_in_use"}


@dataclass(frozen=True, slots=True)
class Reason:
    """One entry of `why`: a refusal, and `text`, its sentence if it is not that of the rule."""

    refusal: Refusal
    text: Text | None = None

    @property
    def sentence(self) -> Text:
        """What a user reads."""
        rule, verdict = self.refusal.rule, self.refusal.verdict
        return self.text or Text(SENTENCES.get((rule, verdict)) or UNKNOWN[SKIP if verdict == SKIP else WAIT])


async def why(request: http.Request, business_id: int, run_id: int, job_id: int) -> list[Reason]:
    """The rules that kept this lead from being called, the oldest first, and those that do now.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    reports = request.app[keys.REPORTS]
    stored = await reports.refusals(business_id, run_id, job_id)
    job = await reports.of_job(business_id, run_id, job_id)
    if job is None:
        return [Reason(refusal) for refusal in stored]
    business = await business_report(request, business_id)
    now = [*_of_business(business), *(Reason(refusal) for refusal in _of_job(job))]
    told = {reason.refusal.rule for reason in now}
    return [*(Reason(refusal) for refusal in stored if refusal.rule not in told), *now]


def _of_business(business: BusinessReport) -> Iterator[Reason]:
    for wait in of_business(business):
        if wait.reason in OF_BUSINESS:
            rule = "register" if wait.reason == "register_too_old" else str(wait.reason)
            yield Reason(Refusal(wait.since or business.now, rule, WAIT, None), wait.sentence)


def _of_job(job: JobReport) -> Iterator[Refusal]:
    """What a queued lead waits for besides the rules that the claim has stored."""
    changed_at = job.run_changed_at or job.now
    if job.run_status == RunStatus.PAUSED:
        yield Refusal(changed_at, "budget" if job.is_spent else "paused", WAIT, None)
    elif job.run_status == RunStatus.PENDING:
        yield Refusal(changed_at, "pending", WAIT, None)
    if job.is_closed:
        yield Refusal(job.now, "hours", WAIT, job.opens_at)
    rule = RULE_OF_RETRY.get(job.due_reason or "")
    if rule and job.due_at and job.due_at > job.now:
        yield Refusal(job.now, rule, WAIT, job.due_at)
