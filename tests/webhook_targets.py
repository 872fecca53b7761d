"""Receivers of webhooks on this machine, and a worker's sender on a test's database that works when it is told to."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web as http
from standardwebhooks import Webhook

from actors.duties.webhook_sender import WebhookSender
from actors.services import Ownership
from actors.webhooks.webhook_client import WebhookClient
from dialer.clock import SystemClock, SystemIds
from dialer.concurrency.tasks import Tasks
from dialer.webhooks.signing import EVENT_TYPES, WebhookKeys
from dialer.webhooks.targets import AllowedHosts
from sql.outbox.outbox import Outbox
from sql.webhooks.deliveries import Deliveries
from sql.webhooks.webhooks import NewWebhook, WebhookRequest, Webhooks
from tests.rows import SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from actors.services import Services
    from tests.rows import DatabaseFixture

HERE = AllowedHosts("127.0.0.1")
SEND_SECONDS = 30.0
TIMES = {
    "delivery_queues": ("due_at", "leased_until"),
    "deliveries": ("created_at", "retry_until", "ended_at"),
    "webhooks": ("failing_since",),
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a target has received."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def event(self) -> tuple[str, int | None]:
        return self.json["type"], self.json.get("run_id")

    def verify(self, key: str) -> None:
        """Check the signature with the library of the specification."""
        Webhook(key).verify(self.body, self.headers)


class Target:
    """An HTTP server that keeps what it receives, and answers what `answer` returns: a status, or a whole response."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[Request] = []
        self.answer: Callable[[Request], int | http.StreamResponse | Awaitable[int]] = lambda _: 200

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.received]

    @property
    def events(self) -> list[tuple[str, int | None]]:
        return [request.event for request in self.received]

    async def handle(self, request: http.Request) -> http.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Request(request.path, headers, await request.read()))
        answered = self.answer(self.received[-1])
        if asyncio.iscoroutine(answered):
            answered = await answered
        return answered if isinstance(answered, http.StreamResponse) else http.Response(status=cast("int", answered), text="noted")


@asynccontextmanager
async def target() -> AsyncIterator[Target]:
    """A target on a free port."""
    made = Target()
    app = http.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = http.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        place = http.TCPSite(runner, "127.0.0.1", 0)
        await place.start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield made
    finally:
        await runner.cleanup()


class Post:
    """The webhooks of a test's database, with a sender for all partitions that sends when it is asked to."""

    def __init__(self, database: DatabaseFixture, client: WebhookClient) -> None:
        self.database = database
        self.client = client
        self.keys = WebhookKeys(SECRET_KEY)
        self.webhooks = Webhooks(database.pool)
        self.deliveries = Deliveries(database.pool)
        self.tasks = Tasks()
        self.sender = self.new_sender(self.deliveries)

    def new_sender(self, deliveries: Deliveries) -> WebhookSender:
        """The sender of another worker, on these deliveries."""
        services = SimpleNamespace(
            deliveries=deliveries,
            webhook_client=self.client,
            webhook_keys=self.keys,
            clock=SystemClock(),
            ids=SystemIds(),
            ownership=Ownership(self.database.incarnation, self.database.epochs),
        )
        return WebhookSender(cast("Services", services), self.tasks)

    async def add(self, business_id: int, url: str, *events: str) -> tuple[int, str]:
        """Add a webhook; return its id and its key."""
        request = WebhookRequest(business_id, f"http:{SystemIds().uuid()}", "test")
        new = NewWebhook(url, list(events or EVENT_TYPES), self.keys.new())
        answer = await self.webhooks.add(request, new, most=1_000)
        return answer.webhook_id, self.keys.open(answer.sealed_key)

    async def publish(self, business_id: int, *events: tuple[str, int | None]) -> None:
        """Let events happen and be relayed."""
        ids = [
            await self.database.pool.fetchval(
                "INSERT INTO dialer.outbox (business_id, run_id, type, data) VALUES ($1, $2, $3, '{\"n\": 1}') RETURNING id",
                business_id,
                run_id,
                kind,
            )
            for kind, run_id in events
        ]
        await Outbox(self.database.pool).delete(ids)

    async def send(self) -> None:
        """Send what is due now, until nothing is."""
        while True:
            await self.sender.round()
            if not len(self.tasks):
                return
            await self.tasks.finish(SEND_SECONDS)

    async def later(self, seconds: float) -> None:
        """Let time pass in the database."""
        for table, columns in TIMES.items():
            moved = ", ".join(f"{column} = {column} - make_interval(secs => $1::float8)" for column in columns)
            await self.database.pool.execute(f"UPDATE dialer.{table} SET {moved}", seconds)  # noqa: S608

    async def states(self, business_id: int, webhook_id: int) -> list[tuple[str, int | None, str, int, str | None]]:
        """Type, run, status, tries and error of each delivery, the oldest first."""
        page = await self.webhooks.page(business_id, webhook_id, statuses=None, before=None, limit=200)
        return [(one.type, one.run_id, one.status, one.tries, one.error) for one in reversed(page)]


@asynccontextmanager
async def post(database: DatabaseFixture, client: WebhookClient | None = None) -> AsyncIterator[Post]:
    """The post office of a test's database."""
    made = Post(database, client or WebhookClient(HERE))
    try:
        yield made
    finally:
        await made.tasks.finish(1)
        await made.client.close()
