"""Calling hours with a real worker: it computes the windows, and dials what is open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import asyncpg

from dialer.policy.calling_hours import WEEKDAYS
from tests.integration.test_worker import Floor, floor, twilio, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from telephony.simulator import Simulator

__all__ = ["floor", "twilio"]

OPEN, CLOSED = "US:Pacific/Kiritimati", "US:Pacific/Midway"
EVERY_PHONE = [f"+1202555{n:04}" for n in range(1, 5)]


def hours_open_in(zone: str) -> dict[str, Any]:
    """Hours of all of today in one zone; its clock is 25 hours ahead of the other's, where it is another day."""
    today = datetime.now(UTC).astimezone(ZoneInfo(zone.split(":")[1]))
    days = {WEEKDAYS[(today + timedelta(days=n)).weekday()]: [["00:00", "24:00"]] for n in (0, 1)}
    return {**days, "holidays": "open"}


async def test_a_worker_opens_the_zones_whose_hours_have_come(floor: Floor, twilio: Simulator) -> None:
    database = floor.database
    business = await database.business()
    await database.pool.execute("UPDATE dialer.businesses SET calling_hours = $2 WHERE business_id = $1", business, hours_open_in(OPEN))
    run = await database.run(business, EVERY_PHONE, zones=[OPEN, CLOSED])

    async def half_is_called() -> bool:
        seen = await database.checked_run(business, run)
        return seen.completed == 2

    async with floor.worker(twilio.url):
        await until(half_is_called)
        waiting = await database.pool.fetch("SELECT zone, opens_at > now() AS later FROM dialer.run_zones WHERE run_id = $1", run)
        assert {row["zone"]: row["later"] for row in waiting} == {OPEN: False, CLOSED: True}
        await database.pool.execute("UPDATE dialer.businesses SET calling_hours = NULL WHERE business_id = $1", business)
        await database.pool.execute("SELECT dialer.reset_windows_v1($1, NULL)", business)

        async def all_is_called() -> bool:
            return (await database.checked_run(business, run)).completed == 4

        await until(all_is_called)


async def test_hours_that_cannot_be_read_and_a_locked_row_hold_up_no_other_run(floor: Floor, twilio: Simulator, database_url: str) -> None:
    database = floor.database
    broken, locked, other = [await database.business() for _ in range(3)]
    for business in (broken, locked, other):
        hours = {"x": 1} if business == broken else hours_open_in(OPEN)
        await database.pool.execute("UPDATE dialer.businesses SET calling_hours = $2 WHERE business_id = $1", business, hours)
    runs = [await database.run(business, EVERY_PHONE, zones=[OPEN]) for business in (broken, locked, other)]

    def called(business: int, run: int) -> Callable[[], Awaitable[bool]]:
        async def is_called() -> bool:
            return (await database.checked_run(business, run)).queued < len(EVERY_PHONE)

        return is_called

    foreign = await asyncpg.connect(database_url)  # the pool ends a session that idles in a transaction
    await foreign.execute("BEGIN")
    await foreign.execute("SELECT FROM dialer.run_zones WHERE run_id = $1 FOR UPDATE", runs[1])
    async with floor.worker(twilio.url):
        await until(called(other, runs[2]))
        await foreign.close()
        await until(called(locked, runs[1]))
    seen = await database.checked_run(broken, runs[0])
    assert (seen.queued, seen.skipped) == (len(EVERY_PHONE), 0)
