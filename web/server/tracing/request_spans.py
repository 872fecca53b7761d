"""The spans of requests about runs and calls, and of what these requests did. Without a collector each of these functions does nothing.

A request is recorded once a handler has said what it is about. One that has a `traceparent` belongs to the caller's trace, and a link leads
from it to the trace of the run, and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web as http

from dialer.messages import CommandType
from dialer.tracing.spans import Attributes, Span, SpanContext, SpanKind, parse_traceparent, run_span_id
from sql.attempts.fact_spans import of_result, recorded
from sql.attempts.verdicts import RecordVerdict
from web.server import keys
from web.server.metrics import METHODS, route_of

if TYPE_CHECKING:
    from datetime import datetime

    from aiohttp.typedefs import Handler

    from sql.attempts.attempts import RecordResult

MAX_STATUS_CHARACTERS: Final = 20
SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class RequestTopic:
    """The run that a request is about, and the call if it is about one; `span_id` is the request's own."""

    business_id: int
    run_id: int
    span_id: int
    job_id: int | None = None
    attempt_id: int | None = None
    # The request has started the run: it is the root of its trace.
    starts: bool = False
    caller: SpanContext | None = None
    attributes: Attributes | None = None


TOPIC: Final[http.RequestKey[RequestTopic]] = http.RequestKey("topic")


@http.middleware
async def trace(request: http.Request, handler: Handler) -> http.StreamResponse:
    """Record the span of a request, if a handler has said what it is about."""
    began, status = request.app[keys.CLOCK].now(), SERVER_ERROR
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        if topic := request.get(TOPIC):
            request.app[keys.SPANS].add(_of_request(request, topic, status, began))


def trace_command(request: http.Request, kind: CommandType, ids: tuple[int, int], began: datetime, *, rejected: str = "") -> None:
    """The request has given a command to a run, given by business and id, since `began`; `rejected` is the code if it was not accepted."""
    spans = request.app[keys.SPANS]
    if not spans.enabled:
        return
    caller = parse_traceparent(request.headers.get("traceparent"))
    starts = kind is CommandType.START and not rejected
    topic = RequestTopic(*ids, request.app[keys.IDS].span_id(), starts=starts, caller=caller)
    request[TOPIC] = topic
    # In the caller's trace the request is no parent of ours.
    parent = (0 if starts else None) if caller else topic.span_id
    link = SpanContext(caller.trace_id, topic.span_id, caller.sampled) if caller else None
    own = run_span_id(*ids) if starts else 0
    ended = request.app[keys.CLOCK].now()
    spans.add(Span(kind, *ids, began, ended, span_id=own, parent_id=parent, link=link, error=rejected))


def trace_callback(request: http.Request, result: RecordResult, call_status: str, began: datetime) -> None:
    """The request is a signed callback, whose fact was recorded from `began` until now."""
    spans = request.app[keys.SPANS]
    if not spans.enabled:
        return
    span_id = request.app[keys.IDS].span_id()
    if span := recorded(result, began, request.app[keys.CLOCK].now(), span_id):
        if result.verdict is not RecordVerdict.KNOWN:
            spans.add(span)
        status = {"call_status": call_status[:MAX_STATUS_CHARACTERS]} if call_status else {}
        ids = span.business_id, span.run_id, span_id, span.job_id, span.attempt_id
        request[TOPIC] = RequestTopic(*ids, attributes={**of_result(result), **status})


def trace_recording(request: http.Request, business_id: int, run_id: int, job_id: int, attempt_id: int) -> None:
    """The request is a signed report of the recording of this attempt."""
    if request.app[keys.SPANS].enabled:
        request[TOPIC] = RequestTopic(business_id, run_id, request.app[keys.IDS].span_id(), job_id, attempt_id)


def _of_request(request: http.Request, topic: RequestTopic, status: int, began: datetime) -> Span:
    method = request.method if request.method in METHODS else "other"
    semantic: dict[str, str | int] = {"http.request.method": method, "http.route": route_of(request), "http.response.status_code": status}
    return Span(
        f"{method} {route_of(request)}",
        topic.business_id,
        topic.run_id,
        began,
        request.app[keys.CLOCK].now(),
        SpanKind.SERVER,
        topic.job_id,
        topic.attempt_id,
        topic.span_id,
        parent_id=0 if topic.starts else None,
        caller=topic.caller,
        error=f"status {status}" if status >= SERVER_ERROR else "",
        attributes={**semantic, **(topic.attributes or {})},
    )
