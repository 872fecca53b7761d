"""The audit log of a business: who did what, when and from where; filters live in the address."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from dialer.messages import JOB_ID_MAX
from dialer.model import Role
from dialer.policy.time_zones import time_zone
from sql.audit.audit import AuditFilter
from sql.stored_text import storable
from web.access.auth import require_principal
from web.operations.access.audit import actors_of, list_entries, start_of_previous_entries
from web.operations.explanations.principal_labels import names_of
from web.operations.runs import some_runs
from web.pages import frame
from web.pages.access.audit_labels import ACTIONS, details_of
from web.server.error_responses import translated
from web.server.i18n import sentence
from web.server.inputs import optional_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web as http

    from sql.audit.audit import AuditEntry
    from sql.runs.runs import Run

ADDRESS: Final = "/settings/audit"
ON_A_PAGE: Final = 50
FILTERS: Final = ("actor", "action", "run", "from", "to")
COMMAND_STREAM: Final = "dialer:commands"


async def page(request: http.Request) -> http.Response:
    """The newest entries, or those that the address asks for."""
    principal = require_principal(request, Role.ADMIN)
    reader = await frame.reader(request, principal)
    chosen = {name: value for name in FILTERS if (value := request.query.get(name, "").strip()) and storable(value)}
    wanted, before = _filter(chosen, reader.zone), optional_id(request.query.get("before", ""), JOB_ID_MAX)
    entries, more = await list_entries(request, principal, wanted, before=before, limit=ON_A_PAGE)
    previous = await start_of_previous_entries(request, principal, wanted, before=before, limit=ON_A_PAGE)
    names = await names_of(request, principal.business_id, {entry.actor for entry in entries})
    runs = await some_runs(request, principal, {entry.run_id for entry in entries})
    return frame.render_for(
        request,
        "access/audit.html",
        reader,
        entries=[_row(request, entry, translated(request, names[entry.actor]), runs.get(entry.run_id or 0)) for entry in entries],
        actors=translated(request, await actors_of(request, principal)),
        actions=sorted((sentence(request, label), action) for action, label in ACTIONS.items()),
        chosen=chosen,
        newer=None if previous is None else _address(chosen, previous),
        older=_address(chosen, entries[-1].audit_id) if more else None,
    )


def _row(request: http.Request, entry: AuditEntry, name: str, run: Run | None) -> dict[str, Any]:
    """What the template needs of an entry; `run` is the one that it is about, while it exists."""
    return {
        "entry": entry,
        "run": run,
        "name": name,
        "action": sentence(request, ACTIONS[entry.action]) if entry.action in ACTIONS else entry.action,
        "details": [text for text in (str(translated(request, detail)) for detail in details_of(entry)) if run is None or text != run.name],
        "by_stream": entry.address == COMMAND_STREAM,
    }


def _filter(chosen: Mapping[str, str], zone: str) -> AuditFilter:
    """The filter of the address; dates are days of the business, the last one included."""
    since, last = _day(chosen.get("from", ""), zone), _day(chosen.get("to", ""), zone, days_later=1)
    actions = [chosen["action"]] if "action" in chosen else None
    return AuditFilter(chosen.get("actor"), actions, optional_id(chosen.get("run", "")), since, last)


def _day(text: str, zone: str, *, days_later: int = 0) -> datetime | None:
    """The beginning of a day in the zone of the business; None when it is none."""
    try:
        day = date.fromisoformat(text) + timedelta(days=days_later)
    except (ValueError, OverflowError):
        return None
    return datetime.combine(day, time(), time_zone(zone))


def _address(chosen: Mapping[str, str], before: int) -> str:
    return f"{ADDRESS}?{urlencode({**chosen, 'before': before})}"
