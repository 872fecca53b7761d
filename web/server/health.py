"""The checks of liveness and readiness.

Ready means that the database responds and has the schema of this version. A Redis that is unavailable or rejects writes is reported as
degraded, not as unready: cancel, stop, callbacks and pages work without it, and taking every web process out of the load balancer would
stop these as well.
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
    """200 as long as this process responds."""
    return http.json_response({"status": "ok"})


@routes.get("/readyz")
async def ready(request: http.Request) -> http.Response:
    """The state of what this process depends on: 200 when it can serve, else 503."""
    database, redis = await asyncio.gather(_database(request), _redis(request))
    serving = database == "ok"
    state = "ok" if serving and redis == "ok" else "degraded" if serving else "unavailable"
    body: dict[str, Any] = {"status": state, "database": database, "redis": redis}
    return http.json_response(body, status=200 if serving else 503)


async def _redis(request: http.Request) -> str:
    streams = request.app[keys.STREAMS]
    if await streams.ping():
        return "ok"
    if await streams.answers():
        return "refuses writes"
    return "partly away" if await streams.answers_in_part() else "away"


async def _database(request: http.Request) -> str:
    try:
        async with asyncio.timeout(READY_SECONDS):
            report = await report_of(request.app[keys.POOL])
    except DatabaseUnavailableError:
        return "away"
    return "ok" if report.up_to_date else "migrations pending"
