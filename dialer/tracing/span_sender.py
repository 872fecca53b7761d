"""Sends spans to an OpenTelemetry collector by OTLP over HTTP; the one place that uses OpenTelemetry's packages.

Its own variables hold: OTEL_EXPORTER_OTLP_*, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and _ARG, OTEL_BSP_*. What
cannot be sent is dropped: dialling never waits for the collector.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import OrderedDict, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, Status, StatusCode, TraceFlags

from dialer.concurrency.loop import Loop, UnavailableError
from dialer.tracing.spans import Spans, call_span_id, is_sampled, run_span_id, trace_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime
    from types import TracebackType

    from opentelemetry.sdk.trace import ReadableSpan

    from dialer.tracing.spans import Span, SpanContext

# Spans that wait here for the number of leads of their run; the queue behind them, to the collector, has its own bound.
MAX_WAITING: Final = 10_000
# Many spans make one round.
REST_SECONDS: Final = 0.2
RETRY_SECONDS: Final = 1.0
SPANS_PER_TURN: Final = 50
# Leads may be added to a run: its size is read again after this. All processes shall sample the same calls.
SIZE_SECONDS: Final = 60.0
MAX_KNOWN_RUNS: Final = 1_000
# A stop waits so long for the collector.
FLUSH_SECONDS: Final = 3.0
NAMES: Final = ("business_id", "run_id", "job_id", "attempt_id")

log = logging.getLogger(__name__)


class SpanIds(IdGenerator):
    """Gives the next span the ids that were computed for it."""

    def __init__(self, drawn: Callable[[], int]) -> None:
        """`drawn` draws the id of a span that has none."""
        self._drawn = drawn
        self.trace_id = self.span_id = 0

    def generate_trace_id(self) -> int:
        """The trace of the next span, which has no parent."""
        return self.trace_id

    def generate_span_id(self) -> int:
        """The id of the next span."""
        return self.span_id or self._drawn()


class ExportReporter(SpanExporter):
    """Exports, and says in the log when that begins to fail, and when it works again."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Use `exporter`."""
        self._exporter = exporter
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them; called in a thread of its own."""
        result = self._exporter.export(spans)
        if self._failing is not (failing := result is not SpanExportResult.SUCCESS):
            self._failing = failing
            if failing:
                log.warning("the collector of OTEL_EXPORTER_OTLP_ENDPOINT takes no spans; traces have gaps until it does")
            else:
                log.info("the collector of OTEL_EXPORTER_OTLP_ENDPOINT takes spans again")
        return result

    def shutdown(self) -> None:
        """Give up the export in progress."""
        self._exporter.shutdown()


def new_provider(process: str, instance: str, drawn: Callable[[], int]) -> tuple[TracerProvider, SpanIds]:
    """OpenTelemetry's sampler, queue and exporter, as its variables say, and the source of its ids."""
    # Both say so for each batch or span that is lost; ExportReporter says it once.
    for name in ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    ids = SpanIds(drawn)
    ours = {"service.name": f"ringmaster-{process}", "service.instance.id": f"{process} {instance}"}
    # Those of the environment win.
    resource = Resource.create({**ours, **OTELResourceDetector().detect().attributes})
    provider = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(ExportReporter(OTLPSpanExporter())))
    return provider, ids


class SpanSender(Spans):
    """Samples spans by call, and hands them to OpenTelemetry; use with `async with`."""

    enabled = True

    def __init__(
        self,
        provider: tuple[TracerProvider, SpanIds],
        installation: str,
        calls: int,
        leads_of: Callable[[int, int], Awaitable[int | None]],
    ) -> None:
        """Trace about `calls` calls of each run; for the others see `open_spans` and `spans.trace_id`."""
        self._provider, self._ids = provider
        self._tracer = self._provider.get_tracer("ringmaster")
        self._installation = installation
        self._calls = calls
        self._leads_of = leads_of
        # The leads of each run, and until when that holds (loop's clock).
        self._sizes: OrderedDict[tuple[int, int], tuple[int, float]] = OrderedDict()
        self._waiting: deque[Span] = deque()
        pause = lambda: 0.0 if self._waiting else None  # noqa: E731 - what waits since PostgreSQL was away needs no bell
        self._loop = Loop("traces", self._round, pause=pause, rest_seconds=REST_SECONDS, retry_seconds=RETRY_SECONDS)
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """Start sending."""
        await self._tasks.__aenter__()
        self._tasks.create_task(self._loop.run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Send what is left, for some seconds at most."""
        self._loop.close()
        await self._tasks.__aexit__(None, None, None)
        with suppress(TimeoutError, UnavailableError):
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._round()
                await _in_thread(self._provider.shutdown)

    def add(self, span: Span) -> None:
        """Record a span, unless too many wait."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(span)
            self._loop.ring()

    def trace_of(self, business_id: int, run_id: int) -> str | None:
        """The id of a run's trace, as collectors write it."""
        return trace.format_trace_id(trace_id(self._installation, business_id, run_id))

    async def _round(self) -> None:
        try:
            await self._send_waiting()
        except UnavailableError:
            raise
        except Exception:
            # Whatever it is, nothing else may suffer from it.
            log.exception("dropped %d spans", len(self._waiting))
            self._waiting.clear()

    async def _send_waiting(self) -> None:
        sent = 0
        while self._waiting:
            # Taken only when it is known whether it is traced: PostgreSQL may be away.
            wanted = await self._is_wanted(self._waiting[0])
            span = self._waiting.popleft()
            if wanted:
                self._send(span)
                sent += 1
                if sent % SPANS_PER_TURN == 0:
                    await asyncio.sleep(0)

    async def _is_wanted(self, span: Span) -> bool:
        return span.job_id is None or is_sampled(span.job_id, await self._size(span.business_id, span.run_id), self._calls)

    async def _size(self, business_id: int, run_id: int) -> int:
        run, now = (business_id, run_id), asyncio.get_running_loop().time()
        leads, until = self._sizes.get(run, (0, 0.0))
        if until < now:
            try:
                leads = await self._leads_of(*run) or 0
            except TimeoutError as error:
                # No connection was free.
                raise UnavailableError(str(error)) from error
            self._sizes[run] = leads, now + SIZE_SECONDS
            self._sizes.move_to_end(run)
            if len(self._sizes) > MAX_KNOWN_RUNS:
                self._sizes.popitem(last=False)
        return leads

    def _send(self, span: Span) -> None:
        links = [Link(_context(span.link))] if span.link else []
        run = self._run(span)
        if span.caller:
            parent, links = _context(span.caller), [*links, Link(run)]
        else:
            parent = self._parent(span, run)
        self._ids.trace_id, self._ids.span_id = run.trace_id, span.span_id
        started = self._tracer.start_span(
            span.name,
            # An empty context has no parent.
            trace.set_span_in_context(NonRecordingSpan(parent), Context()) if parent.span_id else Context(),
            SpanKind[span.kind.name],
            {**span.attributes, **{name: value for name in NAMES if (value := getattr(span, name)) is not None}},
            links,
            start_time=_nanoseconds(span.began),
        )
        if span.error:
            started.set_status(Status(StatusCode.ERROR, span.error))
        started.end(_nanoseconds(span.ended))

    def _run(self, span: Span) -> trace.SpanContext:
        number = trace_id(self._installation, span.business_id, span.run_id)
        # As the sampler decides of a span without a parent: all processes decide the same of one trace.
        decision = self._provider.sampler.should_sample(Context(), number, span.name).decision
        sampled = decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        return trace.SpanContext(number, run_span_id(span.business_id, span.run_id), is_remote=True, trace_flags=flags)

    @staticmethod
    def _parent(span: Span, run: trace.SpanContext) -> trace.SpanContext:
        number = span.parent_id
        if number is None:
            own = call_span_id(span.business_id, span.attempt_id) if span.attempt_id else run.span_id
            # The span of a call is below that of its run.
            number = run.span_id if own == span.span_id else own
        return trace.SpanContext(run.trace_id, number, is_remote=True, trace_flags=run.trace_flags)


def _context(one: SpanContext) -> trace.SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if one.sampled else TraceFlags.DEFAULT)
    return trace.SpanContext(one.trace_id, one.span_id, is_remote=True, trace_flags=flags)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1_000


async def _in_thread(work: Callable[[], None]) -> None:
    """Do this work in a thread that no exit waits for: a collector may hang."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def do() -> None:
        work()
        # Nobody waits any more when the loop is closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=do, name="flush of traces", daemon=True).start()
    await done.wait()
