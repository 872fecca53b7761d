"""Opens what records spans, when the settings name a collector."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dialer.tracing.spans import Spans

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from dialer.config import Settings

NOT_INSTALLED = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is traced: the packages for it are not installed. "
    "Install them with `pip install --require-hashes -r requirements-otel.txt`, or remove the variable"
)

PROTOCOL = "http/protobuf"
OTHER_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is supported (a collector's port 4318), not %s: nothing is traced"

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_spans(
    settings: Settings, process: str, leads_of: Callable[[int, int], Awaitable[int | None]], drawn: Callable[[], int]
) -> AsyncIterator[Spans]:
    """What records the spans of this `process`, `web` or `worker`.

    `leads_of` returns how many leads a run of a business has, and may raise `UnavailableError`; `drawn` draws the id of a span.
    """
    if not settings.traces:
        yield Spans()
        return
    protocol = settings.otlp_traces_protocol or settings.otlp_protocol or PROTOCOL
    if protocol != PROTOCOL:
        log.warning(OTHER_PROTOCOL, protocol)
        yield Spans()
        return
    try:
        # Only with a collector: this imports OpenTelemetry.
        from dialer.tracing.span_sender import SpanSender, new_provider  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        if not str(missing.name).startswith(("opentelemetry", "google")):
            raise
        log.warning(NOT_INSTALLED)
        yield Spans()
        return
    provider = new_provider(process, settings.worker, drawn)
    async with SpanSender(provider, settings.public_url, settings.traced_calls, leads_of) as sender:
        log.info("traces go to the collector of OTEL_EXPORTER_OTLP_ENDPOINT")
        yield sender
