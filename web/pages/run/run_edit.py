"""Changes a run: its name, its lines, its turn among others, when it starts; and puts it into the archive."""

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
from web.pages.settings.problems import problems_of
from web.server.errors import ApiError
from web.server.i18n import msgid
from web.server.inputs import check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web as http

    from sql.businesses.businesses import Business
    from sql.runs.runs import Run

SAVED: Final = msgid("Saved.")
ARCHIVED: Final = msgid("The campaign is in the archive.")
RESTORED: Final = msgid("The campaign is out of the archive.")
# Buttons of the form that change one thing alone.
ARCHIVE: Final = {"1": (True, ARCHIVED), "0": (False, RESTORED)}


async def form(request: http.Request) -> http.Response:
    """The form."""
    principal = require_principal(request, Role.OPERATOR)
    run, business = await requested_run(request, principal), await own_business(request, principal)
    return await _shown(request, run, business, _values(run, business), {})


async def change(request: http.Request) -> http.Response:
    """Change the run, and show it; with something wrong the form comes back as it was filled in."""
    principal = require_principal(request, Role.OPERATOR)
    run, business = await requested_run(request, principal), await own_business(request, principal)
    values = dict(await forms.read(request))
    page = f"/runs/{run.run_id}"
    if (archived := values.get("archived")) in ARCHIVE:
        await change_run(request, principal, RunChange(archived=ARCHIVE[archived][0]))
        return notices.redirect(request, page, ARCHIVE[archived][1])
    try:
        await change_run(request, principal, check(RunChange, _wanted(values, run, business)))
    except ApiError as error:
        return await _shown(request, run, business, {**_values(run, business), **values}, problems_of(request, error))
    return notices.redirect(request, page, SAVED)


async def _shown(
    request: http.Request, run: Run, business: Business, values: Mapping[str, Any], problems: Mapping[str, str]
) -> http.Response:
    status = 422 if problems else 200
    return await frame.render(request, "run_edit.html", status=status, run=run, business=business, values=values, problems=problems)


def _values(run: Run, business: Business) -> dict[str, Any]:
    local = run.schedule_at.astimezone(time_zone(business.timezone)) if run.schedule_at else None
    return {
        "name": run.name or "",
        "concurrency": run.concurrency,
        "priority": run.priority,
        "schedule_at": local.strftime("%Y-%m-%dT%H:%M") if local else "",
    }


def _wanted(values: Mapping[str, str], run: Run, business: Business) -> dict[str, Any]:
    """The fields of RunChange; a moment is in the zone of the business, and only a run that has not started has one."""
    wanted: dict[str, Any] = {"name": values.get("name", "").strip() or None}
    wanted |= {
        name: int(text) if text.lstrip("-").isdecimal() else text for name in ("concurrency", "priority") if (text := values.get(name))
    }
    if run.status is RunStatus.PENDING:
        wanted["schedule_at"] = _moment(values.get("schedule_at", ""), business)
    return wanted


def _moment(text: str, business: Business) -> str | None:
    """What a field for date and time sends, as ISO 8601 with its offset."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=time_zone(business.timezone)).isoformat() if text else None
    except ValueError:
        return text
