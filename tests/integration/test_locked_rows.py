"""A foreign transaction holds rows that the workers share, or all rows of one business: whatever needs other rows goes on meanwhile."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import from_url

from tests.chaos import polling
from tests.integration.test_worker import Floor, floor, twilio  # noqa: F401, TC001 fixtures
from tests.web_site import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from telephony.simulator import Simulator
    from tests.rows import DatabaseFixture

RECOVERED_SECONDS = 10.0
COMMANDED_SECONDS = 2.0
OTHERS = 5


@asynccontextmanager
async def held(database: DatabaseFixture, statement: str, *arguments: object) -> AsyncIterator[None]:
    """A foreign session that has locked these rows and does nothing."""
    async with database.pool.acquire() as foreign:
        transaction = foreign.transaction()
        await transaction.start()
        await foreign.execute("SET idle_in_transaction_session_timeout = 0")
        await foreign.execute(statement, *arguments)
        try:
            yield
        finally:
            await transaction.rollback()


class CommandSender:
    """Another service, which writes to the stream of commands."""

    def __init__(self, redis_url: str) -> None:
        self._redis = from_url(redis_url)
        self._sent = 0

    async def send(self, business: int, run: int, kind: str) -> None:
        self._sent += 1
        fields = {"v": "1", "id": f"c{self._sent}", "type": kind, "business_id": str(business), "run_id": str(run)}
        await self._redis.xadd("dialer:commands", fields)  # type: ignore[arg-type]

    async def close(self) -> None:
        await self._redis.aclose()


async def until_dialled(database: DatabaseFixture, business: int, run: int) -> None:
    async def dialled() -> bool:
        return (await database.checked_run(business, run)).queued == 0

    await polling.until(dialled, RECOVERED_SECONDS, f"run {run} dialled")


async def until_status(database: DatabaseFixture, business: int, run: int, status: str, seconds: float) -> None:
    async def has_it() -> bool:
        return (await database.checked_run(business, run)).status == status

    await polling.until(has_it, seconds, f"run {run} {status}")


@pytest.mark.parametrize("table", ["workers", "partitions", "positions", "timelines"])
async def test_a_shared_row_that_is_held(
    floor: Floor,  # noqa: F811
    twilio: Simulator,  # noqa: F811
    database_url: str,
    redis_url: str,
    table: str,
) -> None:
    """Calls, commands of the stream and cancel by HTTP go on, or go on again within 10 s, while the lock is still held."""
    database, sender = floor.database, CommandSender(redis_url)
    async with floor.worker(twilio.url, "one") as (_, one), floor.worker(twilio.url, "two") as (_, two):

        async def all_owned() -> bool:
            return len(one.ownership.epochs) + len(two.ownership.epochs) == 256 and one.ownership.workers == two.ownership.workers == 2

        await polling.until(all_owned, RECOVERED_SECONDS, "all owned")
        before = {one.ownership.incarnation, two.ownership.incarnation}
        async with held(database, f"SELECT FROM dialer.{table} FOR UPDATE"), serving(database_url, redis_url, database) as site:
            if table == "workers":
                # The leases run out: only then is there something to recover from.
                async def both_are_others() -> bool:
                    return not before & {one.ownership.incarnation, two.ownership.incarnation}

                await polling.until(both_are_others, RECOVERED_SECONDS, "both workers are new incarnations")
            business, paused = await database.business(), await database.business()
            await until_dialled(database, business, await database.run(business, 2))
            by_http = await site.load(3, start=False)
            assert (await site.post(f"/api/outbound_calls/jobs/{by_http}/cancel", {})).json["status"] == "cancelled"
            by_stream = await database.run(paused, 2, start=False)
            await sender.send(paused, by_stream, "run.cancel")
            await until_status(database, paused, by_stream, "cancelled", RECOVERED_SECONDS)
    await sender.close()


async def test_a_worker_leaves_while_its_rows_are_held(floor: Floor, twilio: Simulator) -> None:  # noqa: F811
    """It goes without waiting for anybody, and its partitions are taken when its lease has run out."""
    async with floor.worker(twilio.url, "stays") as (_, stays):
        async with floor.worker(twilio.url, "goes") as (worker, goes):

            async def both_are_known() -> bool:
                return stays.ownership.workers == goes.ownership.workers == 2

            async def has_some() -> bool:
                return len(goes.ownership.epochs) > 0

            # Until then the one that stays takes whatever nobody has.
            await polling.until(both_are_known, RECOVERED_SECONDS, "both are known")
            # Of a newcomer's share none is given within 30 s: what it gets is what nobody has.
            await floor.database.pool.execute("UPDATE dialer.partitions SET owner = $1, epoch = epoch + 1", goes.ownership.incarnation)
            await floor.database.pool.execute("UPDATE dialer.partitions SET owner = NULL")
            await polling.until(has_some, RECOVERED_SECONDS, "has some")
            async with held(floor.database, "SELECT FROM dialer.workers FOR UPDATE"):
                await worker.stop()
                assert goes.ownership.epochs == {}

        async def has_all() -> bool:
            return len(stays.ownership.epochs) == 256

        await polling.until(has_all, 2 * RECOVERED_SECONDS, "the one that stays has all")


@pytest.mark.parametrize("statement", [
    "SELECT FROM dialer.lanes WHERE business_id = $1 FOR UPDATE",
    "SELECT FROM public.outbound_call_runs WHERE business_id = $1 FOR UPDATE",
    "SELECT FROM public.outbound_call_jobs WHERE business_id = $1 FOR UPDATE",
    "SELECT FROM dialer.inbox WHERE business_id = $1 FOR UPDATE",
])  # fmt: skip
async def test_a_business_that_is_held_does_not_keep_the_commands_of_others_waiting(
    floor: Floor,  # noqa: F811
    twilio: Simulator,  # noqa: F811
    redis_url: str,
    statement: str,
) -> None:
    database, sender = floor.database, CommandSender(redis_url)
    async with floor.worker(twilio.url):
        locked = [await database.business() for _ in range(4)]
        free = [await database.business() for _ in range(OTHERS)]
        runs = {business: await database.run(business, 3, start=False) for business in (*locked, *free)}
        for business in locked:
            # Something of theirs is in the inbox already, and comes again.
            await sender.send(business, runs[business], "run.pause")
        async with held(database, statement.replace("= $1", "= ANY ($1)"), locked):
            for business in (*locked, *free):
                for _ in range(3):
                    await sender.send(business, runs[business], "run.pause")
                await sender.send(business, runs[business], "run.stop")
            for business in free:
                await until_status(database, business, runs[business], "stopped", COMMANDED_SECONDS)
        for business in locked:
            await until_status(database, business, runs[business], "stopped", RECOVERED_SECONDS)
    await sender.close()


async def test_a_job_that_is_held_does_not_hold_up_the_cancel_of_its_run(database: DatabaseFixture) -> None:
    """The counters say it at once; the row follows when it is free, and the run says so only then."""
    from dialer.messages import CommandType  # noqa: PLC0415 for this test alone

    business = await database.business()
    run = await database.run(business, 5)
    async with held(database, "SELECT FROM public.outbound_call_jobs WHERE run_id = $1 AND position = 2 FOR UPDATE", run):
        answer = await database.command(business, CommandType.CANCEL, run)
        assert (answer.status, answer.cancelled_jobs) == ("cancelled", 5)
        assert await database.runs.to_rewrite(list(range(256)), 10) == [(business, run)]
        assert await database.runs.rewrite(business, run, 1, 1000) is None
        assert await database.runs.to_rewrite(list(range(256)), 10) == [(business, run)]
    assert await database.runs.rewrite(business, run, 1, 1000) is None
    assert await database.runs.to_rewrite(list(range(256)), 10) == []
    await database.checked_run(business, run)
