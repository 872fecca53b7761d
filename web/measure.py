"""Counts and times every request, and shows the counters.

On the road of a call: around every request; nothing here decides anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web as http
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from web import keys

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

routes = http.RouteTableDef()

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN_ROUTE: Final = "unknown"


@http.middleware
async def measure(request: http.Request, handler: Handler) -> http.StreamResponse:
    """Count each request, and time those that end by themselves."""
    metrics = request.app[keys.METRICS]
    clock = request.app[keys.CLOCK]
    began = clock.boot()
    route = _route(request)
    method = request.method if request.method in METHODS else "other"
    status = "gone"
    try:
        response = await handler(request)
        status = str(response.status)
        if response.content_type != "text/event-stream":
            metrics.seconds.labels(route).observe(clock.boot() - began)
        return response
    finally:
        metrics.requests.labels(method, route, status).inc()


@routes.get("/metrics")
async def show(request: http.Request) -> http.Response:
    """The counters in Prometheus's text format."""
    return http.Response(body=generate_latest(request.app[keys.METRICS].registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _route(request: http.Request) -> str:
    """The route's pattern, never the path: that holds ids and references."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else UNKNOWN_ROUTE
