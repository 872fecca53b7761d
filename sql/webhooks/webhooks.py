"""The webhooks of a business, as it manages them, and the results of the deliveries to each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dialer.messages import KEEP_HTTP_SECONDS, Event
from sql.audit.audit import CURRENT_ADDRESS
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sql.pool import Pool

TEXT = statements("webhooks")


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A request of a user; `id` is from the Idempotency-Key, or new."""

    business_id: int
    id: str
    requested_by: str


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A webhook to be added, with the types of the events that it gets; a repeat of the request may bring another key."""

    url: str = field(repr=False)
    events: Sequence[str]
    sealed_key: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of what was asked for."""
        return hashlib.sha256(json.dumps([self.url, list(self.events)]).encode()).digest()


@dataclass(frozen=True, slots=True)
class WebhookAnswer:
    """The answer to a request: `code` is empty, or why it was refused."""

    code: str
    webhook_id: int = 0
    created_at: str = ""
    sealed_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook; `failing_since` while no try succeeds, `disabled_at` after an answer of 410."""

    webhook_id: int
    url: str = field(repr=False)
    events: list[str]
    created_at: datetime
    created_by: str
    failing_since: datetime | None
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event for a webhook, and what became of it.

    `error` is why the last try got no answer, or why it was given up: `held_back`, `too_many`, `disabled`, or the name of an error of the
    connection. `waits_for` is the delivery before it in the order of its run.
    """

    delivery_id: int
    event_id: int
    run_id: int | None
    job_id: int | None
    command_id: str | None
    type: str
    at: datetime
    data: dict[str, Any]
    created_at: datetime
    status: str
    tries: int
    tried_at: datetime | None
    response_status: int | None
    response_body: str | None
    error: str | None
    ended_at: datetime | None
    next_try_at: datetime | None
    waits_for: int | None

    def event(self, business_id: int) -> Event:
        """What is sent."""
        return Event(self.type, business_id, self.run_id, self.job_id, self.command_id, at=self.at, data=self.data, serial=self.event_id)


class Webhooks:
    """The webhooks of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def add(self, request: WebhookRequest, new: NewWebhook, *, most: int) -> WebhookAnswer:
        """Add a webhook, unless the business has `most` of them (`too_many`); a repeat gets the key of the first request."""
        by = request.business_id, request.id, new.digest, request.requested_by, KEEP_HTTP_SECONDS
        return WebhookAnswer(
            **await self._pool.fetchval(TEXT["add"], *by, new.url, new.events, new.sealed_key, most, CURRENT_ADDRESS.get())
        )

    async def of(self, business_id: int) -> list[Webhook]:
        """The webhooks of a business, in the order in which they were added."""
        return [Webhook(**row) for row in await self._pool.fetch(TEXT["of"], business_id)]

    async def owner(self, business_id: int, webhook_id: int) -> int | None:
        """Which other business has this webhook, if any; only to log that it was asked for."""
        found: int | None = await self._pool.fetchval(TEXT["owner"], business_id, webhook_id)
        return found

    async def delivery_owner(self, business_id: int, delivery_id: int) -> int | None:
        """Which other business has this delivery, if any; only to log that it was asked for."""
        found: int | None = await self._pool.fetchval(TEXT["delivery_owner"], business_id, delivery_id)
        return found

    async def delete(self, business_id: int, webhook_id: int, requested_by: str) -> bool:
        """Delete a webhook; False when there is none."""
        return bool(await self._pool.fetchval(TEXT["delete"], business_id, webhook_id, requested_by, CURRENT_ADDRESS.get()))

    async def page(
        self, business_id: int, webhook_id: int, *, statuses: Sequence[str] | None, before: int | None, limit: int
    ) -> list[Delivery]:
        """The deliveries with an id below `before`, the newest first."""
        return [Delivery(**row) for row in await self._pool.fetch(TEXT["page"], business_id, webhook_id, statuses, before, limit)]

    async def ids_from(self, business_id: int, webhook_id: int, *, statuses: Sequence[str] | None, start: int, limit: int) -> list[int]:
        """The ids of deliveries from `start` on, the oldest first."""
        rows = await self._pool.fetch(TEXT["ids_from"], business_id, webhook_id, statuses, start, limit)
        return [row["delivery_id"] for row in rows]

    async def redeliver(self, request: WebhookRequest, webhook_id: int, delivery_id: int) -> str:
        """Send a delivery again; return why it cannot be, or an empty text."""
        digest = hashlib.sha256(f"{webhook_id}|{delivery_id}".encode()).digest()
        by = request.business_id, request.id, digest, request.requested_by, KEEP_HTTP_SECONDS
        answer = await self._pool.fetchval(TEXT["redeliver"], *by, webhook_id, delivery_id, CURRENT_ADDRESS.get())
        return str(answer["code"])
