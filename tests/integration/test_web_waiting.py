"""The reasons a run waits, in the API and on its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.dispatch.circuit_breaker import RESET, TRIP
from dialer.model import AttemptState
from dialer.streams.client import Streams, account_key
from tests.chaos.polling import until
from tests.web_site import ACCOUNT, RUNS

if TYPE_CHECKING:
    from tests.web_site import Site

# Redis is given a moment to answer; on a stalled machine it takes longer, and the page then leaves the time out.
WITHIN_SECONDS = 10


async def test_a_run_that_waits_for_the_provider_says_since_when(site: Site, redis_url: str) -> None:
    run = await site.load(3)
    streams = Streams(redis_url)

    async def since() -> object:
        return (await site.get(f"{RUNS}/{run}")).json["provider_waited_for_since"]

    try:
        assert await since() is None
        await streams.run_script(TRIP, [account_key(ACCOUNT)], ["30", "60", "refused"])
        await until(since, WITHIN_SECONDS, "the time since which the run waits")
        await streams.run_script(RESET, [account_key(ACCOUNT)], [])
        assert await since() is None
    finally:
        await streams.close()


async def test_without_redis_an_outage_is_not_reported(site_without_redis: Site) -> None:
    run = await site_without_redis.load(3)
    assert (await site_without_redis.get(f"{RUNS}/{run}")).json["provider_waited_for_since"] is None


async def reasons(site: Site, run: int) -> list[str]:
    found = (await site.get(f"{RUNS}/{run}")).json["waits_for"]
    assert all(wait["detail"] for wait in found)
    return [wait["reason"] for wait in found]


async def test_every_reason_to_wait_is_reported(site: Site) -> None:
    run = await site.load(6)
    beat = "UPDATE outbound_call_runs SET lock_ts = now() AT TIME ZONE 'UTC' WHERE business_id = $1"
    await site.database.pool.execute(beat, site.business)
    assert await reasons(site, run) == []
    attempts, _ = await site.database.claim(site.business)
    for attempt in attempts[1:]:
        await site.database.record(attempt, AttemptState.PLACED, sid=f"CA{attempt.attempt_id}")
    await site.database.record(attempts[0], AttemptState.UNKNOWN)
    assert await reasons(site, run) == ["unconfirmed_calls"]
    await site.database.record(attempts[0], AttemptState.PLACED, sid="CA0")
    assert await reasons(site, run) == ["lines_in_use"]
    for attempt in attempts:
        await site.database.record(attempt, AttemptState.OVER, outcome="busy")
    for reason in ("history", "busy", "parked", "clock"):
        await site.database.pool.execute("DELETE FROM dialer.stalls WHERE business_id = $1", site.business)
        await site.database.pool.execute("INSERT INTO dialer.stalls (business_id, reason) VALUES ($1, $2)", site.business, reason)
        assert await reasons(site, run) == [reason]
    await site.database.pool.execute("DELETE FROM dialer.stalls WHERE business_id = $1", site.business)
    await site.database.pool.execute(
        "UPDATE outbound_call_runs SET lock_ts = lock_ts - interval '1 minute' WHERE business_id = $1", site.business
    )
    assert await reasons(site, run) == ["no_worker"]
    await site.post(f"{RUNS}/{run}/pause", {})
    assert await reasons(site, run) == ["paused"]
    # A worker confirms running runs only: the time of the pause is not its silence.
    await site.post(f"{RUNS}/{run}/resume", {})
    assert await reasons(site, run) == []
