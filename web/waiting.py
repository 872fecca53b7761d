"""Says whether a run waits for the telephone company: its account's gate is shut, and opens by itself.

On the road of a call: beside 3; what a person sees of a gate.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dialer.model import RunStatus
from dialer.streams import AwayError
from web import keys

if TYPE_CHECKING:
    from aiohttp import web as http

    from sql.runs import Run


async def provider_waited_for_since(request: http.Request, run: Run) -> datetime | None:
    """Since when no call of this run is placed because the provider refuses or cannot be reached; None when it does neither.

    With Redis away nobody can tell; None then too.
    """
    if run.status is not RunStatus.RUNNING:
        return None
    business = await request.app[keys.BUSINESSES].get(run.business_id)
    default = request.app[keys.SETTINGS].twilio_account_sid
    sid = business.account_sid if business and business.account_sid else default
    try:
        shut = await request.app[keys.STREAMS].shut_gate(sid)
    except AwayError:
        return None
    return datetime.fromtimestamp(shut.since, UTC) if shut else None
