"""Spans, the parts of a trace, and what records them: by default nothing.

Processes carry no ids of traces to each other: both compute them, the trace from the run, the span of a call from its attempt. This module
imports nothing of OpenTelemetry.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - likewise
from enum import StrEnum
from typing import Final

SPAN_BYTES: Final = 8
TRACE_BYTES: Final = 16
# Version 00 of W3C Trace Context; a later version may have more fields.
TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
MAX_TRACEPARENT_CHARACTERS: Final = 200
SAMPLED: Final = 0x01

Attributes = Mapping[str, str | int]


class SpanKind(StrEnum):
    """What a span stands for; the words of OpenTelemetry."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    CONSUMER = "consumer"


@dataclass(frozen=True, slots=True)
class SpanContext:
    """A span of another program, as it names itself in `traceparent`."""

    trace_id: int
    span_id: int
    sampled: bool


@dataclass(frozen=True, slots=True)
class Span:
    """Something that is over, about a run, or about one call of it when it has an `attempt_id`.

    `span_id` 0 draws a new one. Without a `parent_id` the parent is the span of the call, or else that of the run; 0 is no parent. With a
    `caller` the span belongs to that one's trace, and links to the run. `link` is a span in a caller's trace. An `error` marks a failure.
    """

    name: str
    business_id: int
    run_id: int
    began: datetime
    ended: datetime
    kind: SpanKind = SpanKind.INTERNAL
    job_id: int | None = None
    attempt_id: int | None = None
    span_id: int = 0
    parent_id: int | None = None
    caller: SpanContext | None = None
    link: SpanContext | None = None
    error: str = ""
    attributes: Attributes = field(default_factory=dict)


class Spans:
    """Records nothing: no collector is set."""

    # Whoever has a span asks first, so that without a collector nothing is computed.
    enabled = False

    def add(self, span: Span) -> None:
        """Record a span; never waits and never fails."""

    def trace_of(self, business_id: int, run_id: int) -> str | None:  # noqa: ARG002 - those of the collector need them
        """The id of a run's trace, for the log; None when nothing is recorded."""
        return None


def trace_id(installation: str, business_id: int, run_id: int) -> int:
    """The trace of a run; `installation` is the same in all processes of one, and different in others."""
    return _digest(f"run {business_id} {run_id} of {installation}", TRACE_BYTES)


def run_span_id(business_id: int, run_id: int) -> int:
    """The span of the command that started a run: whatever happens in the run is below it."""
    return _digest(f"run {business_id} {run_id}", SPAN_BYTES)


def call_span_id(business_id: int, attempt_id: int) -> int:
    """The span of a call, from its claim to its end."""
    return _digest(f"call {business_id} {attempt_id}", SPAN_BYTES)


def is_sampled(job_id: int, leads: int, calls: int) -> bool:
    """Whether the calls of this lead are among about `calls` that are traced in a run with so many leads."""
    return _digest(f"job {job_id}", SPAN_BYTES) * leads < calls << 8 * SPAN_BYTES


def parse_traceparent(text: str | None) -> SpanContext | None:
    """The caller's span; None when there is none, or the text is malformed: then it is ignored, as the standard says."""
    found = TRACEPARENT.fullmatch(text) if text and len(text) <= MAX_TRACEPARENT_CHARACTERS else None
    if found is None:
        return None
    return SpanContext(int(found[1], 16), int(found[2], 16), bool(int(found[3], 16) & SAMPLED))


def _digest(text: str, size: int) -> int:
    # Zero is no id; one in 2**64 digests is.
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size]) or 1
