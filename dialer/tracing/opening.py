"""Opens what records spans, when the settings name a collector."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from dialer.tracing.spans import Spans

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from dialer.config import Settings

PROTOCOL: Final = "http/protobuf"
PACKAGES: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
NOT_INSTALLED: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT: nothing is traced, since the packages for it are not installed; "
    "pip install --require-hashes -r requirements-otel.txt, or remove the variable"
)
OTHER_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_PROTOCOL: nothing is traced; it must be http/protobuf, which collectors take at port 4318"

log = logging.getLogger(__name__)


def obstacle(settings: Settings) -> str:
    """Why there are no traces although a collector is set, and what to do; "" when there are, or none are wanted.

    It keeps no process from starting: whoever sets the variable for a whole platform has not asked for calls to stop.
    """
    if not settings.traces:
        return ""
    if (settings.otlp_traces_protocol or settings.otlp_protocol or PROTOCOL) != PROTOCOL:
        return OTHER_PROTOCOL
    return "" if all(map(_is_installed, PACKAGES)) else NOT_INSTALLED


@asynccontextmanager
async def open_spans(
    settings: Settings, process: str, leads_of: Callable[[int, int], Awaitable[int | None]], drawn: Callable[[], int]
) -> AsyncIterator[Spans]:
    """What records the spans of this `process`, `web` or `worker`.

    `leads_of` returns how many leads a run of a business has, and may raise `UnavailableError`; `drawn` draws the id of a span.
    """
    if warning := obstacle(settings):
        log.warning(warning)
    if warning or not settings.traces:
        yield Spans()
        return
    # Only with a collector: this imports OpenTelemetry.
    from dialer.tracing.span_sender import SpanSender, new_provider  # noqa: PLC0415

    provider = new_provider(process, settings.worker, drawn)
    async with SpanSender(provider, settings.public_url, settings.traced_calls, leads_of) as sender:
        log.info("traces go to the collector of OTEL_EXPORTER_OTLP_ENDPOINT")
        yield sender


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        # Not even the package around it.
        return False
