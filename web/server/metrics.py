"""The metrics of the web process, and the middleware that counts and times every request.

Those of the whole installation are read from PostgreSQL, at most every 10 s however many ask.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import astuple
from typing import TYPE_CHECKING, Final

from aiohttp import web as http
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram

from dialer.shares import BusyError
from dialer.watch.loop_watch import LoopWatch
from dialer.watch.metrics_port import MetricsPort
from dialer.watch.process_metrics import ProcessMetrics, begin
from sql.attempts.verdicts import RecordVerdict
from sql.errors import NOT_MIGRATED, DatabaseUnavailableError
from web.server import keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp.typedefs import Handler

    from sql.installation.business_states import DeliveryState, Installation, InstallationMetrics

routes = http.RouteTableDef()

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN_ROUTE: Final = "unknown"
# Deliveries that ended this long ago are counted; so long a count is good for all who ask.
ENDED_SECONDS: Final = 300.0
SHARED_SECONDS: Final = 10.0
# A running run whose worker has said nothing for so long is driven by none.
UNDRIVEN_SECONDS: Final = 30.0
# A scrape is given up after 10 s: it must be answered before that when PostgreSQL hangs, or the event loop.
READ_SECONDS: Final = 5.0
LOOP_SECONDS: Final = 6.0
INSTALLATION: Final = {
    "workers": "Workers with a lease.",
    "partitions_unowned": "Partitions of 256 whose businesses no worker drives.",
    "slots_in_use": "Calls in progress, of all businesses.",
    "slots_most": "Calls in progress that all businesses may have.",
    "runs_running": "Running runs.",
    "runs_undriven": "Running runs with leads to call that no worker has driven for 30 s.",
    "unknown_calls": "Calls of which it is unknown whether they exist; each holds a slot.",
    "unknown_oldest_seconds": "Since the oldest of them could have been placed.",
    "excess_calls": "Calls beyond a limit that are not over.",
    "command_oldest_seconds": "Age of the oldest command that is not decided.",
    "outbox_oldest_seconds": "Age of the oldest event that is not published.",
    "outbox_events": "Events that are not published, counted up to 10,000.",
    "transaction_oldest_seconds": "Age of the oldest transaction in the database.",
    "row_locks_oldest_seconds": "Age of the oldest transaction that keeps rows of calls locked.",
    "stopped": "1: the dialling of all businesses is stopped.",
}
# A load balancer asks every few seconds: its 503 is an answer, and no error that a user sees.
READINESS: Final = "/readyz"
# Seconds; a cancel should be answered within 10 ms, one with `wait` within 8 s.
BUCKETS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics(ProcessMetrics):
    """The counters of one web process."""

    def __init__(self) -> None:
        super().__init__()
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

        self._failures = Counter("web_failures", "Requests answered with a 5xx.", registry=self.registry)
        begin(self.callbacks, (*RecordVerdict, "kept", "unsigned", "stranger", "unreadable"))
        self._installation = {name: Gauge(f"dialer_{name}", says, registry=self.registry) for name, says in INSTALLATION.items()}
        self._stalled = Gauge("dialer_businesses_stalled", "Businesses without a new call, by reason.", ["reason"], registry=self.registry)
        self._refused = Gauge(
            "dialer_leads_refused", "Leads that a rule kept back in the last 5 minutes.", ["rule"], registry=self.registry
        )
        self._database = Gauge("dialer_database_available", "1: PostgreSQL answers this process.", registry=self.registry)
        self._redis = Gauge("dialer_redis_available", "1: Redis accepts writes of this process.", registry=self.registry)

    def count(self, method: str, route: str, status: str) -> None:
        """Count an answered request."""
        labels = method, route, status
        child = self._request_counts.get(labels)
        if child is None:
            child = self._request_counts[labels] = self.requests.labels(*labels)
        child.inc()
        if status.startswith("5") and route != READINESS:
            self._failures.inc()

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

    def show_figures(self, figures: InstallationMetrics | None, *, redis: bool) -> None:
        """Show the figures of the installation, None: nobody knows; and whether Redis accepts writes."""
        self._database.set(figures is not None)
        self._redis.set(redis)
        for name, gauge in self._installation.items():
            gauge.set(getattr(figures, name) if figures else math.nan)
        for labelled, found in ((self._stalled, figures.stalled if figures else {}), (self._refused, figures.refused if figures else {})):
            labelled.clear()
            for label, count in found.items():
                labelled.labels(label).set(count)


@http.middleware
async def measure(request: http.Request, handler: Handler) -> http.StreamResponse:
    """Count each request, and time all but event streams."""
    metrics = request.app[keys.METRICS]
    clock = request.app[keys.CLOCK]
    began = clock.boot()
    route = route_of(request)
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
    await _refresh(request.app)
    return http.Response(body=request.app[keys.METRICS].export(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def figures_of(installation: Installation) -> Callable[[], Awaitable[InstallationMetrics]]:
    """A function that reads the figures of the whole installation."""
    return lambda: installation.figures(undriven_seconds=UNDRIVEN_SECONDS, refused_seconds=ENDED_SECONDS)


async def _refresh(app: http.Application) -> None:
    """Show how the installation stands."""
    metrics, redis = app[keys.METRICS], await app[keys.STREAMS].can_write()
    try:
        async with asyncio.timeout(READ_SECONDS):
            deliveries = await app[keys.DELIVERY_STATE].recent(SHARED_SECONDS)
            figures = await app[keys.FIGURES].recent(SHARED_SECONDS)
    except (DatabaseUnavailableError, BusyError, TimeoutError, *NOT_MIGRATED):
        metrics.show_deliveries(None)
        metrics.show_figures(None, redis=redis)
    else:
        metrics.show_deliveries(deliveries)
        metrics.show_figures(figures, redis=redis)


async def watch(app: http.Application) -> AsyncIterator[None]:
    """Measure the event loop, and serve the metrics on a port of their own if the settings name one."""
    settings, metrics, loop = app[keys.SETTINGS], app[keys.METRICS], asyncio.get_running_loop()

    def fresh() -> bytes:
        # Called in a thread. While the loop stands still, the figures of before are shown, and that it stands still.
        refreshed = asyncio.run_coroutine_threadsafe(_refresh(app), loop)
        with suppress(TimeoutError):
            refreshed.result(LOOP_SECONDS)
        return metrics.export()

    async with LoopWatch(app[keys.CLOCK]) as watched:
        metrics.show_loop(watched)
        async with MetricsPort(settings.host, settings.metrics_port, export=fresh, trouble=lambda: watched.trouble):
            yield


def route_of(request: http.Request) -> str:
    """The route's pattern, never the path, which contains ids and references."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else UNKNOWN_ROUTE
