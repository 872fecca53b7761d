"""Calls back those whom a run did not reach: now, tonight or tomorrow, in a new run with the same settings."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from dialer.messages import MAX_NAME_CHARACTERS
from dialer.model import Role
from dialer.policy.time_zones import time_zone
from web.access.auth import require_principal
from web.operations.runs import requested_run
from web.operations.settings.business import own_business
from web.operations.settings.run_changes import AgainSettings, call_again
from web.pages import forms, notices
from web.pages.outcome_groups import UNREACHED
from web.server import errors, i18n, keys
from web.server.errors import Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from aiohttp import web as http

TONIGHT: Final = time(19)
TOMORROW: Final = time(10)
# A campaign cannot be scheduled for a moment that has nearly passed.
SOONEST: Final = timedelta(minutes=5)
STARTED: Final = msgid("The campaign has started.")
SCHEDULED: Final = msgid("The campaign starts by itself at its scheduled time.")
CALLED_AGAIN: Final = msgid("{name}, called again")
CAMPAIGN: Final = msgid("Campaign {id}")


def times_of(now: datetime, zone: str) -> dict[str, datetime | None]:
    """When people can be called back: now, tonight while that is to come, tomorrow; in the zone of the business."""
    local = now.astimezone(time_zone(zone))
    tonight = datetime.combine(local.date(), TONIGHT, local.tzinfo)
    tomorrow = datetime.combine(local.date() + timedelta(days=1), TOMORROW, local.tzinfo)
    return {"now": None, **({"tonight": tonight} if tonight - local > SOONEST else {}), "tomorrow": tomorrow}


async def call_back(request: http.Request) -> http.Response:
    """Make the new run, and show it."""
    principal = require_principal(request, Role.OPERATOR)
    run, business = await requested_run(request, principal), await own_business(request, principal)
    times = times_of(request.app[keys.CLOCK].now(), business.timezone)
    when = (await forms.read(request)).get("when", "now")
    if when not in times:
        raise errors.wrong_field(name="when", why=Text(msgid("must be one of {expected}"), {"expected": ", ".join(times)}))
    at = times[when]
    name = i18n.sentence(request, CALLED_AGAIN, name=run.name or i18n.sentence(request, CAMPAIGN, id=run.run_id))
    settings: dict[str, Any] = {key: value for key, value in run.settings.items() if key != "schedule_at"}
    outcomes = [outcome for group in UNREACHED for outcome in group.outcomes]
    settings |= {
        "name": name[:MAX_NAME_CHARACTERS],
        "concurrency": run.concurrency,
        "priority": run.priority,
        "outcomes": outcomes,
        **({"schedule_at": at.isoformat()} if at else {"start": True}),
    }
    answer = await call_again(request, principal, AgainSettings.model_validate(settings))
    return notices.redirect(request, f"/runs/{answer['run_id']}", SCHEDULED if at else STARTED)
