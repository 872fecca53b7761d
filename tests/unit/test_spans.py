"""Which spans there are: the ids that all processes compute, the calls of a run that are traced, and what a caller sends."""

from __future__ import annotations

import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dialer.clock import SeededIds
from dialer.concurrency.loop import UnavailableError
from dialer.config import Settings
from dialer.tracing.opening import NOT_INSTALLED, OTHER_PROTOCOL, obstacle, open_spans
from dialer.tracing.span_sender import SpanIds, SpanSender
from dialer.tracing.spans import Span, SpanContext, Spans, call_span_id, is_sampled, parse_traceparent, run_span_id, trace_id
from ringmaster.doctor.examination import _settings
from ringmaster.doctor.finding import Status
from tests.chaos.polling import until
from tests.log_lines import logged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.sdk.trace import ReadableSpan

COLLECTOR = "http://127.0.0.1:4318"
HOME = "https://dialer.example.com"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = SpanContext(int(TRACE, 16), int(SPAN, 16), sampled=True)
LEADS = 3_000
# An interpreter for which the packages are not there.
BARE = """
import os, sys
sys.modules["opentelemetry"] = None
import web.__main__, actors.__main__
from dialer.config import Settings
from dialer.tracing.opening import obstacle
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:4318"
print([name for name in sys.modules if name.startswith(("opentelemetry.", "dialer.tracing"))], obstacle(Settings()))
"""


class Installation:
    """The leads of its runs; while `away`, nobody can tell."""

    def __init__(self) -> None:
        self.away = 0
        self.reads = 0

    async def leads_of(self, business_id: int, run_id: int) -> int | None:
        self.reads += 1
        if self.away:
            self.away -= 1
            raise UnavailableError
        return None if business_id == 2 else LEADS if run_id == 1 else 3


@asynccontextmanager
async def sending(calls: int = 100, installation: Installation | None = None) -> AsyncIterator[tuple[SpanSender, InMemorySpanExporter]]:
    """A sender whose spans are in memory at the end of the block."""
    ids, exporter = SpanIds(SeededIds(1).span_id), InMemorySpanExporter()
    provider = TracerProvider(id_generator=ids, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with SpanSender((provider, ids), HOME, calls, (installation or Installation()).leads_of) as sender:
        yield sender, exporter


def call(run_id: int, job_id: int, name: str = "call", business_id: int = 1) -> Span:
    attempt = 10 * job_id
    own = call_span_id(business_id, attempt) if name == "call" else 0
    return Span(name, business_id, run_id, NOW, NOW, job_id=job_id, attempt_id=attempt, span_id=own)


def jobs(spans: tuple[ReadableSpan, ...], run_id: int) -> set[object]:
    return {span.attributes["job_id"] for span in spans if span.attributes and span.attributes["run_id"] == run_id}


@pytest.mark.parametrize(
    ("text", "caller"),
    [
        (f"00-{TRACE}-{SPAN}-01", CALLER),
        (f"00-{TRACE}-{SPAN}-00", SpanContext(CALLER.trace_id, CALLER.span_id, sampled=False)),
        (f"cc-{TRACE}-{SPAN}-09-what-the-future-adds", CALLER),
        *((text, None) for text in (None, "", "x", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01")),
        *((text, None) for text in (f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE}-{SPAN}", f"00-{TRACE}-{SPAN}-01\n", "0" * 10_000)),
    ],
)
def test_what_a_caller_sends_is_read_as_the_standard_says(text: str | None, caller: SpanContext | None) -> None:
    assert parse_traceparent(text) == caller


def test_ids_are_those_of_one_installation_one_business_and_one_run() -> None:
    ids = {trace_id(home, business, run) for home in (HOME, COLLECTOR) for business in (1, 2, 11) for run in (1, 2, 11)}
    assert len(ids) == 18
    assert len({run_span_id(1, 2), run_span_id(2, 1), call_span_id(1, 2), call_span_id(2, 1)}) == 4


async def test_a_small_run_is_traced_whole_and_of_a_large_one_the_same_calls_everywhere() -> None:
    seen = []
    for _ in range(2):
        async with sending() as (sender, exporter):
            for job_id in range(1, LEADS + 1):
                sender.add(call(1, job_id))
                sender.add(call(1, job_id, "claim"))
            for job_id in (1, 2, 3):
                sender.add(call(2, job_id))
        spans = exporter.get_finished_spans()
        assert jobs(spans, 2) == {1, 2, 3}
        # All or nothing of a call.
        assert {(span.name, span.attributes["job_id"]) for span in spans if span.attributes and span.attributes["run_id"] == 1} == {
            (name, job_id) for name in ("call", "claim") for job_id in jobs(spans, 1)
        }
        seen.append(jobs(spans, 1))
    assert seen[0] == seen[1] == {job_id for job_id in range(1, LEADS + 1) if is_sampled(job_id, LEADS, 100)}
    assert 70 <= len(seen[0]) <= 130


async def test_without_calls_the_run_itself_is_traced() -> None:
    async with sending(calls=0) as (sender, exporter):
        sender.add(call(2, 1))
        sender.add(Span("run.start", 1, 2, NOW, NOW, span_id=run_span_id(1, 2), parent_id=0))
    [span] = exporter.get_finished_spans()
    assert (span.name, span.parent, span.context.trace_id, span.context.span_id) == (
        "run.start",
        None,
        trace_id(HOME, 1, 2),
        run_span_id(1, 2),
    )


@pytest.mark.parametrize(("sampler", "count"), [("always_off", 0), ("traceidratio", 0), ("parentbased_always_on", 2)])
async def test_the_sampler_of_the_environment_decides_for_a_run_and_all_its_calls(
    sampler: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    async with sending() as (sender, exporter):
        sender.add(Span("run.start", 1, 2, NOW, NOW, span_id=run_span_id(1, 2), parent_id=0))
        sender.add(call(2, 1))
    assert len(exporter.get_finished_spans()) == count


async def test_the_trace_of_a_caller_goes_on_with_a_link_to_the_run() -> None:
    async with sending() as (sender, exporter):
        sender.add(Span("POST", 1, 2, NOW, NOW, span_id=7, caller=CALLER))
        sender.add(Span("POST", 1, 2, NOW, NOW, span_id=8, caller=SpanContext(CALLER.trace_id, CALLER.span_id, sampled=False)))
    [span] = exporter.get_finished_spans()
    assert span.parent
    assert (span.context.trace_id, span.context.span_id, span.parent.span_id) == (CALLER.trace_id, 7, CALLER.span_id)
    assert [(link.context.trace_id, link.context.span_id) for link in span.links] == [(trace_id(HOME, 1, 2), run_span_id(1, 2))]


async def test_spans_wait_while_the_database_is_away_and_runs_that_are_gone_are_traced() -> None:
    installation = Installation()
    installation.away = 1
    async with sending(installation=installation) as (sender, exporter):
        sender.add(call(2, 1))
        sender.add(call(2, 2))
        sender.add(call(9, 3, business_id=2))

        async def asked() -> bool:
            return not installation.away

        await until(asked, 30, "the size of the run was asked for")
    assert [span.attributes["job_id"] for span in exporter.get_finished_spans() if span.attributes] == [1, 2, 3]
    # Once in vain, once for each run.
    assert installation.reads == 3


def test_a_collector_that_cannot_be_used_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert obstacle(Settings()) == ""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", COLLECTOR)
    assert obstacle(Settings()) == ""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert obstacle(Settings()) == OTHER_PROTOCOL
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
    assert obstacle(Settings()) == ""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    assert obstacle(Settings()) == NOT_INSTALLED
    assert "requirements-otel.txt" in NOT_INSTALLED
    assert [(one.status, one.detail) for one in _settings(())] == [(Status.WARN, NOT_INSTALLED)]
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    assert obstacle(Settings()) == ""


async def test_without_the_packages_there_is_a_warning_and_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", COLLECTOR)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    with logged() as log:
        async with open_spans(Settings(), "web", Installation().leads_of, SeededIds(1).span_id) as spans:
            assert type(spans) is Spans
            assert not spans.enabled
            assert spans.trace_of(1, 1) is None
            spans.add(call(1, 1))
    assert NOT_INSTALLED in log.getvalue()


def test_where_nothing_of_opentelemetry_is_installed_both_processes_start_and_say_so() -> None:
    shown = subprocess.run((sys.executable, "-c", BARE), capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == f"['dialer.tracing', 'dialer.tracing.spans', 'dialer.tracing.opening'] {NOT_INSTALLED}"
