"""The metrics of the web process, and the middleware that counts and times every request."""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import TYPE_CHECKING, Final

from aiohttp import web as http
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from dialer.shares import BusyError
from sql.errors import DatabaseUnavailableError
from web.server import keys

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from sql.installation.business_states import DeliveryState

routes = http.RouteTableDef()

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN_ROUTE: Final = "unknown"
# Deliveries that ended this long ago are counted; so long a count is good for all who ask.
ENDED_SECONDS: Final = 300.0
SHARED_SECONDS: Final = 10.0
# Seconds; a cancel should be answered within 10 ms, one with `wait` within 8 s.
BUCKETS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The counters of one web process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("web_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry)
        self.seconds = Histogram("web_request_seconds", "Time to the answer.", ["route"], registry=self.registry, buckets=BUCKETS)
        # Looking a child up by its labels takes longer than counting: the children are few, and kept.
        self._request_counts: dict[tuple[str, str, str], Counter] = {}
        self._request_times: dict[str, Histogram] = {}
        self.callbacks = Counter("web_callbacks", "Callbacks of the provider, by what they did.", ["verdict"], registry=self.registry)
        self.commands = Counter("web_commands", "Commands, by type and answer.", ["type", "answer"], registry=self.registry)
        self.listeners = Gauge("web_event_listeners", "Browsers and programs listening to a run.", registry=self.registry)
        self.resets = Counter("web_event_resets", "Times a listener was sent the whole state.", registry=self.registry)
        self.sign_ins = Counter("web_sign_ins", "Sign-ins by outcome.", ["outcome"], registry=self.registry)
        self.deliveries = Gauge("webhook_deliveries", "Deliveries that ended in the last 5 minutes.", ["result"], registry=self.registry)
        self.deliveries_waiting = Gauge("webhook_deliveries_waiting", "Deliveries that are not over.", registry=self.registry)
        self.oldest_delivery = Gauge("webhook_oldest_delivery_seconds", "Age of the oldest waiting delivery.", registry=self.registry)
        self.failing_webhooks = Gauge("webhook_failing", "Webhooks whose last try has failed.", registry=self.registry)

    def count(self, method: str, route: str, status: str) -> None:
        """Count an answered request."""
        labels = method, route, status
        child = self._request_counts.get(labels)
        if child is None:
            child = self._request_counts[labels] = self.requests.labels(*labels)
        child.inc()

    def time(self, route: str, seconds: float) -> None:
        """Note how long the answer to a request took."""
        child = self._request_times.get(route)
        if child is None:
            child = self._request_times[route] = self.seconds.labels(route)
        child.observe(seconds)

    def show_deliveries(self, state: DeliveryState | None) -> None:
        """Show how deliveries to webhooks stand; None: nobody knows."""
        gauges = (
            self.deliveries.labels("delivered"),
            self.deliveries.labels("failed"),
            self.deliveries_waiting,
            self.oldest_delivery,
            self.failing_webhooks,
        )
        known = astuple(state) if state else (math.nan,) * len(gauges)
        for gauge, value in zip(gauges, known, strict=True):
            gauge.set(value)


@http.middleware
async def measure(request: http.Request, handler: Handler) -> http.StreamResponse:
    """Count each request, and time all but event streams."""
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
            metrics.time(route, clock.boot() - began)
        return response
    finally:
        metrics.count(method, route, status)


@routes.get("/metrics")
async def export(request: http.Request) -> http.Response:
    """The metrics in Prometheus's text format; those of the database are left open while it is unavailable."""
    known = request.app[keys.METRICS]
    try:
        known.show_deliveries(await request.app[keys.DELIVERY_STATE].recent(SHARED_SECONDS))
    except (DatabaseUnavailableError, BusyError):
        known.show_deliveries(None)
    return http.Response(body=generate_latest(known.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _route(request: http.Request) -> str:
    """The route's pattern, never the path, which contains ids and references."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else UNKNOWN_ROUTE
