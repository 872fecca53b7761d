"""What was done to a run and by whom, from the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from web.operations.explanations.principal_labels import name_of
from web.operations.runs import audit_of_run
from web.pages import labels
from web.server.error_responses import translated

if TYPE_CHECKING:
    from datetime import datetime

    from aiohttp import web as http

    from web.access.auth import Principal

MAX_ENTRIES: Final = 20


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """An action on the run; `label` is a msgid, `by` the e-mail address of a person or the name of a program."""

    label: str
    at: datetime
    by: str


async def run_activity(request: http.Request, principal: Principal, run_id: int) -> list[ActivityEntry]:
    """The actions on the run itself, not on single leads, the oldest first."""
    names: dict[str, str] = {}
    activity = []
    for entry in reversed(await audit_of_run(request, principal, run_id, limit=MAX_ENTRIES)):
        if entry.action in labels.ACTION_LABELS and entry.job_id is None:
            if entry.actor not in names:
                names[entry.actor] = translated(request, await name_of(request, principal.business_id, entry.actor))
            activity.append(ActivityEntry(labels.ACTION_LABELS[entry.action], entry.at, names[entry.actor]))
    return activity
