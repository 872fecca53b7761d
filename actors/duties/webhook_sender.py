"""Sends the events of the businesses of this worker to their webhooks: signed, in order per run, at least once.

A queue (one run, one webhook) is leased, some of its deliveries are sent one after the other, and the result of each is recorded. Budgets
keep businesses apart: so many queues of a webhook and of a business at once, one of a webhook whose last try has failed, and half of all
places for such webhooks together, so that those who answer find a place.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from dialer.concurrency.loop import Loop
from dialer.sealing import BrokenSealError
from dialer.webhooks.signing import body_of, signed_headers
from sql.errors import DatabaseUnavailableError
from sql.webhooks.deliveries import TryResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.services import Services
    from dialer.concurrency.tasks import Tasks
    from sql.webhooks.deliveries import DueQueue, LeasedQueue, PendingDelivery, QueueKey

PAUSE_SECONDS = 0.5
QUEUES_AT_ONCE = 256
FAILING_AT_ONCE = QUEUES_AT_ONCE // 2
OF_WEBHOOK = 4
OF_FAILING_WEBHOOK = 1
OF_BUSINESS = 8
# After these another queue of the webhook has a turn.
DELIVERIES_A_LEASE = 20
# Several times the longest try: the lease is extended by each result.
LEASE_SECONDS = 60.0
# After the first failure of a delivery, the second, and so on; the last one repeats until the 24 hours are over.
PAUSES_SECONDS = (5.0, 30.0, 120.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 10_800.0)
JITTER = 0.1

log = logging.getLogger(__name__)


class WebhookSender:
    """The deliveries of the partitions of one worker."""

    def __init__(self, services: Services, tasks: Tasks) -> None:
        """Each leased queue is a task among `tasks`."""
        self._services = services
        self._tasks = tasks
        self._sending: dict[DueQueue, None] = {}
        self.loop = Loop("webhooks", self.round, pause=PAUSE_SECONDS, retry_seconds=PAUSE_SECONDS)

    async def round(self) -> None:
        """Lease the queues that are due, as far as there is room, and start to send them.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is unavailable.
        """
        partitions = list(self._services.ownership.epochs)
        if not partitions or len(self._sending) >= QUEUES_AT_ONCE:
            return
        due = await self._services.deliveries.due(partitions, of_webhook=OF_WEBHOOK, limit=2 * QUEUES_AT_ONCE)
        chosen = {queue.key: queue for queue in self._choose(due)}
        if not chosen:
            return
        for leased in await self._services.deliveries.lease(list(chosen), LEASE_SECONDS):
            queue = chosen[leased.key]
            self._sending[queue] = None
            self._tasks.spawn(self._send_queue(queue, leased))

    def _choose(self, due: Sequence[DueQueue]) -> list[DueQueue]:
        """Those that fit into the budgets beside what is being sent."""
        webhooks = Counter(queue.key.webhook_id for queue in self._sending)
        businesses = Counter(queue.key.business_id for queue in self._sending)
        failing = sum(queue.is_failing for queue in self._sending)
        chosen: list[DueQueue] = []
        for queue in due:
            key, of_webhook = queue.key, OF_FAILING_WEBHOOK if queue.is_failing else OF_WEBHOOK
            fits = webhooks[key.webhook_id] < of_webhook and businesses[key.business_id] < OF_BUSINESS
            if fits and len(self._sending) + len(chosen) < QUEUES_AT_ONCE and not (queue.is_failing and failing >= FAILING_AT_ONCE):
                chosen.append(queue)
                webhooks[key.webhook_id] += 1
                businesses[key.business_id] += 1
                failing += queue.is_failing
        return chosen

    async def _send_queue(self, queue: DueQueue, leased: LeasedQueue) -> None:
        """Send some deliveries, until one fails. What goes wrong here lets the lease expire, and another worker goes on."""
        try:
            failures = leased.failures
            for delivery in await self._services.deliveries.pending(leased.key, DELIVERIES_A_LEASE):
                if self.loop.closed:
                    break
                if not await self._deliver(leased, delivery, failures):
                    return
                failures = 0
            await self._services.deliveries.release(leased)
        except DatabaseUnavailableError as error:
            log.warning(
                "webhook %d: a result could not be recorded, its event is sent again: %s", leased.key.webhook_id, type(error).__name__
            )
        except Exception:
            log.exception("webhook %d cannot be served", leased.key.webhook_id)
        finally:
            del self._sending[queue]
            self.loop.ring()

    async def _deliver(self, leased: LeasedQueue, delivery: PendingDelivery, failures: int) -> bool:
        """Send one event and record what became of it; True when the next one may be sent."""
        result = await self._post(leased, delivery)
        if not result.delivered:
            _report(leased.key, delivery.delivery_id, result, failures)
        return await self._services.deliveries.record(
            leased, delivery.delivery_id, result, pause_seconds=self._pause(failures), lease_seconds=LEASE_SECONDS
        )

    async def _post(self, leased: LeasedQueue, delivery: PendingDelivery) -> TryResult:
        try:
            key = self._services.webhook_keys.open(leased.sealed_key)
        except BrokenSealError:
            log.error("the key of webhook %d cannot be opened: was a key removed from SECRET_KEY?", leased.key.webhook_id)  # noqa: TRY400
            return TryResult(delivered=False, error="key")
        body = body_of(delivery.event)
        headers = signed_headers(key, delivery.event.id, body, self._services.clock.now())
        return await self._services.webhook_client.post(leased.url, headers, body)

    def _pause(self, failures: int) -> float:
        pause = PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS) - 1)]
        return pause * (1 + JITTER * self._services.ids.fraction())


def _report(key: QueueKey, delivery_id: int, result: TryResult, failures: int) -> None:
    """Log the first failure of several, and the end of a webhook; never its address, which may hold a secret."""
    if result.gone:
        log.warning("webhook %d of business %d answered 410: it is disabled", key.webhook_id, key.business_id)
    elif not failures:
        reason = result.error or f"answered {result.response_status}"
        log.info("webhook %d of business %d: delivery %d is tried again: %s", key.webhook_id, key.business_id, delivery_id, reason)
