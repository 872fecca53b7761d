"""A collector that keeps the spans it is sent, by OTLP over HTTP as every collector reads them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiohttp import web as http
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

PATH: Final = "/v1/traces"


@dataclass(frozen=True)
class StoredSpan:
    """A span; ids in hexadecimal digits, "" for no parent, times in seconds. `process` is its `service.instance.id`."""

    name: str
    trace: str
    span: str
    parent: str
    links: list[tuple[str, str]]
    began: float
    ended: float
    failed: bool
    attributes: dict[str, str | int]
    process: str
    service: str


@dataclass
class Collector:
    """What has arrived; `bodies` are the requests as they were sent."""

    url: str = ""
    spans: list[StoredSpan] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    _answers: asyncio.Event = field(default_factory=asyncio.Event)

    def hang(self) -> None:
        """Answer no request until `resume`."""
        self._answers.clear()

    def resume(self) -> None:
        """Answer requests."""
        self._answers.set()

    def of(self, trace: str) -> list[StoredSpan]:
        """The spans of a trace, those that began first first."""
        return sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.began)

    def of_business(self, business_id: int) -> list[StoredSpan]:
        """The spans of a business."""
        return [span for span in self.spans if span.attributes["business_id"] == business_id]

    async def receive(self, request: http.Request) -> http.Response:
        """Keep the spans of a request."""
        body = await request.read()
        await self._answers.wait()
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            of_process = _values(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_stored(span, of_process) for span in scope.spans]
        return http.Response()


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector that listens for the length of a block."""
    collector, app = Collector(), http.Application()
    app.router.add_post(PATH, collector.receive)
    collector.resume()
    async with TestServer(app) as server:
        collector.url = str(server.make_url("")).rstrip("/")
        yield collector


def _stored(span: Span, of_process: dict[str, str | int]) -> StoredSpan:
    return StoredSpan(
        name=span.name,
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        began=span.start_time_unix_nano / 1e9,
        ended=span.end_time_unix_nano / 1e9,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        attributes=_values(span.attributes),
        process=str(of_process["service.instance.id"]),
        service=str(of_process["service.name"]),
    )


def _values(attributes: object) -> dict[str, str | int]:
    found: list[KeyValue] = list(attributes)  # type: ignore[call-overload]  # a repeated field
    return {one.key: one.value.int_value if one.value.HasField("int_value") else one.value.string_value for one in found}
