"""What pre-flight says of a list with every kind of lead is what then happens, in days that pass in seconds."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dialer.messages import CommandType
from dialer.model import AttemptState
from dialer.policy.calling_hours import WEEKDAYS, CallingHours
from dialer.policy.windows import Window, next_window
from sql.attempts.attempts import Fact
from sql.attempts.verdicts import VerdictCode
from sql.runs.zone_windows import ZoneWindow
from tests.chaos.polling import until
from tests.web_site import RUNS

if TYPE_CHECKING:
    from sql.runs.zone_windows import ClosedZone
    from tests.rows import DatabaseFixture
    from tests.web_site import Response, Site

# The four cycles below have no common factor: 16,380 leads are every kind of number with every history, list and refusal, 1,260 the first
# three, 140 the first two.
LEADS = int(os.environ.get("PREFLIGHT_LEADS", "400"))
LINES, BUDGET, CAP = 60, 20, 3
MOMENT, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# The last half hour that has struck: no gap ends near a whole hour, when zones open, close, and begin a new day.
BEGUN = (datetime.now(UTC) - HOUR / 2).replace(minute=30, second=0, microsecond=0)
WEEK: dict[str, Any] = {**{day: [["09:00", "17:00"]] for day in WEEKDAYS}, "holidays": "open"}
TWO_DAYS: dict[str, Any] = {"dates": {(BEGUN + n * DAY).date().isoformat(): [["09:00", "17:00"]] for n in (0, 1)}}

# How many hours ago a number was called.
EARLIER_CALLS = ((), (), (2,), (23,), (25, 26, 27), (0.4, 0.8, 1.2), (0.4, 0.8, 26))
# Where a number is listed: not at all, by the business, in a register, in a former one, by another business.
LISTS = ("", "", "", "", "", "own", "register", "former", "rival")
# How many days ago the provider refused a number, and with which code: the number's fault, too long ago, the account's fault.
REFUSALS = (*[None] * 10, (40, 21211), (91, 21211), (40, 10001))
REJECTED: tuple[dict[str, Any], ...] = (
    {"phone": "100"},
    {"phone": "*2700"},
    {"phone": "+19002000001"},
    {"phone": "+88212345678"},
    {"phone": "+97255000001"},
    {"phone": "a number"},
    {"phone": None},
    {"phone": "+972529999999", "timezone": "Mars/Olympus"},
)
# The first repeats a lead, the second a number.
REPEATED: tuple[dict[str, Any], ...] = ({"lead_id": 1, "phone": "+972529999998"}, {"phone": "+972500000000"})

PREFLIGHT = f"{RUNS}/preflight"
WAITS = {"gap": "recently_called", "daily_cap": "daily_cap", None: "closed"}
ZONES = "SELECT zone, sum(last_position - first_position + 1)::integer AS leads FROM dialer.run_zones WHERE run_id = $1 GROUP BY zone"
WAITING = """
SELECT j.id, q.reason FROM public.outbound_call_jobs j LEFT JOIN dialer.retries q ON q.job_id = j.id
WHERE j.run_id = $1 AND j.status = 'queued'
"""
CALLED = """
INSERT INTO dialer.attempts (business_id, run_id, job_id, state, token, nonce, phone, from_number, ring_seconds, created_at, send_by,
                             error_code)
SELECT $1, 0, 0, $2, gen_random_uuid(), gen_random_uuid(), c.phone, '', 5, c.at, c.at, c.code
FROM unnest($3::text[], $4::timestamptz[], $5::integer[]) AS c (phone, at, code)
"""
LISTED = "INSERT INTO dialer.do_not_call (business_id, phone, register_id) SELECT $1, unnest($2::text[]), $3"
REGISTER = "INSERT INTO dialer.registers (business_id, name, current) VALUES ($1, 'israel', $2) RETURNING register_id"
# Time passes: whatever is stored lies so much longer ago, or is due so much sooner.
PASSES = (
    "UPDATE dialer.attempts SET created_at = created_at - $1::interval",
    "UPDATE dialer.retries SET due_at = due_at - $1::interval",
    """
    UPDATE dialer.run_zones SET opens_at = opens_at - $1::interval, closes_at = closes_at - $1::interval,
                                day_from = day_from - $1::interval, day_to = day_to - $1::interval
    """,
)


def zone_at(hour: int) -> str:
    """A time zone in which it was this hour when the tests began."""
    east = (hour - BEGUN.hour + 11) % 24 - 11
    return f"Etc/GMT{-east:+d}"


def number(n: int) -> dict[str, Any]:
    """The number of a lead, one of twenty kinds, and its zone where it is not that of the number."""
    kinds: list[dict[str, Any]] = [
        *[{"phone": f"+97250{n:07}", "timezone": zone_at(12)}] * 8,
        *[{"phone": f"+97252{n:07}", "timezone": zone_at(hour)} for hour in (3, 8, 16, 20, 23)],
        {"phone": f"+97254{n:07}"},
        {"phone": f"+12083{n:06}"},
        {"phone": f"+18002{n:06}"},  # in 42 zones, which are never open together
        {"phone": f"+15555550{100 + n // 20}"},  # in no zone
        {"phone": f"+16502{n:06}", "timezone": zone_at(12)},
        {"phone": f"+4474001{n:05}", "timezone": zone_at(12)},
        {"phone": f"+3361234{n:04}"},
    ]
    return kinds[n % len(kinds)]


@dataclass
class Days:
    """Dials a run while days pass: `ahead` is how much later it is than the clock says, `firsts` the calls of each lead."""

    site: Site
    run_id: int
    ahead: timedelta = timedelta()
    calls: list[datetime] = field(default_factory=list)

    @property
    def database(self) -> DatabaseFixture:
        return self.site.database

    async def dial(self) -> datetime | None:
        """Call all that may be called now; return when more may be."""
        while True:
            await self._open_zones()
            attempts, verdicts = await self.database.claim(self.site.business, permits=LINES)
            over = [
                Fact(a.business_id, a.attempt_id, a.nonce, AttemptState.OVER, token=str(a.token), outcome="completed") for a in attempts
            ]
            await self.database.attempts.record(over)
            self.calls += [datetime.now(UTC) + self.ahead] * len(over)
            verdict = verdicts[self.site.business]
            if verdict.code in {VerdictCode.EMPTY, VerdictCode.PUT_OFF, VerdictCode.REGISTER_TOO_OLD}:
                return verdict.put_off_until

    async def dial_all(self) -> dict[int, str]:
        """Call until no lead is left; return why leads had to wait at first."""
        then = await self.dial()
        waited = {row["id"]: WAITS[row["reason"]] for row in await self.database.pool.fetch(WAITING, self.run_id)}
        while then is not None:
            await self.wait(then - datetime.now(UTC))
            then = await self.dial()
        return waited

    async def wait(self, time: timedelta) -> None:
        passed = max(time, timedelta()) + timedelta(milliseconds=1)
        for statement in PASSES:
            await self.database.pool.execute(statement, passed)
        self.ahead += passed

    async def counted(self, column: str) -> dict[str, int]:
        """The jobs of the run by what this column says."""
        count = f"SELECT {column} AS value, count(*)::integer AS n FROM outbound_call_jobs WHERE run_id = $1 GROUP BY 1"  # noqa: S608 - our own names
        return {row["value"]: row["n"] for row in await self.database.pool.fetch(count, self.run_id) if row["value"]}

    async def _open_zones(self) -> None:
        while zones := await self.database.runs.closed_zones(list(range(256)), 1000):
            await self.database.runs.store_windows([self._window(zone) for zone in zones])

    def _window(self, zone: ClosedZone) -> ZoneWindow:
        hours = None if zone.hours is None else CallingHours.model_validate(zone.hours)
        window = next_window(hours, zone.zone, zone.now + self.ahead, by_day=zone.by_day)
        return ZoneWindow(zone, window and Window(*(at - self.ahead for at in window)))


def every_kind() -> list[dict[str, Any]]:
    rows = [{"lead_id": n + 1, **number(n)} for n in range(LEADS)]
    bad = [{"lead_id": 1_000_000 + n, **row} for n, row in enumerate((*REJECTED, *REPEATED) * (LEADS // 100))]
    return rows + bad


async def past(site: Site) -> None:
    """Give the numbers their earlier calls, of which one in eleven was never placed, and their refusals, and put some on lists."""
    phones = {n: number(n)["phone"] for n in range(LEADS)}
    for state, is_it in (("over", lambda n: n % 11), ("not_placed", lambda n: not n % 11)):
        calls = [
            (phone, BEGUN - hours * HOUR, None)
            for n, phone in phones.items()
            if is_it(n)
            for hours in EARLIER_CALLS[n % len(EARLIER_CALLS)]
        ]
        await site.database.pool.execute(CALLED, site.business, state, *map(list, zip(*calls, strict=True)))
    refusals = {n: refusal for n in phones if (refusal := REFUSALS[n % len(REFUSALS)])}
    refused = [(phones[n], BEGUN - days * DAY, code) for n, (days, code) in refusals.items()]
    await site.database.pool.execute(CALLED, site.business, "over", *map(list, zip(*refused, strict=True)))
    former = await site.database.pool.fetchval(REGISTER, site.business, False)  # noqa: FBT003 - a column
    current = former + 1
    for name, business, register in (
        ("own", site.business, 0),
        ("register", site.business, current),
        ("former", site.business, former),
        ("rival", site.rival, 0),
    ):
        listed = [phone for n, phone in phones.items() if LISTS[n % len(LISTS)] == name]
        await site.database.pool.execute(LISTED, business, listed, register)


async def said(site: Site, method: str, path: str, body: object, status: int = 200) -> Any:  # noqa: ANN401 - any JSON
    response: Response = await site.request(method, path, json=body, token="admin")
    assert response.status == status, response.body
    return response.json


async def judged(days: Days, answer: dict[str, Any], created: dict[str, Any], waited: dict[int, str]) -> None:
    """Compare each number of the answer of pre-flight with the rows."""
    jobs = days.database.pool.fetch
    called = {row["id"] for row in await jobs("SELECT id FROM outbound_call_jobs WHERE run_id = $1 AND attempts > 0", days.run_id)}
    run = await days.database.checked_run(days.site.business, days.run_id)
    assert (run.status, run.queued, run.completed, run.skipped) == ("completed", 0, answer["will_call"], sum(answer["skipped"].values()))
    assert len(days.calls) == len(called) == answer["will_call"]
    assert await days.counted("reason") == answer["skipped"]
    assert {"number_refused", "do_not_call"} < set(answer["skipped"])
    waits = [reason for job, reason in waited.items() if job in called]
    assert {reason: waits.count(reason) for reason in set(waits)} == answer["waiting"]
    recent = "SELECT count(*) FROM dialer.refusals WHERE run_id = $1 AND rule = 'gap'"
    assert await days.database.pool.fetchval(recent, days.run_id) == answer["recently_called"]
    assert {name: created[name] for name in ("rejected", "duplicates")} == {name: answer[name] for name in ("rejected", "duplicates")}
    assert created["accepted"] == run.total_leads == answer["will_call"] + sum(answer["skipped"].values())
    first, last = (datetime.fromisoformat(answer[name]) for name in ("first_call_at", "ends_at"))
    assert timedelta() <= min(days.calls) - first < MOMENT
    assert -MOMENT < last - max(days.calls) < HOUR


async def warned(days: Days, answer: dict[str, Any], *, closes: bool) -> None:
    """Compare the numbers in the warnings with the rows."""
    zones = {row["zone"]: row["leads"] for row in await days.database.pool.fetch(ZONES, days.run_id)}
    of_country = {country: sum(n for zone, n in zones.items() if zone.startswith(country)) for country in ("FR", "GB", "US")}
    expected = [f"Leads in another country than the business ({country}): {n}." for country, n in of_country.items()]
    if closes:
        lost = sum(n for zone, n in zones.items() if zone.endswith(":"))
        expected.append(f"Leads whose time zone is not known: {lost}. With calling hours they are never called; give them a timezone.")
    expected.append(f"The budget allows {BUDGET} calls, fewer than there are leads to call: {answer['will_call']}.")
    assert [warning["detail"] for warning in answer["warnings"]] == expected


async def set_rules(site: Site, hours: object, gap_hours: int) -> None:
    rules = {"calling_hours": hours, "min_gap_hours": gap_hours, "max_per_day": CAP, "allowed_countries": ["IL", "US"]}
    await said(site, "PATCH", "/api/business", {**rules, "required_registers": [{"name": "israel", "max_age_days": 15}]})
    await site.database.pool.execute("UPDATE dialer.lanes SET max_calls = $1, cap = $1", LINES)


async def no_call_without_a_register(days: Days, body: object) -> None:
    answer = await said(days.site, "POST", PREFLIGHT, body)
    assert (await days.dial(), days.calls, answer["first_call_at"], answer["ends_at"]) == (None, [], None, None)
    assert "register_missing" in {warning["code"] for warning in answer["warnings"]}
    await days.database.pool.execute(REGISTER, days.site.business, True)  # noqa: FBT003 - a column


async def use_up_the_budget(days: Days) -> None:
    """Dial until the run pauses; then lift its budget."""
    await days.dial()
    run = await days.database.checked_run(days.site.business, days.run_id)
    assert (run.status, len(days.calls)) == ("paused", BUDGET)
    await said(days.site, "PATCH", f"{RUNS}/{days.run_id}", {"budget": None})
    await days.database.command(days.site.business, CommandType.RESUME, days.run_id)


async def off_the_hour() -> bool:
    return datetime.now(UTC).minute < 59


@pytest.mark.parametrize(
    ("hours", "gap_hours", "recently_called", "later"),
    [(WEEK, 24, "wait", 0), (TWO_DAYS, 24, "skip", 0), (WEEK, 1, "wait", 10), (None, 24, "wait", 0)],
    ids=["hours", "dates, skip", "scheduled", "always open"],
)
async def test_what_it_says_happens(site: Site, hours: object, gap_hours: int, recently_called: str, later: int) -> None:
    await until(off_the_hour, 2 * MOMENT.total_seconds(), "the hour has begun in which leads are called")
    await set_rules(site, hours, gap_hours)
    await past(site)
    start = {"schedule_at": (datetime.now(UTC) + later * HOUR).isoformat()} if later else {"start": True}
    body: dict[str, Any] = {"leads": every_kind(), "recently_called": recently_called, "budget": {"calls": BUDGET}, **start}
    created = await said(site, "POST", RUNS, body, 201)
    days = Days(site, created["run_id"])
    await no_call_without_a_register(days, body)
    answer = await said(site, "POST", PREFLIGHT, body)
    assert len(body["leads"]) == created["accepted"] + len(answer["rejected"]) + len(answer["duplicates"])
    if later:
        await days.wait(later * HOUR)
        await days.database.command(site.business, CommandType.START, days.run_id)
    await use_up_the_budget(days)
    waited = await days.dial_all()
    await judged(days, answer, created, waited)
    await warned(days, answer, closes=hours is not None)
