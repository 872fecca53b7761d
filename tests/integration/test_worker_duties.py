"""The duties of a worker: what it says of the runs it drives, what it does when one of its loops fails or the database's clock jumps."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from pydantic import SecretStr

import actors.duties.heartbeat
import actors.supervisor.router
from actors.dispatch.rate_limiter import RateLimiter
from actors.duties.cleanup import RunRetention
from actors.lease import Lease
from actors.restarts import DutySupervisor
from actors.supervisor.supervisor import BusinessSupervisor
from dialer.concurrency.tasks import Tasks
from telephony import simulator
from telephony.provider import Account
from tests.chaos import polling
from tests.integration.test_upkeep import SLOW_JOBS
from tests.integration.test_worker import NOBODY, Floor, floor, twilio, until  # noqa: F401 fixtures
from tests.web_site import RUNS, serving

if TYPE_CHECKING:
    from telephony.simulator import Simulator

LATE_SECONDS = 15.0
# A run that is driven says so at least every 12 s.
STALE_SECONDS = 14.0
# A lost callback is noticed by the next list of live calls, and one question.
FOLLOWED_SECONDS = 60.0
SKEWED_CLOCK = """
CREATE SCHEMA skewed;
CREATE TABLE skewed.clock (by interval);
INSERT INTO skewed.clock VALUES ('0');
CREATE FUNCTION skewed.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT pg_catalog.now() + by FROM skewed.clock';
CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT pg_catalog.clock_timestamp() + by FROM skewed.clock';
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = skewed, pg_catalog, public', current_database()); END $$;
"""


NOT_THIS_RUN = """
CREATE FUNCTION pg_temp_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF OLD.run_id = {} THEN RAISE EXCEPTION 'on purpose'; END IF; RETURN OLD; END $$;
CREATE TRIGGER kept BEFORE DELETE ON public.outbound_call_jobs FOR EACH ROW EXECUTE FUNCTION pg_temp_kept();
"""


async def heart(database: Any, run: int) -> Any:  # noqa: ANN401
    """How long ago the run's worker last wrote that it drives it; None when none ever did."""
    return await database.pool.fetchval(
        "SELECT extract(epoch FROM dialer.utc() - lock_ts)::float8 FROM outbound_call_runs WHERE id = $1", run
    )


async def test_a_business_whose_account_cannot_be_opened(
    floor: Floor,  # noqa: F811
    twilio: Simulator,  # noqa: F811
    database_url: str,
    redis_url: str,
) -> None:
    """Its run is not shown as driven; the API and the page say why, in the reader's language, until it can be opened again."""
    database = floor.database
    async with serving(database_url, redis_url, database) as site:
        run, rivals = await site.load(3), await site.rivals_run()
        await database.own_account(site.business, "AC1", "sealed with a key that was removed", secret_key="removed" * 8)
        async with floor.worker(twilio.url):

            async def reason_is_shown() -> bool:
                stalled = await database.pool.fetchval("SELECT reason FROM dialer.stalls WHERE business_id = $1", site.business)
                return stalled == "account" and await heart(database, rivals) is not None

            await until(reason_is_shown)
            assert await heart(database, run) is None
            [wait] = (await site.get(f"{RUNS}/{run}")).json["waits_for"]
            assert (wait["reason"], bool(wait["since"]), "credentials" in wait["detail"]) == ("account", True, True)
            [wait] = (await site.get(f"{RUNS}/{run}", headers={"Accept-Language": "he"})).json["waits_for"]
            assert "חשבון" in wait["detail"]
            page = await site.get(f"/runs/{run}")
            assert b'id="waits-account"' in page.body
            await database.pool.execute("UPDATE dialer.businesses SET account_sid = NULL")

            async def goes_on() -> bool:
                seen = await database.checked_run(site.business, run)
                return seen.queued == 0 and not await database.pool.fetchval("SELECT count(*) FROM dialer.stalls")

            await until(goes_on)


async def test_a_lane_that_stays_locked_is_told_and_one_that_was_is_not(floor: Floor, twilio: Simulator) -> None:  # noqa: F811
    database = floor.database
    business = await database.business()
    run = await database.run(business, 3)

    async def reason() -> str | None:
        found: str | None = await database.pool.fetchval("SELECT reason FROM dialer.stalls WHERE business_id = $1", business)
        return found

    async with database.pool.acquire() as foreign:
        transaction = foreign.transaction()
        await transaction.start()
        await foreign.execute("SET idle_in_transaction_session_timeout = 0")
        await foreign.execute("SELECT FROM dialer.lanes WHERE business_id = $1 FOR UPDATE", business)
        async with floor.worker(twilio.url):

            async def is_busy() -> bool:
                return await reason() == "busy"

            await until(is_busy)
            await transaction.rollback()

            async def is_over() -> bool:
                return await reason() is None and (await database.checked_run(business, run)).queued == 0

            await until(is_over)


async def test_a_worker_whose_poll_fails_says_no_more_that_it_drives(
    floor: Floor,  # noqa: F811
    twilio: Simulator,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actors.supervisor.router, "POLL_SECONDS", 0.2)
    monkeypatch.setattr(actors.duties.heartbeat, "DRIVEN_SECONDS", 1.0)
    database = floor.database
    run = await database.run(await database.business(), 50)

    async def driven() -> bool:
        ago = await heart(database, run)
        return ago is not None

    async def not_driven() -> bool:
        return bool(await heart(database, run) > STALE_SECONDS)

    async with floor.worker(twilio.url), database.pool.acquire() as foreign:
        await until(driven)
        async with foreign.transaction():
            await foreign.execute("SET idle_in_transaction_session_timeout = 0")
            await foreign.execute("LOCK TABLE dialer.businesses IN ACCESS EXCLUSIVE MODE")
            await polling.until(not_driven, 2 * STALE_SECONDS, "not driven")


async def test_a_run_with_nothing_to_call_is_driven_all_the_same(floor: Floor, twilio: Simulator) -> None:  # noqa: F811
    """So that nobody reads, when it goes on after a long stop, that the calling service is not running."""
    database = floor.database
    business = await database.business()
    run = await database.run(business, 3)
    await database.pool.execute("UPDATE dialer.businesses SET stopped_at = now()")
    await database.pool.execute("UPDATE outbound_call_runs SET lock_ts = dialer.utc() - interval '1 hour' WHERE id = $1", run)
    async with floor.worker(twilio.url):

        async def driven() -> bool:
            return bool(await heart(database, run) < STALE_SECONDS)

        await until(driven)
    assert (await database.checked_run(business, run)).queued == 3


async def test_heartbeats_do_not_wait_for_rewriting(floor: Floor, twilio: Simulator) -> None:  # noqa: F811
    """Job rows take long to rewrite; a run that is driven meanwhile says so all the same."""
    from dialer.messages import CommandType  # noqa: PLC0415 for this test alone

    database = floor.database
    business = await database.business()
    large = await database.run(business, 5_000, start=False)
    await database.command(business, CommandType.CANCEL, large)
    await database.pool.execute(SLOW_JOBS)
    async with floor.worker(twilio.url):

        async def rewriting() -> bool:
            return bool(await database.pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))

        await until(rewriting)
        run = await database.run(await database.business(), 50)

        async def driven() -> bool:
            return await heart(database, run) is not None

        await polling.until(driven, LATE_SECONDS, "driven")
        assert await database.runs.to_rewrite(list(range(256)), 10)


async def test_a_run_that_cannot_be_deleted_keeps_no_other(floor: Floor) -> None:  # noqa: F811
    database = floor.database
    business = await database.business()
    stuck, *others = [await database.run(business, 1, start=False) for _ in range(3)]
    await database.pool.execute("UPDATE outbound_call_runs SET status = 'cancelled', ended_at = now() - interval '9 days'")
    await database.pool.execute("UPDATE dialer.businesses SET retention_days = 5")
    await database.pool.execute(NOT_THIS_RUN.format(stuck))
    services = await floor.services(NOBODY)
    services.ownership.epochs.update(dict.fromkeys(range(256), 1))
    retention = RunRetention(services)

    async def deleted() -> bool:
        return bool(await database.pool.fetchval("SELECT array_agg(id) = $1 FROM outbound_call_runs", [stuck]))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(retention.loop.run())
        try:
            await until(deleted)
        finally:
            retention.loop.close()
    assert (await database.runs.get(business, others[0]), await database.runs.to_delete(list(range(256)), 10, [stuck])) == (None, [])


async def test_a_dispatcher_whose_loop_fails_is_restarted(floor: Floor, twilio: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    take = RateLimiter.take
    failures: list[int] = []

    async def fails_once(self: RateLimiter, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 whatever the limiter takes
        if not failures:
            failures.append(1)
            message = "on purpose"
            raise RuntimeError(message)
        return await take(self, *arguments, **named)

    monkeypatch.setattr(RateLimiter, "take", fails_once)
    business = await floor.database.business()
    run = await floor.database.run(business, 2)

    async def dialled() -> bool:
        return (await floor.database.checked_run(business, run)).queued == 0

    async with floor.worker(twilio.url) as (worker, _):
        await until(dialled)
        assert (failures, worker.failed) == ([1], False)


async def test_a_lease_that_is_restarted_joins_again(floor: Floor, twilio: Simulator) -> None:  # noqa: F811
    services = await floor.services(twilio.url)
    tasks = Tasks()
    supervisor = BusinessSupervisor(services, tasks, DutySupervisor(tasks, services.clock, lambda: None), lambda *_: None)
    ownership = Lease(services, supervisor, "again")

    async def owns_all() -> bool:
        return len(services.ownership.epochs) == 256

    for _ in range(2):
        running = asyncio.ensure_future(ownership.run())
        await until(owns_all)
        running.cancel()
        await asyncio.wait([running])
    # The same heartbeat may arrive twice: the reply to the first may have been lost.
    await services.workers.join(services.ownership.incarnation, "again", 6)
    assert (await services.workers.renew(services.ownership.incarnation, 6)).renewed


@pytest.mark.parametrize("jump_seconds", [4, -4])
async def test_the_clock_of_the_database_jumps(
    floor: Floor,  # noqa: F811
    twilio: Simulator,  # noqa: F811
    database_url: str,
    jump_seconds: int,
) -> None:
    """No lead is taken for as long as the provider may be late, and the reason is shown; then it goes on."""
    database = floor.database
    business = await database.business()
    connection = await asyncpg.connect(database_url)
    await connection.execute(SKEWED_CLOCK)
    await connection.close()
    async with floor.worker(twilio.url, DIALER_PROVIDER_LAG_SECONDS=5) as (_, services):
        leases: set[Any] = set()

        async def renewed_twice() -> bool:
            leases.add(await database.pool.fetchval("SELECT max(lease_until) FROM dialer.workers"))
            return len(leases - {None}) > 2

        await until(renewed_twice)
        assert services.ownership.clock_trusted_from == 0
        await database.pool.execute("UPDATE skewed.clock SET by = make_interval(secs => $1)", jump_seconds)

        async def noticed() -> bool:
            return services.ownership.clock_trusted_from > 0

        await until(noticed)
        run = await database.run(business, 2)

        async def reason_is_shown() -> bool:
            return bool(await database.pool.fetchval("SELECT reason = 'clock' FROM dialer.stalls WHERE business_id = $1", business))

        await until(reason_is_shown)
        assert (await database.checked_run(business, run)).queued == 2
        assert services.clock.boot() < services.ownership.clock_trusted_from + 5

        async def taken() -> bool:
            return (await database.checked_run(business, run)).queued == 0

        await until(taken)
        assert services.clock.boot() >= services.ownership.clock_trusted_from


async def test_all_connections_are_taken_by_others_for_a_while(
    floor: Floor,  # noqa: F811
    twilio: Simulator,  # noqa: F811
    database_url: str,
    redis_url: str,
) -> None:
    """The worker waits and goes on; the web process says that it is away, and is back."""
    database = floor.database
    business = await database.business()
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(serving(database_url, redis_url, database))
        worker, _ = await stack.enter_async_context(floor.worker(twilio.url))
        run = await site.load(3, start=False)
        others = await _take_all(database_url)
        try:
            killed = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name ~ '^(web|ringmaster)'"
            loop = asyncio.get_running_loop()
            began_at, statuses = loop.time(), set()
            while loop.time() - began_at < 5:
                await database.pool.fetchval(killed)
                others += await _take_all(database_url)
                statuses.add((await site.get(f"{RUNS}/{run}")).status)
            assert (503 in statuses, statuses <= {200, 503}) == (True, True)
        finally:
            await asyncio.gather(*(other.close() for other in others))
        second = await database.run(business, 2)

        async def dialled() -> bool:
            return (await database.checked_run(business, second)).queued == 0

        await until(dialled)
        assert not worker.failed
        assert (await site.get(f"{RUNS}/{run}")).status == 200


async def _take_all(database_url: str) -> list[Any]:
    found = []
    while True:
        try:
            found.append(await asyncpg.connect(database_url))
        except asyncpg.TooManyConnectionsError:
            return found


async def test_the_calls_of_a_business_whose_account_cannot_be_opened_are_followed(floor: Floor) -> None:  # noqa: F811
    """Its calls were placed with the default account; then it is given one of its own, sealed with another key."""
    database = floor.database
    business = await database.business(2)
    run = await database.run(business, 4, concurrency=2)

    async def open_states() -> list[str]:
        rows = await database.pool.fetch("SELECT state FROM dialer.attempts WHERE business_id = $1 AND dialer.is_open(state)", business)
        return sorted(row["state"] for row in rows)

    async with simulator.running(port=0, scenario="slow", speed=1) as there:
        async with floor.worker(there.url, "first"):

            async def placed() -> bool:
                return len(there.call_log.calls) == 2 and "placing" not in await open_states()

            await until(placed)
        await database.own_account(business, "AC1", "sealed with a key that was removed", secret_key="removed" * 8)
        async with floor.worker(there.url, "second") as (_, services):
            account = Account(simulator.TEST_ACCOUNT, SecretStr(simulator.TEST_TOKEN))
            for sid in list(there.call_log.calls):
                assert await services.provider.hang_up(account, sid)

            async def ended() -> bool:
                return not await open_states()

            await polling.until(ended, FOLLOWED_SECONDS, "its calls are over")

            async def reason_is_shown() -> bool:
                return bool(await database.pool.fetchval("SELECT reason = 'account' FROM dialer.stalls WHERE business_id = $1", business))

            await until(reason_is_shown)
            assert (await database.checked_run(business, run)).queued == 2
        assert len(there.call_log.calls) == 2, "no lead is taken"
