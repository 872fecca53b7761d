"""Deliveries to real receivers, by a worker's sender on a real database: order, retries, budgets, crashes, and where nothing is sent."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web as http

from actors.duties.cleanup import DeliveryCleaner
from actors.duties.webhook_sender import JITTER, OF_WEBHOOK, PAUSES_SECONDS
from actors.webhooks.public_resolver import PublicResolver
from actors.webhooks.webhook_client import MAX_BODY_BYTES, WebhookClient
from dialer.webhooks.targets import AllowedHosts
from sql.installation.business_states import DeliveryState, Installation
from sql.webhooks.deliveries import Deliveries, LeasedQueue, TryResult
from tests.chaos import polling
from tests.webhook_targets import Post, Request, post, target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.rows import DatabaseFixture

DAY = 24 * 3600.0
NOBODY = AllowedHosts()


def refuse_run(run_id: int) -> Any:  # noqa: ANN401 - an answer
    """Answer 500 to the events of a run."""
    return lambda request: 500 if request.json.get("run_id") == run_id else 204


async def due_in(mail: Post) -> float:
    """In how many seconds the only queue is due."""
    return float(await mail.database.pool.fetchval("SELECT extract(epoch FROM due_at - now()) FROM dialer.delivery_queues"))


async def test_a_failing_event_holds_back_its_run_and_no_other_for_a_day(database: DatabaseFixture) -> None:
    async with post(database) as mail, target() as receiver:
        business = await database.business()
        webhook, key = await mail.add(business, receiver.url)
        receiver.answer = refuse_run(1)
        await mail.publish(
            business, ("run.started", 1), ("run.started", 2), ("run.paused", 1), ("run.paused", 2), ("command.rejected", None)
        )
        await mail.send()
        assert [event for event in receiver.events if event[1] == 1] == [("run.started", 1)]
        assert [event for event in receiver.events if event[1] == 2] == [("run.started", 2), ("run.paused", 2)]
        assert ("command.rejected", None) in receiver.events
        for request in receiver.received:
            request.verify(key)
        # Each pause is the next one of the schedule, and the last one is repeated until a day has passed.
        waited = 0.0
        for tries in range(2, 40):
            pause = await due_in(mail)
            longest = PAUSES_SECONDS[min(tries - 2, len(PAUSES_SECONDS) - 1)]
            assert pause <= longest * (1 + JITTER)
            assert pause > longest - 5 or waited + pause == pytest.approx(DAY, abs=5), "the last try is a day after the event"
            await mail.send()
            assert len(receiver.received) == 2 + tries, "nothing before its time"
            await mail.later(pause + 0.01)
            waited += pause
            await mail.send()
            if waited > DAY - 5:
                break
        assert len({request.headers["webhook-id"] for request in receiver.received if request.event[1] == 1}) == 1
        states = await mail.states(business, webhook)
        assert [state[2:] for state in states if state[1] == 1] == [("failed", tries, None), ("failed", 0, "held_back")]
        # It goes on behind those that were given up, and is delivered as soon as the receiver answers.
        receiver.received.clear()
        await mail.publish(business, ("run.finished", 1))
        receiver.answer = lambda _: 200
        await mail.send()
        assert receiver.events == [("run.finished", 1)]
        assert await database.pool.fetchval("SELECT count(*) FROM dialer.delivery_queues") == 0


async def test_a_receiver_that_is_back_gets_everything_at_once_and_in_order(database: DatabaseFixture) -> None:
    async with post(database) as mail, target() as receiver:
        business = await database.business()
        webhook, _ = await mail.add(business, receiver.url)
        receiver.answer = lambda _: 503
        await mail.publish(business, *[(kind, run) for run in (1, 2) for kind in ("run.started", "run.paused", "run.resumed")])
        await mail.send()
        for _ in range(6):
            await mail.later(1_000)
            await mail.send()
        receiver.answer = lambda _: 200
        receiver.received.clear()
        [webhook_now] = await mail.webhooks.of(business)
        assert webhook_now.failing_since
        known = await Installation(database.pool).deliveries(ended_seconds=300)
        assert (known.waiting, known.delivered, known.failed, known.failing_webhooks) == (6, 0, 0, 1)
        assert known.oldest_seconds > 0
        # An event of another run comes through; then no other one waits for its pause.
        await mail.publish(business, ("run.started", 3))
        await mail.send()
        assert [event for event in receiver.events if event[1] == 1] == [("run.started", 1), ("run.paused", 1), ("run.resumed", 1)]
        assert len(receiver.received) == 7
        assert {state[2] for state in await mail.states(business, webhook)} == {"delivered"}
        [webhook_now] = await mail.webhooks.of(business)
        assert webhook_now.failing_since is None
        assert await Installation(database.pool).deliveries(ended_seconds=300) == DeliveryState(7, 0, 0, 0, 0)


class DyingDeliveries(Deliveries):
    """The deliveries of a worker that dies between a request and its record."""

    async def record(self, queue: LeasedQueue, delivery_id: int, result: TryResult, *, pause_seconds: float, lease_seconds: float) -> bool:
        del pause_seconds, lease_seconds
        self.lost = (queue, delivery_id, result)
        raise asyncio.CancelledError


async def test_a_worker_that_dies_between_sending_and_recording_loses_nothing(database: DatabaseFixture) -> None:
    async with post(database) as mail, target() as receiver:
        business = await database.business()
        webhook, key = await mail.add(business, receiver.url)
        await mail.publish(business, ("run.started", 1), ("run.paused", 1))
        dying = DyingDeliveries(database.pool)
        await mail.new_sender(dying).round()
        await mail.tasks.finish(10)
        assert receiver.events == [("run.started", 1)]
        await mail.send()
        assert len(receiver.received) == 1, "while the lease lasts, nobody else sends"
        await mail.later(61)
        await mail.send()
        assert receiver.events == [("run.started", 1), ("run.started", 1), ("run.paused", 1)]
        assert receiver.ids[0] == receiver.ids[1] != receiver.ids[2]
        receiver.received[1].verify(key)
        # A worker that was only slow changes nothing afterwards.
        queue, delivery_id, _ = dying.lost
        assert not await mail.deliveries.record(queue, delivery_id, TryResult(delivered=False), pause_seconds=1, lease_seconds=1)
        assert [state[2] for state in await mail.states(business, webhook)] == ["delivered", "delivered"]


async def test_two_workers_send_each_event_once(database: DatabaseFixture) -> None:
    async with post(database) as mail, target() as receiver:
        business = await database.business()
        await mail.add(business, receiver.url)
        await mail.publish(business, *[(kind, run) for run in range(1, 31) for kind in ("run.started", "run.finished")])
        senders = [mail.sender, mail.new_sender(mail.deliveries)]
        while await database.pool.fetchval("SELECT count(*) FROM dialer.delivery_queues"):
            await asyncio.gather(*(sender.round() for sender in senders))
            await mail.tasks.finish(10)
        assert len(receiver.ids) == len(set(receiver.ids)) == 60
        for run in range(1, 31):
            assert [kind for kind, of in receiver.events if of == run] == ["run.started", "run.finished"]


async def test_a_slow_receiver_delays_nobody_elses(database: DatabaseFixture) -> None:
    async with post(database) as mail, target() as slow, target() as quick:
        ours, theirs = await database.business(), await database.business()
        await mail.add(ours, slow.url)
        await mail.add(theirs, quick.url)
        hanging = asyncio.Event()

        async def hang(_: Request) -> int:
            await hanging.wait()
            return 200

        slow.answer = hang
        await mail.publish(ours, *[("run.started", run) for run in range(1, 41)])
        await mail.sender.round()

        async def asked() -> bool:
            return len(slow.received) == OF_WEBHOOK

        await polling.until(asked, 10, "the slow one is asked")
        for run in range(50, 55):
            await mail.publish(theirs, ("run.started", run))
            await mail.sender.round()

        async def arrived() -> bool:
            return len(quick.received) == 5

        await polling.until(arrived, 10, "the other one gets its events")
        assert len(slow.received) == OF_WEBHOOK, "so many at once of one webhook"
        hanging.set()
        await mail.send()
        assert len(slow.received) == 40


ANSWERS: dict[str, Any] = {
    "redirect": lambda url, _: http.Response(status=307, headers={"Location": url}),
    "no body": lambda *_: http.Response(status=500),
    "a long body": lambda *_: http.Response(status=400, body=b"\x00" + b"x" * 100_000),
    "packed": lambda *_: http.Response(status=400, body=b"\x1f\x8b\x08", headers={"Content-Encoding": "gzip"}),
}


async def test_what_is_no_success_and_what_is_kept_of_it(database: DatabaseFixture) -> None:
    async with post(database) as mail, target() as receiver, target() as inner:
        business = await database.business()
        webhook, _ = await mail.add(business, receiver.url)
        for run, (name, answer) in enumerate(ANSWERS.items(), start=1):
            receiver.answer = partial(answer, inner.url)
            await mail.publish(business, ("run.started", run))
            await mail.send()
            [found] = [one for one in await mail.webhooks.page(business, webhook, statuses=None, before=None, limit=9) if one.run_id == run]
            assert (found.status, found.tries, found.error) == ("pending", 1, None), name
            assert found.response_status in {307, 400, 500}, name
            assert len(found.response_body or "") <= MAX_BODY_BYTES, name
            assert found.next_try_at, name
        assert inner.received == [], "a redirect is not followed"
        await database.pool.execute("UPDATE dialer.webhooks SET url = 'http://127.0.0.1:9/'")
        await mail.publish(business, ("run.started", 9))
        await mail.send()
        assert (await mail.states(business, webhook))[-1] == ("run.started", 9, "pending", 1, "refused")


PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"),  # noqa: S104 - refused
    *("::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "::"),
    *("2001:0:4136:e378:8000:63bf:80ff:fffe", "::127.0.0.1", "ff02::1", "2001:db8::1", "192.0.2.1"),
]


async def test_nothing_is_sent_into_a_private_network(database: DatabaseFixture) -> None:
    """Not by a number, nor by a name that resolves to one, nor by a name whose answer has changed since it was entered."""
    answers: list[Sequence[str]] = []

    def lookup(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [(0, 0, 6, "", (address, port)) for address in answers[0]]

    asked: list[str] = []
    client = WebhookClient(NOBODY, PublicResolver(NOBODY, lookup))
    async with post(database, client) as mail, target() as receiver:
        business = await database.business()
        port = receiver.url.split(":")[2].split("/")[0]
        webhook, _ = await mail.add(business, f"https://hooks.example.com:{port}/")
        for run, address in enumerate(PRIVATE, start=1):
            answers[:] = [[address]]
            await mail.publish(business, ("run.started", run))
            await mail.send()
            assert (await mail.states(business, webhook))[-1] == ("run.started", run, "pending", 1, "private"), address
        assert len(asked) == len(PRIVATE), "the name is resolved at each try, once"
        for run, host in enumerate(
            ("127.0.0.1", "[::1]", "localhost", "[::ffff:7f00:1]", "2130706433", "0x7f.1", "127.1", "0177.0.0.1"), start=100
        ):
            result = await client.post(f"https://{host}:{port}/", {}, "{}")
            assert result.error in {"private", "not_an_address"}, (run, host)
        assert (await client.post(receiver.url, {}, "{}")).error == "not_https"
        # What is public among private ones is what is connected to; there is nobody at this one (TEST-NET has no route).
        found = await PublicResolver(NOBODY, lambda *_, **__: [(0, 0, 6, "", (a, 443)) for a in ("10.0.0.1", "8.8.8.8")]).resolve("x", 443)
        assert [one["host"] for one in found] == ["8.8.8.8"]
        assert receiver.received == []
    async with post(
        database,
        WebhookClient(AllowedHosts(f"hooks.example.com:{port}"), PublicResolver(AllowedHosts(f"hooks.example.com:{port}"), lookup)),
    ) as mail:
        answers[:] = [["127.0.0.1"]]
        assert (await mail.client.post(f"http://hooks.example.com:{int(port) + 1}/", {}, "{}")).error == "not_https"
        assert (await mail.client.post(f"http://hooks.example.com:{port}/", {}, "{}")).error == "refused", "it is connected to"


async def test_one_that_is_gone_is_disabled_and_old_deliveries_are_deleted(database: DatabaseFixture) -> None:
    async with post(database) as mail, target() as receiver:
        business = await database.business()
        gone, _ = await mail.add(business, receiver.url)
        receiver.answer = lambda _: 410
        await mail.publish(business, ("run.started", 1), ("run.paused", 1), ("run.started", 2))
        await mail.send()
        assert len(receiver.received) <= 2
        await mail.publish(business, ("run.resumed", 1))
        cleaner = DeliveryCleaner(mail.sender._services)
        await cleaner.forget()
        states = await mail.states(business, gone)
        assert [state[:3] for state in states] == [("run.started", 1, "failed"), ("run.paused", 1, "failed"), ("run.started", 2, "failed")]
        assert states[1][4] == "disabled"
        assert [webhook.disabled_at is None for webhook in await mail.webhooks.of(business)] == [False]
        await mail.later(6 * DAY)
        await cleaner.forget()
        assert len(await mail.states(business, gone)) == 3
        await mail.later(DAY + 1)
        await cleaner.forget()
        assert await mail.states(business, gone) == []


async def test_only_so_many_deliveries_of_a_webhook_are_kept(database: DatabaseFixture) -> None:
    async with post(database) as mail, target() as receiver:
        business = await database.business()
        webhook, _ = await mail.add(business, receiver.url)
        receiver.answer = lambda _: 500
        await mail.publish(business, *[("job.changed", run) for run in range(1, 11)])
        await mail.send()
        partitions = list(database.epochs)
        assert await mail.deliveries.forget(partitions, kept=4, limit=100) == 6
        assert [state[4] for state in await mail.states(business, webhook)] == ["too_many"] * 6 + [None] * 4
        assert await mail.deliveries.forget(partitions, kept=4, limit=100) == 6
        assert [state[1] for state in await mail.states(business, webhook)] == [7, 8, 9, 10]
        assert await mail.webhooks.delete(business, webhook, "test")
        receiver.received.clear()
        await mail.later(DAY)
        await mail.send()
        await mail.publish(business, ("job.changed", 11))
        assert await mail.deliveries.forget(partitions, kept=4, limit=100) == 4
        assert receiver.received == []
        for table in ("webhooks", "deliveries", "delivery_queues"):
            assert await database.pool.fetchval(f"SELECT count(*) FROM dialer.{table}") == 0, table  # noqa: S608


async def test_its_time_is_that_of_the_try(database: DatabaseFixture) -> None:
    """A receiver refuses what is older than five minutes: each try is signed anew."""
    async with post(database) as mail, target() as receiver:
        business = await database.business()
        _, key = await mail.add(business, receiver.url)
        await mail.publish(business, ("run.started", 1))
        await mail.later(3_600)
        await mail.send()
        receiver.received[0].verify(key)
        sent = int(receiver.received[0].headers["webhook-timestamp"])
        assert abs(datetime.now(UTC).timestamp() - sent) < 60
