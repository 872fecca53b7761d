"""Says why a run is not dialling: from the reason its worker recorded, from its business, and from its remaining leads.

The reasons a person can do something about come first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from dialer.model import AttemptState, RunStatus
from dialer.policy.checks import longest_seconds
from web.operations.explanations.pause_explanation import explain_pause, is_of_money
from web.operations.reports.provider_outage import provider_waited_for_since
from web.server import keys
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from aiohttp import web as http

    from sql.reports.reports import BusinessReport, RunReport
    from sql.runs.runs import Run

# A worker updates `lock_ts` of the runs it drives at least this often (contract, section 3).
DRIVEN: Final = timedelta(seconds=30)


class WaitReason(StrEnum):
    """Why a run takes no leads: the reasons listed in the contract, in the order in which they are shown."""

    STOPPED = "stopped"
    ACCOUNT = "account"
    REGISTER_TOO_OLD = "register_too_old"
    BUDGET = "budget"
    PAUSED = "paused"
    NO_WORKER = "no_worker"
    HISTORY = "history"
    BUSY = "busy"
    PARKED = "parked"
    CLOCK = "clock"
    PROVIDER_AWAY = "provider_away"
    UNCONFIRMED_CALLS = "unconfirmed_calls"
    SCHEDULED = "scheduled"
    CLOSED = "closed"
    RECENTLY_CALLED = "recently_called"
    RETRY = "retry"
    OTHER_RUN = "other_run"
    LINES_IN_USE = "lines_in_use"
    PACED = "paced"


ORDER: Final = {reason: place for place, reason in enumerate(WaitReason)}
# Recorded by the worker.
RECORDED: Final = frozenset(
    {WaitReason.ACCOUNT, WaitReason.HISTORY, WaitReason.BUSY, WaitReason.PARKED, WaitReason.CLOCK, WaitReason.PACED}
)
SENTENCES: Final = {
    WaitReason.STOPPED: msgid("All dialling of this business is stopped. Nobody is called until it is resumed."),
    WaitReason.ACCOUNT: msgid(
        "Not calling: the saved credentials of this business's provider account cannot be read. An administrator saves them again."
    ),
    WaitReason.REGISTER_TOO_OLD: msgid(
        "The do-not-call register {name} is too old: it was imported on {date}. Nobody is called until an administrator imports it again."
    ),
    WaitReason.BUDGET: msgid("The budget of this campaign is used up. Raise it, then resume the campaign."),
    WaitReason.PAUSED: msgid("Calling is paused."),
    WaitReason.NO_WORKER: msgid(
        "The calling service is not running. Tell the people who run this system. Calling resumes by itself when it is started."
    ),
    WaitReason.HISTORY: msgid(
        "The database was restored. Before the next call, earlier calls are checked against the provider's list. Calling resumes by itself."
    ),
    WaitReason.BUSY: msgid(
        "Calling waits for other work in the database and resumes by itself. If this lasts, tell the people who run this system."
    ),
    WaitReason.PARKED: msgid(
        "The next lead cannot be called because of an error. We retry every 30 seconds. If this lasts, tell the people who run this system."
    ),
    WaitReason.CLOCK: msgid("The database's clock has jumped. Calling resumes by itself after a short safety pause."),
    WaitReason.PROVIDER_AWAY: msgid("The provider cannot be reached or is rejecting calls. The leads wait, and calling resumes by itself."),
    WaitReason.UNCONFIRMED_CALLS: msgid(
        "All lines are in use, some by calls the provider has not confirmed yet. Most of these are settled within minutes."
    ),
    WaitReason.SCHEDULED: msgid("The campaign starts by itself at its scheduled time."),
    WaitReason.CLOSED: msgid("Everyone left to call is outside calling hours now. Calling resumes when they open."),
    WaitReason.RECENTLY_CALLED: msgid("The remaining people were called recently. They will be called when enough time has passed."),
    WaitReason.RETRY: msgid("The remaining people have been called before. They will be called again later."),
    WaitReason.OTHER_RUN: msgid("Other campaigns of this business are using all of its lines."),
    WaitReason.LINES_IN_USE: msgid("All lines of this business are in use."),
    WaitReason.PACED: msgid("Calls of this provider account are placed one by one, at its pace. This campaign waits for its turn."),
}
REGISTER_MISSING: Final = msgid(
    "The do-not-call register {name} has not been imported. Nobody is called until an administrator imports it."
)
STOPPED_BECAUSE: Final = msgid("All dialling of this business is stopped ({reason}). Nobody is called until it is resumed.")
STOPPED_EVERYWHERE: Final = msgid("All dialling is stopped by the people who run this system. Nobody is called until they resume it.")
STOPPED_EVERYWHERE_BECAUSE: Final = msgid(
    "All dialling is stopped by the people who run this system ({reason}). Nobody is called until they resume it."
)
NEVER_OPEN: Final = msgid("The calling hours never allow calls to the people left to call.")
# Reasons of dialer.leads_wait_v1 that a user sees as a retry.
OF_RETRY: Final = {
    "same_phone": msgid("The remaining numbers are in use by another call."),
    "put_off": msgid("The remaining leads could not be called a moment ago. We try again within a minute."),
}
NOT_COVERED: Final = msgid("What is left of the budget does not cover another call before a call in progress has ended.")
OWN_LINES_IN_USE: Final = msgid("All lines that this campaign may use are in use.")
# The page shows these elsewhere, or they are not a problem.
SHOWN_ELSEWHERE: Final = frozenset({WaitReason.PROVIDER_AWAY, WaitReason.LINES_IN_USE, WaitReason.PAUSED, WaitReason.PACED})


@dataclass(frozen=True, slots=True)
class Wait:
    """One reason: since when and until when it applies, if known, and `text`, the sentence if it is not the usual one."""

    reason: WaitReason
    since: datetime | None = None
    until: datetime | None = None
    text: Text | None = None

    @property
    def sentence(self) -> Text:
        """What a user reads."""
        return self.text or Text(SENTENCES[self.reason])


async def business_report(app: http.Application, business_id: int) -> BusinessReport:
    """Why calls of a business may have to wait.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    settings = app[keys.SETTINGS]
    limits = settings.ring_timeout_seconds, settings.call_time_limit_seconds
    return await app[keys.REPORTS].of_business(
        business_id,
        ringing_seconds=longest_seconds(AttemptState.RINGING, *limits),
        live_seconds=longest_seconds(AttemptState.LIVE, *limits),
    )


async def waits_for(app: http.Application, run: Run) -> list[Wait]:
    """The reasons why a run takes no leads now, those that a person can do something about first.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    if not may_wait(run):
        return []
    report = await app[keys.REPORTS].of_run(run.business_id, run.run_id)
    return await waits_of(app, run, report, await business_report(app, run.business_id))


def may_wait(run: Run) -> bool:
    """False for a run that has nothing left to dial, for any reason."""
    return not run.status.ended and not run.cancel_requested and (run.status is RunStatus.PAUSED or run.queued > 0)


async def waits_of(app: http.Application, run: Run, report: RunReport, business: BusinessReport) -> list[Wait]:
    """The same from reports that have been read; empty when the run takes leads, or waits only for a person to start it."""
    if not may_wait(run):
        return []
    if run.status is RunStatus.PENDING:
        waits = list(_of_schedule(report, business)) if report.schedule_at else []
    elif run.status is RunStatus.PAUSED:
        waits = [*of_stop(business), *_of_pause(run, report)]
    else:
        away_since = await provider_waited_for_since(app, run)
        waits = [*_of_running(run, business, report), *([Wait(WaitReason.PROVIDER_AWAY, away_since)] if away_since else [])]
    return sorted(waits, key=lambda wait: ORDER[wait.reason])


def outage_since(waits: Sequence[Wait]) -> datetime | None:
    """When the wait for the provider began; None when these waits do not include one."""
    return next((wait.since for wait in waits if wait.reason is WaitReason.PROVIDER_AWAY), None)


def _of_pause(run: Run, report: RunReport) -> Iterator[Wait]:
    """A used-up budget is a reason of its own; any other cause is part of the pause."""
    explanation = explain_pause(run.last_error, run.last_error_cause)
    if report.is_spent:
        yield Wait(WaitReason.BUDGET, text=explanation if is_of_money(run.last_error_cause) else None)
        explanation = None
    yield Wait(WaitReason.PAUSED, text=Text(SENTENCES[WaitReason.PAUSED], then=(explanation,)) if explanation else None)


def of_stop(business: BusinessReport) -> Iterator[Wait]:
    """The stop of the business, else of the installation."""
    if business.stopped_at is None:
        return
    plain, because = (
        (STOPPED_EVERYWHERE, STOPPED_EVERYWHERE_BECAUSE) if business.by_installation else (SENTENCES[WaitReason.STOPPED], STOPPED_BECAUSE)
    )
    text = Text(because, {"reason": business.stop_reason.strip().removesuffix(".")}) if business.stop_reason else Text(plain)
    yield Wait(WaitReason.STOPPED, business.stopped_at, text=text)


def is_driven(business: BusinessReport) -> bool:
    """False when the runs of this business cannot be called, whether or not a worker confirms them: that reason is shown already."""
    return business.stopped_at is None and business.register is None and business.reason != WaitReason.ACCOUNT


def of_business(business: BusinessReport) -> Iterator[Wait]:
    """What stops all runs of a business: a stop, a register, and the reason its worker recorded."""
    yield from of_stop(business)
    if business.register is not None:
        values = {"name": business.register, "date": business.register_imported_on}
        text = Text(SENTENCES[WaitReason.REGISTER_TOO_OLD] if business.register_imported_on else REGISTER_MISSING, values)
        yield Wait(WaitReason.REGISTER_TOO_OLD, business.register_since, text=text)
    if business.reason in RECORDED:
        yield Wait(WaitReason(business.reason), business.since)


def _of_schedule(report: RunReport, business: BusinessReport) -> Iterator[Wait]:
    yield from of_stop(business)
    yield Wait(WaitReason.SCHEDULED, until=report.schedule_at)
    if report.schedule_at and business.now - report.schedule_at > DRIVEN:
        yield Wait(WaitReason.NO_WORKER, report.schedule_at)


def _of_running(run: Run, business: BusinessReport, report: RunReport) -> Iterator[Wait]:
    yield from of_business(business)
    driven_at = run.lock_ts or run.started_at
    if is_driven(business) and driven_at and business.now - driven_at > DRIVEN:
        yield Wait(WaitReason.NO_WORKER, driven_at)
    if report.leads_wait:
        yield from _of_leads(report.leads_wait)
    elif report.lacks_money:
        yield Wait(WaitReason.BUDGET, text=Text(NOT_COVERED))
    else:
        yield from _of_lines(run, business)


def _of_leads(leads_wait: Mapping[str, datetime | None]) -> Iterator[Wait]:
    """Why no lead can be called now, each reason once."""
    for reason, until in leads_wait.items():
        if reason == WaitReason.CLOSED and until is None:
            yield Wait(WaitReason.CLOSED, text=Text(NEVER_OPEN))
        elif reason not in OF_RETRY:
            yield Wait(WaitReason(reason), until=until)
        elif WaitReason.RETRY not in leads_wait and (reason == "put_off" or "put_off" not in leads_wait):
            yield Wait(WaitReason.RETRY, until=until if reason == "put_off" else None, text=Text(OF_RETRY[reason]))


def _of_lines(run: Run, business: BusinessReport) -> Iterator[Wait]:
    """Why a lead that could be called has no line."""
    if business.is_full and business.unconfirmed_since:
        yield Wait(WaitReason.UNCONFIRMED_CALLS, business.unconfirmed_since)
    elif business.is_full:
        yield Wait(WaitReason.LINES_IN_USE if run.in_progress else WaitReason.OTHER_RUN)
    elif run.in_progress >= run.concurrency:
        yield Wait(WaitReason.LINES_IN_USE, text=Text(OWN_LINES_IN_USE))
