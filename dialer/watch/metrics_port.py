"""Serves `/metrics` and `/healthz` on a port of its own, from threads: they answer, and say so, while the event loop stands still."""

from __future__ import annotations

import asyncio
import logging
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Final, Self

from prometheus_client import CONTENT_TYPE_LATEST

from dialer.concurrency.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

# A port in use may become free: the process that had it is being replaced.
RETRY_SECONDS: Final = 15.0
# A client gets this long for each part of its request, and so many are served at once.
CLIENT_SECONDS: Final = 5.0
MOST_CLIENTS: Final = 8

log = logging.getLogger(__name__)


class MetricsPort:
    """The port; use with `async with`. A port that cannot be had is logged once, tried again, and keeps nobody from working."""

    def __init__(self, host: str, port: int, *, export: Callable[[], bytes], trouble: Callable[[], str]) -> None:
        """`export` returns the metrics, `trouble` what is wrong with this process or "": both are called in threads. Port 0: none."""
        self._address = (host, port)
        self._export = export
        self._trouble = trouble
        self._server: _Server | None = None
        self._complained = False
        self._loop = Loop("metrics port", self._listen, pause=lambda: RETRY_SECONDS if self._server is None else None)
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """Start serving."""
        await self._tasks.__aenter__()
        if self._address[1]:
            self._tasks.create_task(self._loop.run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop serving."""
        self._loop.close()
        await self._tasks.__aexit__(None, None, None)
        if self._server:
            await asyncio.to_thread(self._server.shutdown)
            self._server.server_close()

    async def _listen(self) -> None:
        if self._server:
            return
        try:
            self._server = _Server(self._address, self._export, self._trouble)
        except OSError as fault:
            if not self._complained:
                self._complained = True
                log.warning(
                    "DIALER_METRICS_PORT: port %d: %s; this process goes on without it, and tries again every %.0f s",
                    self._address[1],
                    fault.strerror or fault,
                    RETRY_SECONDS,
                )
            return
        threading.Thread(target=self._server.serve_forever, name="metrics port", daemon=True).start()
        log.info("metrics are on port %d of %s", self._address[1], self._address[0])


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], export: Callable[[], bytes], trouble: Callable[[], str]) -> None:
        self.export = export
        self.trouble = trouble
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._clients = threading.BoundedSemaphore(MOST_CLIENTS)
        super().__init__(address, _Answers)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Serve a client in a thread of its own, or turn it away when there are too many."""
        if self._clients.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Serve a client."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._clients.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Log a figure that could not be computed; a client that has gone is none of our business."""
        del request, client_address
        fault = sys.exc_info()[1]
        if not isinstance(fault, OSError):
            log.error("a request to the metrics port failed", exc_info=fault)


class _Answers(BaseHTTPRequestHandler):
    server: _Server
    timeout = CLIENT_SECONDS
    server_version = "Ringmaster"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer `/metrics` and `/healthz`."""
        path = self.path.split("?", 1)[0]
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, self.server.export())
        elif path == "/healthz":
            trouble = self.server.trouble()
            self._answer(503 if trouble else 200, "text/plain; charset=utf-8", f"{trouble or 'ok'}\n".encode())
        else:
            self._answer(404, "text/plain; charset=utf-8", b"/metrics and /healthz are here\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object, **__: object) -> None:
        """Requests are not logged: there is one every few seconds."""
