"""What web process and worker both measure: the event loop, the connections to PostgreSQL, the facts they record, the process itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dialer.watch.loop_watch import LoopWatch

# Seconds. A connection is free at once, or the pool is too small; 10 s is when waiting ends with an error.
WAIT_BUCKETS: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10)
NO_OUTCOME: Final = "none"

# The library would add to each counter a second series with the time at which it was made.
disable_created_metrics()  # type: ignore[no-untyped-call]


class ProcessMetrics:
    """The metrics of one process; a label has few values, all known in advance."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.pool_waits = Histogram(
            "pool_wait_seconds", "Time until a connection to PostgreSQL was free.", registry=self.registry, buckets=WAIT_BUCKETS
        )
        self.pool_refusals = Counter(
            "pool_refusals", "Requests refused since the connections of their business were in use.", registry=self.registry
        )
        self._connections = Gauge("pool_connections", "Connections to PostgreSQL.", ["state"], registry=self.registry)
        self.facts = Counter("facts_recorded", "Facts about calls, by what recording them did.", ["verdict"], registry=self.registry)
        self.attempts = Counter("attempts_changed", "Attempts that entered a state.", ["state", "outcome"], registry=self.registry)

    def show(self, name: str, says: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value is computed when it is asked for, perhaps from another thread."""
        Gauge(name, says, registry=self.registry).set_function(value)

    def show_loop(self, watch: LoopWatch) -> None:
        """Show the event loop that `watch` measures."""
        self.show("loop_lag_seconds", "The longest the event loop stood still in the last minute.", lambda: watch.worst_seconds)

    def show_connections(self, count: Callable[[], tuple[int, int, int]]) -> None:
        """Show the connections of a pool: `count` returns how many are in use, how many are open and idle, and the most there may be."""
        for place, state in enumerate(("in_use", "idle", "most")):
            self._connections.labels(state).set_function(lambda place=place: count()[place])  # type: ignore[misc]

    def count_fact(self, verdict: str, state: str, outcome: str | None, *, applied: bool) -> None:
        """Count a fact, and when it was `applied` the new state of its attempt."""
        self.facts.labels(verdict).inc()
        if applied:
            self.attempts.labels(state, outcome or NO_OUTCOME).inc()

    def export(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)


def begin(counter: Counter, values: Iterable[str]) -> None:
    """Show 0 for each value of a counter's one label: no rate can be taken of a series that begins with its first event."""
    for value in values:
        counter.labels(value)
