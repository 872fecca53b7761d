"""Pre-flight: what would become of a run, without writing anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.web_site import RUNS, leads

if TYPE_CHECKING:
    from tests.web_site import Response, Site

PREFLIGHT = f"{RUNS}/preflight"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
NEVER: dict[str, Any] = {}
ALL_DAY = {**{day: [["00:00", "24:00"]] for day in WEEKDAYS}, "holidays": "open"}
TABLES = ("public.outbound_call_runs", "public.outbound_call_jobs", "dialer.inbox", "dialer.audit_log", "dialer.lead_numbers")


async def ask(site: Site, body: object, **more: Any) -> Response:  # noqa: ANN401 - whatever aiohttp's client takes
    said = await site.post(PREFLIGHT, body, **more)
    assert said.status == 200, said.body
    return said


async def rows(site: Site) -> list[int]:
    return [await site.database.pool.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES]  # noqa: S608 - our own names


async def patch(site: Site, **rules: object) -> None:
    assert (await site.request("PATCH", "/api/business", json=rules, token="admin")).status == 200


async def called(site: Site, count: int, first: int = 1) -> int:
    """A run whose leads have all been called."""
    run_id = int((await site.post(RUNS, {"leads": leads(count, first), "start": True, "min_gap_hours": 0}, token="admin")).json["run_id"])
    while attempts := (await site.database.claim(site.business))[0]:
        for attempt in attempts:
            await site.post_callback(attempt, "busy")
    return run_id


async def forbid(site: Site, *phones: str, register: int = 0) -> None:
    add = "INSERT INTO dialer.do_not_call (business_id, phone, register_id) SELECT $1, unnest($2::text[]), $3"
    await site.database.pool.execute(add, site.business, list(phones), register)


async def test_every_kind_of_lead_is_told_and_nothing_is_written(site: Site) -> None:
    await called(site, 2)
    await patch(site, min_gap_hours=24, max_per_day=3, allowed_countries=["IL", "US"])
    await forbid(site, "+972500000003")
    await forbid(site, "+972500000005", register=77)  # of a register that is not in force
    body = [
        *leads(6),
        {"lead_id": 6, "phone": "+972500000009"},
        {"lead_id": 8, "phone": "100"},
        {"lead_id": 9, "phone": "+442079460018"},
        {"lead_id": 10, "phone": "+12025550123"},
    ]
    before = await rows(site)
    answer = (await ask(site, {"leads": body, "recently_called": "wait"})).json
    assert await rows(site) == before
    assert answer["will_call"] == 6
    assert answer["skipped"] == {"do_not_call": 1, "country_not_allowed": 1}
    assert answer["waiting"] == {"recently_called": 2}
    assert answer["recently_called"] == 2
    assert [row["row"] for row in answer["rejected"]] == [8]
    assert [row["row"] for row in answer["duplicates"]] == [7]
    assert answer["most_cost"] is None
    assert len(body) == answer["will_call"] + len(answer["rejected"]) + len(answer["duplicates"]) + sum(answer["skipped"].values())
    assert [warning["code"] for warning in answer["warnings"]] == ["other_country", "other_country"]
    first, last = (datetime.fromisoformat(answer[name]) for name in ("first_call_at", "ends_at"))
    assert timedelta() <= datetime.now(UTC) - first < timedelta(minutes=1)
    assert timedelta(hours=23) < last - first < timedelta(hours=25)
    skipping = (await ask(site, {"leads": body, "recently_called": "skip"})).json
    assert (skipping["will_call"], skipping["skipped"]["recently_called"], skipping["waiting"]) == (4, 2, {})
    assert skipping["recently_called"] == 2


async def test_hours_are_told(site: Site) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=3)).date()
    opening = {"dates": {tomorrow.isoformat(): [["09:00", "21:00"]]}}
    answer = (await ask(site, {"leads": leads(2), "calling_hours": opening})).json
    assert (answer["will_call"], answer["waiting"], answer["skipped"]) == (2, {"closed": 2}, {})
    assert datetime.fromisoformat(answer["first_call_at"]).date() == tomorrow
    assert [warning["code"] for warning in answer["warnings"]] == ["late"]
    answer = (await ask(site, {"leads": leads(2), "calling_hours": NEVER})).json
    assert (answer["will_call"], answer["skipped"], answer["first_call_at"], answer["ends_at"]) == (0, {"hours_never_open": 2}, None, None)
    answer = (await ask(site, {"leads": leads(2), "calling_hours": ALL_DAY})).json
    assert (answer["will_call"], answer["waiting"]) == (2, {})
    later = datetime.now(UTC) + timedelta(days=7)
    answer = (await ask(site, {"leads": leads(3), "schedule_at": later.isoformat()})).json
    assert datetime.fromisoformat(answer["first_call_at"]) == later
    # Three lines, and a minute for each call of a business that has made none.
    assert datetime.fromisoformat(answer["ends_at"]) == later + timedelta(minutes=1)


async def test_the_calls_of_the_day_are_counted(site: Site) -> None:
    await called(site, 1)
    await called(site, 1)
    await patch(site, max_per_day=2, calling_hours=ALL_DAY)
    answer = (await ask(site, {"leads": leads(2)})).json
    assert (answer["will_call"], answer["waiting"], answer["recently_called"]) == (2, {"daily_cap": 1}, 0)
    assert (await ask(site, {"leads": leads(2), "max_per_day": 3}, token="admin")).json["waiting"] == {}


async def test_calls_that_were_never_placed_do_not_count(site: Site) -> None:
    await called(site, 2)
    await patch(site, min_gap_hours=24)
    await site.database.pool.execute("UPDATE dialer.attempts SET state = 'not_placed' WHERE phone = '+972500000001'")
    await site.database.pool.execute("UPDATE dialer.attempts SET business_id = $1 WHERE phone = '+972500000002'", site.rival)
    assert (await ask(site, {"leads": leads(3)})).json["waiting"] == {}


async def test_what_keeps_all_leads_is_warned_of(site: Site) -> None:
    registers = [{"name": "israel", "max_age_days": 15}, {"name": "old", "max_age_days": 15}, {"name": "new", "max_age_days": 15}]
    await patch(site, required_registers=registers)
    add = "INSERT INTO dialer.registers (business_id, name, imported_at, current) VALUES ($1, $2, now() - make_interval(days => $3), TRUE)"
    for name, days in (("old", 16), ("new", 1)):
        await site.database.pool.execute(add, site.business, name, days)
    await site.database.pool.execute("UPDATE dialer.businesses SET stopped_at = now() WHERE business_id = $1", site.business)
    await site.database.pool.execute("UPDATE dialer.workers SET lease_until = now()")
    await site.database.pool.execute("INSERT INTO dialer.stalls (business_id, reason, since) VALUES ($1, 'account', now())", site.business)
    body = {"leads": [*leads(2), {"lead_id": 9, "phone": "+12025550123"}], "budget": {"calls": 1}}
    for language in ("en", "he"):
        answer = (await ask(site, body, headers={"Accept-Language": language})).json
        codes = [warning["code"] for warning in answer["warnings"]]
        assert codes == ["stopped", "account", "no_worker", "register_missing", "register_too_old", "other_country", "budget"]
        assert (answer["will_call"], answer["first_call_at"], answer["ends_at"]) == (3, None, None)
        assert ("allows one call" in answer["warnings"][-1]["detail"]) == (language == "en")
        assert all(warning["detail"].isascii() == (language == "en") for warning in answer["warnings"])


async def test_an_account_that_cannot_be_read_says_no_time_and_a_missing_worker_does(site: Site) -> None:
    await site.database.pool.execute("UPDATE dialer.workers SET lease_until = now()")
    answer = (await ask(site, {"leads": leads(1)})).json
    assert ([warning["code"] for warning in answer["warnings"]], answer["first_call_at"] is None) == (["no_worker"], False)
    await site.database.pool.execute("INSERT INTO dialer.stalls (business_id, reason, since) VALUES ($1, 'account', now())", site.business)
    answer = (await ask(site, {"leads": leads(1)})).json
    assert ([warning["code"] for warning in answer["warnings"]], answer["first_call_at"]) == (["account", "no_worker"], None)


async def test_a_list_without_a_good_row_is_answered_too(site: Site) -> None:
    answer = (await ask(site, {"leads": [{"lead_id": 1, "phone": "100"}]})).json
    assert (answer["will_call"], len(answer["rejected"]), answer["first_call_at"], answer["warnings"]) == (0, 1, None, [])


async def test_it_takes_what_creation_takes(site: Site) -> None:
    await patch(site, min_gap_hours=24)
    for body, status in (
        ({"leads": leads(1), "min_gap_hours": 1}, 403),
        ({"leads": leads(1), "colour": "red"}, 422),
        ({"leads": leads(1), "concurrency": 9}, 422),
        ([], 400),
    ):
        assert (await site.post(PREFLIGHT, body)).status == status
    hebrew = {"Accept-Language": "he"}
    refused = await site.post(PREFLIGHT, {"leads": leads(1)}, token="viewer", headers=hebrew)
    assert (refused.status, "הרשאה של מפעיל" in refused.json["error"]) == (403, True)
    [wrong] = (await site.post(PREFLIGHT, {"leads": leads(1), "recently_called": "later"}, headers=hebrew)).json["details"]
    assert wrong["message"].endswith("'wait' או 'skip'")
    said = await site.request("POST", f"{PREFLIGHT}?priority=3", data="lead_id,phone\n1,0501234567\n", headers={"Content-Type": "text/csv"})
    assert (said.status, said.json["will_call"]) == (200, 1)


async def test_many_leads_are_decided_while_other_requests_go_on(site: Site) -> None:
    await called(site, 3)
    await patch(site, min_gap_hours=24, max_per_day=3, calling_hours=ALL_DAY)
    answer = (await ask(site, {"leads": leads(2_000)})).json
    assert (answer["will_call"], answer["waiting"]) == (2_000, {"recently_called": 3})
