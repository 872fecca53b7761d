"""Is this process alive, and can it do its work.

Ready means that the database answers and its schema is the one of this code. Redis away, or one that refuses writes, is reported and
does not make it unready: cancel, stop, callbacks and pages work without it, and taking every web process out of the balancer would take
them away too.

On the road of a call: not on it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web as http

from sql.errors import DatabaseUnavailableError
from sql.migrate import report_of
from web.server import keys

routes = http.RouteTableDef()

READY_SECONDS: Final = 3.0


@routes.get("/healthz")
async def alive(_: http.Request) -> http.Response:
    """This process answers."""
    return http.json_response({"status": "ok"})


@routes.get("/readyz")
async def ready(request: http.Request) -> http.Response:
    """What this process needs, and whether it has it: 200 when it can serve, else 503."""
    database, redis = await asyncio.gather(_database(request), _redis(request))
    serving = database == "ok"
    state = "ok" if serving and redis == "ok" else "degraded" if serving else "unavailable"
    body: dict[str, Any] = {"status": state, "database": database, "redis": redis}
    return http.json_response(body, status=200 if serving else 503)


async def _redis(request: http.Request) -> str:
    streams = request.app[keys.STREAMS]
    if await streams.ping():
        return "ok"
    return "refuses writes" if await streams.answers() else "away"


async def _database(request: http.Request) -> str:
    try:
        async with asyncio.timeout(READY_SECONDS):
            found = await report_of(request.app[keys.POOL])
    except DatabaseUnavailableError:
        return "away"
    return "ok" if found.up_to_date else "migrations pending"
