"""Isolation of businesses in the web process: connections, locked runs, deferred callbacks, a Redis that hangs."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from dialer.clock import SystemClock
from dialer.model import Reference
from dialer.shares import Use
from dialer.streams.client import Streams
from sql.shares import CURRENT_USE
from tests.chaos.polling import until
from tests.web_site import RUNS, callback, serving
from web.server import keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from contextlib import AbstractAsyncContextManager

    from sql.attempts.attempts import ClaimedAttempt
    from sql.shares import SharedPool
    from tests.rows import DatabaseFixture
    from tests.web_site import Response, Site

CLOCK = SystemClock()


@asynccontextmanager
async def held(database: DatabaseFixture, query: str, *values: object) -> AsyncIterator[None]:
    """A transaction of another program, left open."""
    async with database.pool.acquire() as holder, holder.transaction():
        await holder.execute(query, *values)
        yield


async def seconds(asking: Awaitable[Response]) -> float:
    began = CLOCK.boot()
    response = await asking
    assert response.status in {200, 204}, response.body
    return CLOCK.boot() - began


def cancel(run_id: int) -> str:
    return f"/api/outbound_calls/jobs/{run_id}/cancel"


async def test_commands_on_a_locked_run_delay_no_other_request(site: Site) -> None:
    run_id = await site.load(5)
    theirs = await site.database.run(site.rival, 4)
    [call, *_], _ = await site.database.claim(site.rival)

    async def rival() -> list[float]:
        return [
            await seconds(site.get(f"{RUNS}/{theirs}", token="rival")),
            await seconds(site.post_callback(call, "ringing")),
            await seconds(site.post(cancel(theirs), token="rival")),
        ]

    alone = max(await rival())
    async with held(site.database, "SELECT FROM outbound_call_runs WHERE id = $1 FOR UPDATE", run_id):
        clicks = [asyncio.ensure_future(site.post(cancel(run_id))) for _ in range(12)]
        await somebody_waits(site)
        meanwhile = [max(await rival()) for _ in range(5)]
        # The business itself can still read, too.
        assert (await site.get(f"{RUNS}/{run_id}")).status == 200
        assert not any(click.done() for click in clicks)
    assert sorted(meanwhile)[2] < max(10 * alone, 0.5)
    responses = await asyncio.gather(*clicks)
    assert {response.status for response in responses} == {200}
    assert (await site.database.checked_run(site.business, run_id)).cancelled == 5


WAITING = """SELECT count(*) FROM pg_stat_activity
WHERE application_name LIKE 'ringmaster web %' AND wait_event_type = 'Lock' AND datname = current_database()"""


async def somebody_waits(site: Site) -> None:
    await until(lambda: site.database.pool.fetchval(WAITING), 10, "a request waits for the lock")


async def test_commands_on_a_locked_run_time_out_and_further_ones_are_rejected(site: Site) -> None:
    run_id = await site.load(1)
    async with held(site.database, "SELECT FROM outbound_call_runs WHERE id = $1 FOR UPDATE", run_id):
        responses = await asyncio.gather(*(site.post(cancel(run_id)) for _ in range(40)))
    assert {(response.status, response.code) for response in responses} == {(503, "busy")}
    assert all(int(response.headers["Retry-After"]) > 0 for response in responses)
    assert (await site.post(cancel(run_id))).status == 200


def pool_of(site: Site) -> SharedPool:
    found: SharedPool = site.client.server.app[keys.POOL]  # type: ignore[attr-defined]
    return found


async def taken_by(site: Site, *uses: Use) -> AsyncExitStack:
    """Hold as many connections as these uses may have, until the stack is closed.

    No other use may hold one when they are taken: after its release there would be room for one more.
    """
    stack = AsyncExitStack()
    shares = pool_of(site)._shares

    async def idle() -> bool:
        return not shares._held

    await until(idle, 30, "no connection in use")
    for use in uses:
        while shares._allowed(use):
            await stack.enter_async_context(shares.hold(use))
    return stack


async def test_a_tenant_cannot_take_every_connection(site: Site) -> None:
    run_id = await site.load(1)
    for token in ("rival", "operator"):
        assert (await site.get(RUNS, token=token)).status == 200
    # A flood from one address, and of the business itself.
    async with await taken_by(site, Use("address:127.0.0.1"), Use(f"business:{site.business}")):
        assert (await site.get(RUNS, token="rival")).status == 200
        mine = await site.get(f"{RUNS}/{run_id}")
        assert (mine.status, mine.code, int(mine.headers["Retry-After"]) > 0) == (503, "busy", True)
        assert (await site.post(cancel(run_id))).status == 200, "the reserve"
        assert (await site.get("/readyz")).status == 200


async def test_commands_and_callbacks_have_a_reserve(site: Site) -> None:
    run_id = await site.load(3)
    [call, *_], _ = await site.database.claim(site.business)
    assert (await site.get(RUNS)).status == 200
    everybody = [Use(f"business:{number}") for number in range(100, 120)]
    async with await taken_by(site, *everybody):
        assert pool_of(site)._shares.free() == 0
        assert (await site.post_callback(call, "ringing")).status == 204
        assert (await site.post(cancel(run_id))).status == 200


async def test_unsigned_callbacks_for_many_businesses_share_one_tenant(site: Site) -> None:
    """All from one address, as behind a proxy: with the share of unsigned callbacks in use, Twilio's callbacks still get through."""
    run_id = await site.load(3)
    calls, _ = await site.database.claim(site.business)
    own = "AC" + "7" * 32
    theirs = calls[1]
    await site.database.pool.execute("UPDATE dialer.attempts SET account_sid = $2 WHERE id = $1", theirs.attempt_id, own)
    await site.database.own_account(site.business, own, "their own token")

    async def own_account(status: str) -> int:
        return (await site.post_callback(theirs, status, auth_token="their own token", AccountSid=own)).status

    assert await own_account("initiated") == 204
    pool, asked = pool_of(site), []
    hold = pool._shares.hold

    def noted(use: Use) -> AbstractAsyncContextManager[None]:
        asked.append(use)
        return hold(use)

    pool._shares.hold = noted  # type: ignore[method-assign, assignment]
    for number in range(1, 20):
        reference = Reference(number, 1, "0" * 32)
        response = await site.request("POST", f"/callbacks/{reference}", token=None, data={"CallSid": "CA1", "AccountSid": own})
        assert response.status == 403
    # The duties of the process, which have no address or business in their name, go on meanwhile.
    assert {use for use in asked if ":" in use.tenant} == {Use("unsigned:127.0.0.1")}
    async with await taken_by(site, Use("unsigned:127.0.0.1"), *(Use(f"business:{number}") for number in range(100, 120))):
        assert pool._shares.free() == 0
        assert (await site.post_callback(calls[0], "ringing")).status == 204
        assert await own_account("ringing") == 204
        assert (await site.post(cancel(run_id))).status == 200


async def test_a_task_uses_the_share_of_its_tenant(site: Site) -> None:
    assert CURRENT_USE.get().tenant == "process"
    assert (await site.get(RUNS)).status == 200
    assert CURRENT_USE.get().tenant == "process"


async def state_of(database: DatabaseFixture, attempt: ClaimedAttempt) -> str:
    state: str = await database.pool.fetchval("SELECT state FROM dialer.attempts WHERE id = $1", attempt.attempt_id)
    return state


async def over(database: DatabaseFixture, attempts: list[ClaimedAttempt]) -> None:
    async def all_over() -> bool:
        return [await state_of(database, attempt) for attempt in attempts] == ["over"] * len(attempts)

    await until(all_over, 30, "the calls are over")


async def none_kept(streams: Streams) -> bool:
    return not await streams.kept_callbacks(10)


async def keep(streams: Streams, attempts: list[ClaimedAttempt]) -> None:
    for attempt in attempts:
        reference = Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)
        assert await streams.keep_callback(str(reference), callback(attempt, "completed"))


async def test_a_deferred_callback_that_fails_delays_no_other(site: Site, redis_url: str) -> None:
    await site.load(3)
    await site.database.run(site.rival, 3)
    stuck, _ = await site.database.claim(site.business)
    theirs, _ = await site.database.claim(site.rival)
    streams = Streams(redis_url)
    for number, query in enumerate(
        ("SELECT FROM dialer.lanes WHERE business_id = $1 FOR UPDATE", "SELECT FROM dialer.attempts WHERE business_id = $1 FOR UPDATE")
    ):
        async with held(site.database, query, site.business):
            await keep(streams, [stuck[number], theirs[number]])
            await over(site.database, [theirs[number]])
            assert await state_of(site.database, stuck[number]) == "placing"
        await over(site.database, [stuck[number]])
    await until(lambda: none_kept(streams), 30, "no callback is kept")
    await streams.close()


async def test_a_redis_that_hangs_delays_neither_cancel_nor_get(database_url: str, database: DatabaseFixture) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(-1)
        finally:
            writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with serving(database_url, f"redis://127.0.0.1:{port}/0", database) as site:
        cancels, gets = [], []
        for _ in range(5):
            run_id = await site.database.run(site.business, 2)
            gets.append(await seconds(site.get(f"{RUNS}/{run_id}")))
            cancels.append(await seconds(site.post(cancel(run_id))))
            assert (await site.database.checked_run(site.business, run_id)).cancelled == 2
    server.close()
    # Each of them took more than a second.
    assert (min(gets) < 0.5, min(cancels) < 0.5) == (True, True), (gets, cancels)
