"""What Prometheus reads of this process, in a registry of its own.

On the road of a call: beside it; nothing here decides anything.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Seconds; a cancel is to be answered within 10 ms, one with `wait` within 8 s.
BUCKETS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The counters of one web process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("web_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry)
        self.seconds = Histogram("web_request_seconds", "Time to the answer.", ["route"], registry=self.registry, buckets=BUCKETS)
        self.callbacks = Counter("web_callbacks", "Callbacks of the provider, by what they did.", ["verdict"], registry=self.registry)
        self.commands = Counter("web_commands", "Commands, by type and answer.", ["type", "answer"], registry=self.registry)
        self.listeners = Gauge("web_event_listeners", "Browsers and programs listening to a run.", registry=self.registry)
        self.resets = Counter("web_event_resets", "Times a listener was sent the whole state.", registry=self.registry)
        self.sign_ins = Counter("web_sign_ins", "Sign-ins by outcome.", ["outcome"], registry=self.registry)
