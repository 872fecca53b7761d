"""What is done to many leads of a run at once: those selected, or all that match the filter.

They are exported at once; anything else is asked first, and then shows its progress.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from yarl import URL

from dialer.messages import JOB_ID_MAX
from dialer.model import Role
from sql.bulk.bulk_operations import BulkType
from web.access.auth import require_principal
from web.api.export import people_rows, send_csv
from web.operations.bulk_operations import begin_operation, requested_operation
from web.operations.exports.people_table import people_table
from web.operations.runs import requested_run
from web.pages import forms, frame, notices
from web.pages.outcome_groups import GROUPS
from web.pages.run.run_leads import ALL, CHOICES, chosen_of, filter_of
from web.server import i18n, inputs, keys
from web.server.i18n import msgid, msgids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web as http

    from sql.jobs.jobs import Job, JobFilter
    from sql.runs.runs import Run
    from web.pages.run.run_leads import LeadsQuery


@dataclass(frozen=True, slots=True)
class BulkAction:
    """A button below the list of leads: its operation, its label, its question for one and for several, and what it does; msgids."""

    type: BulkType
    label: str
    question: tuple[str, str]
    effect: str


ACTIONS: Final = {
    "again": BulkAction(
        BulkType.AGAIN,
        msgid("Call again"),
        msgids("Call %(num)s person again?", "Call %(num)s people again?"),
        msgid("A new campaign is made of those whose calls have ended, with the settings of this one. Start it when you are ready."),
    ),
    "do-not-call": BulkAction(
        BulkType.DO_NOT_CALL,
        msgid("Do not call"),
        msgids("Never call %(num)s person again?", "Never call %(num)s people again?"),
        msgid("Their numbers go on the do-not-call list. No campaign of this business calls them again."),
    ),
    "cancel": BulkAction(
        BulkType.CANCEL,
        msgid("Leave out"),
        msgids("Leave out %(num)s person?", "Leave out %(num)s people?"),
        msgid("Those who have not been called yet are not called in this campaign. Calls on the line go on."),
    ),
}
NOTHING_SELECTED: Final = msgid("Select leads first, or choose all that match.")
SELECTED: Final = "job-"
EVERYONE: Final = "all"
NAMES_SHOWN: Final = 3


async def perform(request: http.Request) -> http.Response:
    """Ask, and when the question was answered, begin the operation and show its progress."""
    principal = require_principal(request, Role.OPERATOR)
    run, form = await requested_run(request, principal), await forms.read(request)
    verb, chosen = request.match_info["verb"], chosen_of(form, run)
    action, selected = ACTIONS[verb], _selected(form)
    if selected == []:
        return _nothing_selected(request, run, chosen)
    wanted = await filter_of(request, principal, chosen)
    if form.get("confirmed") == "1":
        operation_id = await begin_operation(request, action.type, run.run_id, wanted, selected)
        return forms.redirect(f"/runs/{run.run_id}/operations/{operation_id}")
    count = len(selected) if selected is not None else await request.app[keys.JOBS].count(principal.business_id, run.run_id, wanted)
    kept = {**chosen.query, **{f"{SELECTED}{job_id}": "1" for job_id in selected or ()}, "scope": form.get("scope", "")}
    first = await _first(request, run, wanted, selected)
    words = _words(chosen) if selected is None else []
    return await frame.render(
        request, "run_bulk.html", run=run, verb=verb, action=action, count=count, kept=kept, first=first, words=words, search=chosen.search
    )


async def export(request: http.Request) -> http.StreamResponse:
    """Send the leads as a CSV file for people."""
    principal = require_principal(request)
    run, form = await requested_run(request, principal), await forms.read(request)
    chosen, selected = chosen_of(form, run), _selected(form)
    if selected == []:
        return _nothing_selected(request, run, chosen)
    wanted = await filter_of(request, principal, chosen)
    async with request.app[keys.EXPORTS].hold(principal.business_id):
        table = await people_table(request, run, i18n.language(request))
        return await send_csv(request, table.name, table.headings, people_rows(request, table, run, wanted, selected), mark=True)


async def progress(request: http.Request) -> http.Response:
    """How far an operation is."""
    principal = require_principal(request)
    run = await requested_run(request, principal)
    operation = await requested_operation(request, principal, inputs.id_of(request, "operation_id", JOB_ID_MAX))
    template = "operation_state.html" if request.path.endswith("/fragment") else "operation.html"
    label = next(action.label for action in ACTIONS.values() if action.type == operation.type)
    return await frame.render(request, template, run=run, operation=operation, label=label)


async def _first(request: http.Request, run: Run, wanted: JobFilter, selected: list[int] | None) -> list[Job]:
    """The first leads that are meant, so that whoever is asked sees whom it is about."""
    jobs = request.app[keys.JOBS]
    if selected is None:
        return await jobs.page(run.business_id, run.run_id, wanted, limit=NAMES_SHOWN)
    found = [await jobs.get(run.business_id, run.run_id, job_id) for job_id in selected[:NAMES_SHOWN]]
    return [job for job in found if job is not None]


def _words(chosen: LeadsQuery) -> list[str]:
    """The choice of the list in words, as msgids; empty for all leads."""
    if chosen.outcomes:
        return [group.label for group in GROUPS if set(group.outcomes) & set(chosen.outcomes)]
    return [] if chosen.show in {"", ALL} else [CHOICES[chosen.show].label]


def _nothing_selected(request: http.Request, run: Run, chosen: LeadsQuery) -> http.Response:
    page = URL(f"/runs/{run.run_id}").with_query(chosen.query)
    return notices.redirect(request, f"{page}#leads", NOTHING_SELECTED, is_bad=True)


def _selected(form: Mapping[str, str]) -> list[int] | None:
    """The ids of the leads selected; None for all that match."""
    if form.get("scope") == EVERYONE:
        return None
    digits = (name.removeprefix(SELECTED) for name in form if name.startswith(SELECTED))
    found = (inputs.optional_id(text, JOB_ID_MAX) for text in digits)
    return [job_id for job_id in found if job_id is not None]
