"""The rules of calling in the claim, to the microsecond: the last moment at which a lead is taken, and the first one at which it is not.

All is claimed in one transaction, in which now() stands still, and the windows are the product's own, moved from their moment to now().
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from dialer.phones.zones import zones_of
from dialer.policy.calling_hours import WEEKDAYS, CallingHours, default_hours
from dialer.policy.time_zones import read_key, time_zone
from dialer.policy.windows import Window, next_window
from sql.attempts.verdicts import VerdictCode
from sql.pool import Pool
from sql.runs.zone_windows import ZoneWindow
from tests.integration.test_claim_rules import PHONE, rules
from tests.rows import DatabaseFixture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import timedelta

    from sql.pool import Connection
    from sql.runs.zone_windows import ClosedZone

JERUSALEM = "IL:Asia/Jerusalem"
NEW_YORK = "US:America/New_York"
# Zones that changed their rules in 2026: one keeps its summer time, one gives it up.
VANCOUVER, CASABLANCA = "CA:America/Vancouver", "MA:Africa/Casablanca"
RUSSIA = f"RU:{','.join(zones_of('+79161234567').zones)}"
NORTH_AMERICA = f"US:{','.join(zones_of('+18002234567').zones)}"
ISRAEL, AMERICA = (default_hours(region).model_dump(mode="json", exclude_none=True) for region in ("IL", "US"))
TAKEN, NEVER, REFUSED = "taken", "hours_never_open", "number_refused"
# Of a claim.
MOST_BUSINESSES = 32
CALLED = """
INSERT INTO dialer.attempts (business_id, run_id, job_id, state, token, nonce, phone, from_number, ring_seconds, created_at, send_by,
                             error_code)
SELECT $1, 0, 0, 'over', gen_random_uuid(), gen_random_uuid(), $2, '', 5, $3, $3, $4
"""


class Edge(NamedTuple):
    """At this moment a claim finds a lead of this zone, which has been called at that time (by another run), and refused with this code.

    `verdict` is the moment until which the claim puts the business off, by the clock of the first zone; or the lead is taken, or skipped.
    """

    rules: dict[str, Any]
    zone: str
    moment: str
    verdict: str
    called: str | None = None
    code: int | None = None

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.moment)


def hours(**days: object) -> dict[str, Any]:
    return {"calling_hours": {"holidays": "open", "dates": {}} | days}


def every_day(*intervals: list[str]) -> dict[str, Any]:
    return hours(**{day: list(intervals) for day in WEEKDAYS})


IN_ISRAEL, IN_AMERICA = {"calling_hours": ISRAEL}, {"calling_hours": AMERICA}
OFFICE = every_day(["09:00", "17:00"])
LEAP_DAY = hours(dates={"2028-02-29": [["09:00", "10:00"]]})
NIGHT = {**every_day(["00:00", "02:00"], ["20:00", "24:00"]), "max_per_day": 2}
FRIDAY_NIGHT, SUNDAY_NIGHT = hours(friday=[["01:30", "02:30"]]), hours(sunday=[["01:15", "01:45"]])
GAP, LONG_GAP, CAP = {"min_gap_hours": 24.0}, {"min_gap_hours": 2400.0}, {"max_per_day": 1}

HOURS = [
    # A claim takes nothing in the last 5 seconds, since its calls may be sent for so long: 20:59:50 is taken, 20:59:55 is not, nor anything
    # after it. One second after the end the next window is known.
    Edge(IN_AMERICA, NEW_YORK, "2026-11-24 07:59:59.999999-05:00", "2026-11-24 08:00:00-05:00"),
    Edge(IN_AMERICA, NEW_YORK, "2026-11-24 08:00:00-05:00", TAKEN),
    Edge(IN_AMERICA, NEW_YORK, "2026-11-24 20:59:50-05:00", TAKEN),
    Edge(IN_AMERICA, NEW_YORK, "2026-11-24 20:59:54.999999-05:00", TAKEN),
    Edge(IN_AMERICA, NEW_YORK, "2026-11-24 20:59:55-05:00", "2026-11-24 21:00:01-05:00"),
    Edge(IN_AMERICA, NEW_YORK, "2026-11-24 20:59:59-05:00", "2026-11-24 21:00:01-05:00"),
    Edge(IN_AMERICA, NEW_YORK, "2026-11-24 21:00:00-05:00", "2026-11-25 08:00:00-05:00"),
    # The same moment, where it is morning.
    Edge(IN_AMERICA, "IN:Asia/Kolkata", "2026-11-25 07:30:00+05:30", "2026-11-25 08:00:00+05:30"),
    # The eve of Yom Kippur, a Sunday, ends at 15:00; the next day is closed.
    Edge(IN_ISRAEL, JERUSALEM, "2026-09-20 14:59:54.999999+03:00", TAKEN),
    Edge(IN_ISRAEL, JERUSALEM, "2026-09-20 14:59:55+03:00", "2026-09-20 15:00:01+03:00"),
    Edge(IN_ISRAEL, JERUSALEM, "2026-09-20 15:00:00+03:00", "2026-09-22 08:00:00+03:00"),
    Edge(IN_ISRAEL, JERUSALEM, "2026-09-21 12:00:00+03:00", "2026-09-22 08:00:00+03:00"),
    Edge(IN_ISRAEL, JERUSALEM, "2026-09-22 08:00:00+03:00", TAKEN),
    Edge(IN_ISRAEL, "US:Asia/Jerusalem", "2026-09-21 12:00:00+03:00", TAKEN),
    Edge(IN_ISRAEL, JERUSALEM, "2026-11-27 15:00:00+02:00", "2026-11-29 08:00:00+02:00"),
    # The night on which the clocks skip an hour: it closes as they do; and the morning after comes an hour sooner.
    Edge(FRIDAY_NIGHT, JERUSALEM, "2026-03-27 01:59:54.999999+02:00", TAKEN),
    Edge(FRIDAY_NIGHT, JERUSALEM, "2026-03-27 01:59:55+02:00", "2026-03-27 03:00:01+03:00"),
    Edge(FRIDAY_NIGHT, JERUSALEM, "2026-03-27 03:00:00+03:00", "2026-04-03 01:30:00+03:00"),
    Edge(IN_AMERICA, NEW_YORK, "2026-03-07 21:00:00-05:00", "2026-03-08 08:00:00-04:00"),
    # The night on which they show an hour twice: both are open, with an hour between them.
    Edge(SUNDAY_NIGHT, JERUSALEM, "2026-10-25 01:44:54.999999+03:00", TAKEN),
    Edge(SUNDAY_NIGHT, JERUSALEM, "2026-10-25 01:44:55+03:00", "2026-10-25 01:45:01+03:00"),
    Edge(SUNDAY_NIGHT, JERUSALEM, "2026-10-25 01:45:00+03:00", "2026-10-25 01:15:00+02:00"),
    Edge(SUNDAY_NIGHT, JERUSALEM, "2026-10-25 01:15:00+02:00", TAKEN),
    Edge(SUNDAY_NIGHT, JERUSALEM, "2026-10-25 01:45:00+02:00", "2026-11-01 01:15:00+02:00"),
    Edge(IN_AMERICA, NEW_YORK, "2026-10-31 21:00:00-04:00", "2026-11-01 08:00:00-05:00"),
    # No clock is put back in Vancouver in 2026; in Casablanca it is in September, and then never again.
    Edge(IN_AMERICA, VANCOUVER, "2026-10-31 21:00:00-07:00", "2026-11-01 08:00:00-07:00"),
    Edge(IN_AMERICA, VANCOUVER, "2026-11-01 20:59:54.999999-07:00", TAKEN),
    Edge(IN_AMERICA, VANCOUVER, "2026-11-01 21:00:00-07:00", "2026-11-02 08:00:00-07:00"),
    Edge(IN_AMERICA, CASABLANCA, "2026-09-19 21:00:00+01:00", "2026-09-20 08:00:00+00:00"),
    Edge(IN_AMERICA, CASABLANCA, "2027-03-14 20:59:54.999999+00:00", TAKEN),
    Edge(IN_AMERICA, CASABLANCA, "2027-03-14 21:00:00+00:00", "2027-03-15 08:00:00+00:00"),
    # A leap day: as any day, and by its date; after it that date never comes again.
    Edge(IN_AMERICA, NEW_YORK, "2028-02-28 21:00:00-05:00", "2028-02-29 08:00:00-05:00"),
    Edge(IN_AMERICA, NEW_YORK, "2028-02-29 21:00:00-05:00", "2028-03-01 08:00:00-05:00"),
    Edge(LEAP_DAY, JERUSALEM, "2026-11-24 12:00:00+02:00", "2028-02-29 09:00:00+02:00"),
    Edge(LEAP_DAY, JERUSALEM, "2028-02-29 09:59:54.999999+02:00", TAKEN),
    Edge(LEAP_DAY, JERUSALEM, "2028-02-29 10:00:00+02:00", NEVER),
    # A number that may be anywhere in Russia: from 8 in Kaliningrad, when it is 18:00 in Anadyr, to 21:00 there.
    Edge(IN_AMERICA, RUSSIA, "2026-11-24 17:59:59.999999+12:00", "2026-11-24 18:00:00+12:00"),
    Edge(IN_AMERICA, RUSSIA, "2026-11-24 18:00:00+12:00", TAKEN),
    Edge(IN_AMERICA, RUSSIA, "2026-11-24 20:59:54.999999+12:00", TAKEN),
    Edge(IN_AMERICA, RUSSIA, "2026-11-24 21:00:00+12:00", "2026-11-25 18:00:00+12:00"),
    # Hours that are never open: of no zone, of zones too far apart, of no day.
    Edge(IN_AMERICA, "US:", "2026-11-24 12:00:00+00:00", NEVER),
    Edge(OFFICE, NORTH_AMERICA, "2026-11-24 12:00:00-10:00", NEVER),
    Edge(hours(), JERUSALEM, "2026-11-24 12:00:00+02:00", NEVER),
    # With a daily cap a window ends with the day, and one over midnight is two.
    Edge(NIGHT, JERUSALEM, "2026-11-24 23:59:54.999999+02:00", TAKEN),
    Edge(NIGHT, JERUSALEM, "2026-11-24 23:59:55+02:00", "2026-11-25 00:00:01+02:00"),
    Edge(NIGHT, JERUSALEM, "2026-11-25 00:00:00+02:00", TAKEN),
]

CALLS = [
    # At the very end of the gap a lead is called.
    Edge(GAP, JERUSALEM, "2026-11-24 12:00:00+02:00", TAKEN, called="2026-11-23 12:00:00+02:00"),
    Edge(GAP, JERUSALEM, "2026-11-24 11:59:59.999999+02:00", "2026-11-24 12:00:00+02:00", called="2026-11-23 12:00:00+02:00"),
    # Over a night on which the clocks change, too, it is 24 hours.
    Edge(GAP, JERUSALEM, "2026-03-27 12:00:00+03:00", "2026-03-27 13:00:00+03:00", called="2026-03-26 12:00:00+02:00"),
    # The day of the cap begins at the lead's midnight, and has 23 or 25 hours when the clocks change.
    Edge(CAP, NEW_YORK, "2026-11-24 12:00:00-05:00", TAKEN, called="2026-11-23 23:59:59.999999-05:00"),
    Edge(CAP, NEW_YORK, "2026-11-24 12:00:00-05:00", "2026-11-25 00:00:00-05:00", called="2026-11-24 00:00:00-05:00"),
    Edge(CAP, NEW_YORK, "2026-03-08 23:00:00-04:00", "2026-03-09 00:00:00-04:00", called="2026-03-08 00:00:00-05:00"),
    Edge(CAP, NEW_YORK, "2026-03-09 00:00:00-04:00", TAKEN, called="2026-03-08 23:59:59.999999-04:00"),
    Edge(CAP, NEW_YORK, "2026-11-01 23:00:00-05:00", "2026-11-02 00:00:00-05:00", called="2026-11-01 00:00:00-04:00"),
    # A number that the provider has refused is not called for 90 days.
    Edge(GAP, JERUSALEM, "2026-11-24 12:00:00+02:00", REFUSED, called="2026-08-26 13:00:00+03:00", code=21211),
    Edge(GAP, JERUSALEM, "2026-11-24 12:00:00+02:00", TAKEN, called="2026-08-26 12:59:59.999999+03:00", code=21211),
    # A gap that is longer than that still only lets the number wait.
    Edge(LONG_GAP, JERUSALEM, "2026-11-24 12:00:00+02:00", "2026-12-03 11:00:00+02:00", called="2026-08-25 12:00:00+03:00", code=21211),
]


class OneMoment(Pool):
    """One connection, whose transaction is the test."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        yield self._connection


@asynccontextmanager
async def one_moment(database: DatabaseFixture) -> AsyncIterator[DatabaseFixture]:
    async with database.pool.acquire() as connection, connection.transaction():
        still = DatabaseFixture(OneMoment(connection))
        still.incarnation, still.epochs = database.incarnation, database.epochs
        yield still


def window_of(zone: ClosedZone, edge: Edge, later: timedelta) -> ZoneWindow:
    """The window at the moment of the edge, as it is so much later."""
    found = None if zone.hours is None else CallingHours.model_validate(zone.hours)
    window = next_window(found, zone.zone, edge.at, by_day=zone.by_day)
    return ZoneWindow(zone, window and Window(*(at + later for at in window)))


async def store(still: DatabaseFixture, edges: dict[int, Edge]) -> dict[int, timedelta]:
    """The windows and calls of these businesses, each moved by the time from its moment to now, which is returned."""
    now: datetime = await still.pool.fetchval("SELECT now()")
    later = {business: now - edge.at for business, edge in edges.items()}
    closed = await still.runs.closed_zones(list(range(256)), 1000)
    if closed:
        await still.runs.store_windows([window_of(zone, edges[zone.business_id], later[zone.business_id]) for zone in closed])
    for business, edge in edges.items():
        if edge.called:
            await still.pool.execute(CALLED, business, PHONE, datetime.fromisoformat(edge.called) + later[business], edge.code)
    return later


async def verdicts_of(still: DatabaseFixture, edges: dict[int, Edge]) -> dict[int, str]:
    """What the claim says of the only lead of each business."""
    later = await store(still, edges)
    said: dict[int, str] = {}
    for first in range(0, len(edges), MOST_BUSINESSES):
        businesses = list(edges)[first : first + MOST_BUSINESSES]
        attempts, _ = await still.claim(*businesses)
        said |= dict.fromkeys((attempt.business_id for attempt in attempts), TAKEN)
        # A lead that was put off or skipped is claimed again at once.
        _, verdicts = await still.claim(*(business for business in businesses if business not in said))
        for business, verdict in verdicts.items():
            if verdict.code is VerdictCode.PUT_OFF:
                assert verdict.put_off_until
                said[business] = local(verdict.put_off_until - later[business], edges[business].zone)
    skipped = await still.pool.fetch("SELECT business_id, reason FROM outbound_call_jobs WHERE status = 'skipped'")
    return said | {row["business_id"]: row["reason"] for row in skipped}


def local(moment: datetime, key: str) -> str:
    return moment.astimezone(time_zone(read_key(key).zones[0])).isoformat(" ")


@pytest.mark.parametrize("edges", [HOURS, CALLS], ids=["hours", "earlier calls"])
async def test_a_lead_is_taken_up_to_the_edge_of_a_rule_and_not_beyond(database: DatabaseFixture, edges: Sequence[Edge]) -> None:
    of_business: dict[int, Edge] = {}
    for edge in edges:
        business = await database.business()
        await rules(database, business, **edge.rules)
        await database.run(business, [PHONE], zones=[edge.zone])
        of_business[business] = edge
    async with one_moment(database) as still:
        said = await verdicts_of(still, of_business)
    found = [(edge, said.get(business, "nothing")) for business, edge in of_business.items()]
    assert [(edge, verdict) for edge, verdict in found if verdict != edge.verdict] == []
