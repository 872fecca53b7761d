"""The audit log of a business over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from aiohttp import web as http
from pydantic import Field

from dialer.messages import JOB_ID_MAX, SERIAL_MAX
from dialer.model import Role
from sql.audit.audit import AuditFilter
from sql.stored_text import storable
from web.access.auth import require_principal
from web.api.pagination import DEFAULT_PAGE, MAX_PAGE, page_response
from web.api.serializers import moment
from web.operations.access.audit import list_entries, start_of_previous_entries
from web.operations.explanations.principal_labels import names_of
from web.operations.settings.run_fields import Moment
from web.server import errors
from web.server.error_responses import translated
from web.server.errors import Text
from web.server.i18n import msgid
from web.server.inputs import Input, query_of

if TYPE_CHECKING:
    from sql.audit.audit import AuditEntry

routes = http.RouteTableDef()

MAX_NAME: Final = 255


class AuditQuery(Input):
    """Which entries: by an actor, of the actions in a comma list, about a run, from a time on, before a time."""

    actor: Annotated[str, Field(max_length=MAX_NAME)] | None = None
    action: Annotated[str, Field(max_length=MAX_NAME)] | None = None
    run_id: Annotated[int, Field(ge=1, le=SERIAL_MAX)] | None = None
    since: Moment = None
    until: Moment = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Annotated[int, Field(ge=1, le=JOB_ID_MAX)] | None = None

    @property
    def wanted(self) -> AuditFilter:
        """As the log is asked for them."""
        return AuditFilter(self.actor, self.action.split(",") if self.action else None, self.run_id, self.since, self.until)


@routes.get("/api/audit")
async def index(request: http.Request) -> http.Response:
    """List what was done, by whom and from where, the newest first."""
    principal = require_principal(request, Role.ADMIN)
    query = query_of(request, AuditQuery)
    for name in ("actor", "action"):
        if not storable(getattr(query, name) or ""):
            raise errors.wrong_field(name=name, why=Text(msgid("must be text")))
    found, more = await list_entries(request, principal, query.wanted, before=query.cursor, limit=query.limit)
    previous = await start_of_previous_entries(request, principal, query.wanted, before=query.cursor, limit=query.limit)
    names = await names_of(request, principal.business_id, {entry.actor for entry in found})
    items = [{**_entry_json(entry), "actor_name": translated(request, names[entry.actor])} for entry in found]
    return page_response(items, following=found[-1].audit_id if more else None, previous=previous)


def _entry_json(entry: AuditEntry) -> dict[str, Any]:
    return {
        "audit_id": entry.audit_id,
        "at": moment(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "address": entry.address,
        "run_id": entry.run_id,
        "job_id": entry.job_id,
        "detail": entry.detail,
    }
