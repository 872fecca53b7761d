"""A run whose account's gate is shut says so, in the API and on its page, and stops saying so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.bucket import OPEN, SHUT
from dialer.streams import Streams, gate_key
from tests.web_site import ACCOUNT, RUNS

if TYPE_CHECKING:
    from tests.web_site import Site


async def test_a_run_that_waits_for_the_provider_says_since_when(site: Site, redis_url: str) -> None:
    run = await site.load(3)
    streams = Streams(redis_url)
    try:
        assert (await site.get(f"{RUNS}/{run}")).json["provider_waited_for_since"] is None
        await streams.run_script(SHUT, [gate_key(ACCOUNT)], ["30", "60", "refused"])
        assert (await site.get(f"{RUNS}/{run}")).json["provider_waited_for_since"]
        await streams.run_script(OPEN, [gate_key(ACCOUNT)], [])
        assert (await site.get(f"{RUNS}/{run}")).json["provider_waited_for_since"] is None
    finally:
        await streams.close()


async def test_with_redis_away_nobody_can_tell(lonely_site: Site) -> None:
    run = await lonely_site.load(3)
    assert (await lonely_site.get(f"{RUNS}/{run}")).json["provider_waited_for_since"] is None
