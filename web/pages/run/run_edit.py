"""Changes a run: its name, lines, turn among others, start, calling hours, retries and budget; and puts it into the archive."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from dialer.model import Role, RunStatus
from dialer.policy.time_zones import time_zone
from web.access.auth import require_principal
from web.operations.runs import requested_run
from web.operations.settings.business import own_business
from web.operations.settings.run_changes import RunChange, change_run
from web.pages import forms, frame, notices
from web.pages.settings import hours_form, rules_form
from web.pages.settings.business_form import number
from web.pages.settings.problems import problems_of
from web.server import keys
from web.server.error_responses import said
from web.server.errors import ApiError
from web.server.i18n import msgid
from web.server.inputs import check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from sql.runs.runs import Run
    from web.pages.forms import Form

SAVED: Final = msgid("Saved.")
ARCHIVED: Final = msgid("The campaign is in the archive.")
RESTORED: Final = msgid("The campaign is out of the archive.")
# Buttons of the form that change one thing alone.
ARCHIVE: Final = {"1": (True, ARCHIVED), "0": (False, RESTORED)}
# What the run has instead of what its business has; the API has no way back to the business.
OWN: Final = "own"
HOURS, RETRIES = "calling_hours", "retries"
BUDGET: Final = ("calls", "amount", "currency")
FORBIDDEN: Final = 403


async def form(request: http.Request) -> http.Response:
    """The form."""
    principal = require_principal(request, Role.OPERATOR)
    run, business = await requested_run(request, principal), await own_business(request, principal)
    return await _shown(request, run, business, _values(run, business), {}, 200)


async def change(request: http.Request) -> http.Response:
    """Change the run, and show it; with something wrong the form comes back as it was filled in."""
    principal = require_principal(request, Role.OPERATOR)
    run, business = await requested_run(request, principal), await own_business(request, principal)
    values = dict(await forms.read(request))
    page = f"/runs/{run.run_id}"
    if (archived := values.get("archived")) in ARCHIVE:
        await change_run(request, principal, RunChange(archived=ARCHIVE[archived][0]))
        return notices.redirect(request, page, ARCHIVE[archived][1])
    wanted = _wanted(values, run, business)
    try:
        await change_run(request, principal, check(RunChange, wanted))
    except ApiError as error:
        filled = {**_values(run, business), **dict.fromkeys(hours_form.BOXES, ""), **values}
        return await _shown(request, run, business, filled, _problems(request, error, wanted), error.status)
    return notices.redirect(request, page, SAVED)


def _problems(request: http.Request, error: ApiError, wanted: Mapping[str, Any]) -> dict[str, str]:
    """The sentences by field; that only an admin may loosen the hours of the business stands beside the hours."""
    if error.status == FORBIDDEN and HOURS in wanted:
        return {HOURS: said(request, error.text)}
    return problems_of(request, error, place=_place)


def _place(path: Sequence[str]) -> str:
    if path[0] == HOURS:
        return hours_form.place(path)
    if path[0] == RETRIES:
        return rules_form.place(path)
    return "_".join(path) if path[0] == "budget" else path[0]


async def _shown(
    request: http.Request, run: Run, business: Business, values: Mapping[str, Any], problems: Mapping[str, str], status: int
) -> http.Response:
    currencies = dict.fromkeys([*await request.app[keys.PRICES].currencies(), *filter(None, [values["budget_currency"]])])
    return await frame.render(
        request,
        "run_edit.html",
        status=status,
        run=run,
        business=business,
        values=values,
        problems=problems,
        currencies=list(currencies),
        business_hours=hours_form.summary(request, business.calling_hours),
    )


def _values(run: Run, business: Business) -> dict[str, Any]:
    """The fields as they are shown; hours and retries that the run does not have are those of the business, to begin with."""
    local = run.schedule_at.astimezone(time_zone(business.timezone)) if run.schedule_at else None
    budget = run.settings.get("budget") or {}
    return {
        "name": run.name or "",
        "concurrency": run.concurrency,
        "priority": run.priority,
        "schedule_at": local.strftime("%Y-%m-%dT%H:%M") if local else "",
        **{name: OWN if name in run.settings else "business" for name in (HOURS, RETRIES)},
        **hours_form.values_of(run.settings.get(HOURS, business.calling_hours)),
        **rules_form.values_of_retries(run.settings.get(RETRIES, business.retries)),
        **{f"budget_{name}": budget.get(name) or "" for name in BUDGET},
    }


def _wanted(values: Form, run: Run, business: Business) -> dict[str, Any]:
    """The fields of RunChange; a moment is in the zone of the business, and only a run that has not started has one.

    Hours, retries and a budget that stay as they were shown are left out: what an admin has loosened is no wish of who changes the name.
    """
    wanted: dict[str, Any] = {"name": values.get("name", "").strip() or None}
    wanted |= {name: value for name in ("concurrency", "priority") if (value := number(values.get(name, ""))) is not None}
    if run.status is RunStatus.PENDING:
        wanted["schedule_at"] = _moment(values.get("schedule_at", ""), business)
    shown = {name: "1" if value is True else str(value or "") for name, value in _values(run, business).items()}
    kept = _rules(shown)
    return wanted | {name: rule for name, rule in _rules(values).items() if name not in kept or rule != kept[name]}


def _rules(form: Form) -> dict[str, Any]:
    """What a form says about hours, retries and budget of the run itself."""
    rules: dict[str, Any] = {}
    if form.get(HOURS) == OWN:
        rules |= hours_form.changes(form)
    if form.get(RETRIES) == OWN:
        rules[RETRIES] = rules_form.retries_of(form)
    if "budget_calls" in form:
        calls, amount = number(form["budget_calls"]), form.get("budget_amount", "").strip()
        budget = {"calls": calls, "amount": amount or None, "currency": form.get("budget_currency") or None if amount else None}
        rules["budget"] = {name: value for name, value in budget.items() if value is not None} or None
    return rules


def _moment(text: str, business: Business) -> str | None:
    """What a field for date and time sends, as ISO 8601 with its offset."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=time_zone(business.timezone)).isoformat() if text else None
    except ValueError:
        return text
