"""Stopping and resuming all dialling of a business, and the summary of its day, over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from aiohttp import web as http
from pydantic import Field

from dialer.model import Role
from sql.stored_text import storable
from web.access.auth import require_principal
from web.api.replies import canonical_json
from web.api.serializers import moment
from web.operations.dialling import MAX_REASON_CHARACTERS, change_dialling
from web.operations.reports.business_summary import business_summary
from web.server import errors
from web.server.error_responses import said
from web.server.errors import Text
from web.server.i18n import msgid
from web.server.inputs import Input, body_of

if TYPE_CHECKING:
    from sql.dialling.dialling import DiallingState

routes = http.RouteTableDef()


class Stop(Input):
    """Why dialling is stopped or resumed."""

    reason: Annotated[str, Field(max_length=MAX_REASON_CHARACTERS)] | None = None


@routes.post("/api/stop-dialling")
async def stop(request: http.Request) -> http.Response:
    """Take no lead of the business any more; runs keep their state."""
    return await _change(request, stop=True)


@routes.post("/api/resume-dialling")
async def resume(request: http.Request) -> http.Response:
    """Take leads again."""
    return await _change(request, stop=False)


@routes.get("/api/outbound/summary")
async def summary(request: http.Request) -> http.Response:
    """Show how the business stands: its lines, its runs, the calls of today, and what needs somebody's attention."""
    found = await business_summary(request, require_principal(request))
    alarms = [{"code": alarm.reason, "since": moment(alarm.since), "detail": said(request, alarm.sentence)} for alarm in found.alarms]
    lines = {"max": found.lines.max, "in_use": found.lines.in_use, "free": max(found.lines.max - found.lines.in_use, 0)}
    today = {"calls": found.calls, "outcomes": found.outcomes}
    return http.json_response({"lines": lines, "running": found.lines.running, "today": today, "alarms": alarms})


async def _change(request: http.Request, *, stop: bool) -> http.Response:
    require_principal(request, Role.OPERATOR)
    reason = (await body_of(request, Stop)).reason
    if reason is not None and not storable(reason):
        raise errors.wrong_field(name="reason", why=Text(msgid("must be text")))
    state: DiallingState = await change_dialling(request, stop=stop, reason=reason)
    return canonical_json(asdict(state))
