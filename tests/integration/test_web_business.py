"""The business over HTTP: shown to all of its people, changed by an admin, in force at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.web_site import ACCOUNT, RUNS, leads

if TYPE_CHECKING:
    from tests.web_site import Response, Site

BUSINESS = "/api/business"
OWN = "AC" + "7" * 32
RETRIES_OF_OTHERS = """
INSERT INTO dialer.retries (business_id, run_id, job_id, zone, due_at, reason)
SELECT 100000 + n % 100, 100000 + n % 100, 1000000 + n, 'UTC', now() + interval '1 day', 'gap' FROM generate_series(1, 20000) n
"""
SCANS = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE schemaname = 'dialer' AND relname = 'retries'"
HOURS = {"sunday": [["08:00", "21:00"]], "holidays": "closed", "holiday_eves": []}


async def patch(site: Site, body: object, token: str = "admin") -> Response:  # noqa: S107 - opens nothing
    return await site.request("PATCH", BUSINESS, json=body, token=token)


async def test_a_business_is_shown(site: Site) -> None:
    assert (await site.get(BUSINESS, token="viewer")).json == {
        "business_id": site.business,
        "name": "Ours",
        "region": "IL",
        "timezone": "Asia/Jerusalem",
        "caller_ids": ["+972501110000"],
        "max_calls": 3,
        "max_calls_limit": 3,
        "calling_hours": None,
        "retries": None,
        "min_gap_hours": 0,
        "max_per_day": None,
        "allowed_countries": None,
        "required_registers": [],
        "retention_days": None,
        "script": None,
        "inbound_script": None,
        "provider_account": None,
        "registers": [],
    }


async def test_a_business_is_changed_and_audited(site: Site) -> None:
    rivals = (await site.get(BUSINESS, token="rival")).json
    given: dict[str, Any] = {
        "name": "שלנו",
        "region": "US",
        "timezone": "America/New_York",
        "max_calls": 2,
        "calling_hours": HOURS,
        "retries": {"busy": {"times": 1, "after_minutes": [0.5]}},
        "min_gap_hours": 24,
        "max_per_day": 3,
        "allowed_countries": ["US", "IL"],
        "required_registers": [{"name": "do not call", "max_age_days": 15}],
        "retention_days": 90,
    }
    changed = await patch(site, {**given, "caller_ids": ["+1 212-555-0100", "+972501110000"]})
    assert changed.status == 200, changed.body
    shown = (await site.get(BUSINESS)).json
    assert shown == changed.json
    assert shown["caller_ids"] == ["+12125550100", "+972501110000"]
    assert {**given, "allowed_countries": ["IL", "US"]} == {name: shown[name] for name in given}
    nothing = {"calling_hours": None, "retries": None, "min_gap_hours": None, "max_per_day": None, "allowed_countries": None}
    cleared = (await patch(site, {**nothing, "required_registers": [], "retention_days": None})).json
    assert {name: cleared[name] for name in nothing} == {**nothing, "min_gap_hours": 0}
    assert (cleared["required_registers"], cleared["retention_days"], cleared["name"]) == ([], None, "שלנו")
    written = await site.database.pool.fetch(
        "SELECT actor, action, detail FROM dialer.audit_log WHERE business_id = $1 AND action = 'business.change' ORDER BY id",
        site.business,
    )
    assert [row["action"] for row in written] == ["business.change", "business.change"]
    assert written[0]["actor"].startswith("token:")
    assert written[0]["detail"]["max_per_day"] == 3
    assert (await site.get(BUSINESS, token="rival")).json == rivals


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"max_calls": 4}, "max_calls"),
    ({"max_calls": 0}, "max_calls"),
    ({"caller_ids": []}, "caller_ids"),
    ({"caller_ids": ["050-111-0000", "+972501110000"]}, "caller_ids"),
    ({"caller_ids": ["050-111-0000", "112"]}, "caller_ids.1"),
    ({"region": "XX"}, "region"),
    ({"timezone": "Mars/Olympus"}, "timezone"),
    ({"name": " "}, "name"),
    ({"name": None}, "name"),
    ({"name": "a\x00b"}, "name"),
    ({"allowed_countries": []}, "allowed_countries"),
    ({"allowed_countries": ["il"]}, "allowed_countries.0"),
    ({"required_registers": [{"name": "x"}]}, "required_registers.0.max_age_days"),
    ({"required_registers": [{"name": "x", "max_age_days": 1}] * 2}, "required_registers"),
    ({"required_registers": [{"name": "a\x00b", "max_age_days": 1}]}, "required_registers.0.name"),
    ({"retention_days": 0}, "retention_days"),
    ({"max_per_day": -1}, "max_per_day"),
    ({"calling_hours": {"monday": [["08:00"]]}}, "calling_hours.monday.0"),
    ({"script": {"say": "x"}}, "script"),
    ({"caller_ids": ["+972501110000", "+12025550100"]}, "caller_ids.1"),
    ({"inbound_script": {"say": "{name}", "language": "he-IL"}}, "inbound_script"),
    ({"inbound_script": {"say": "x", "language": "he-IL", "keypress": {"9": "do_not_call"}}}, "inbound_script"),
    ({"inbound_script": {"dial": "+97239999999", "caller_id": "+12025550100"}}, "inbound_script.caller_id"),
    ({"provider_account": {}}, "provider_account.account_sid"),
    ({"provider_account": {"account_sid": "SK" + "1" * 32, "auth_token": "x"}}, "provider_account.account_sid"),
    ({"provider_account": {"account_sid": ACCOUNT, "auth_token": "x"}}, "provider_account.account_sid"),
    ({"provider_account": {"account_sid": OWN}}, "provider_account"),
    ({"provider_account": {"account_sid": OWN, "signing_key": "x"}}, "provider_account"),
    ({"provider_account": {"account_sid": OWN, "api_key_sid": "SK" + "1" * 32, "api_key_secret": "x"}}, "provider_account"),
    ({"provider_account": {"account_sid": OWN, "api_key_sid": "SK" + "1" * 32, "signing_key": "x"}}, "provider_account"),
    ({"provider_account": {"account_sid": OWN, "api_key_sid": "x", "api_key_secret": "x"}}, "provider_account.api_key_sid"),
    ({"provider_account": {"account_sid": OWN, "auth_token": "two words"}}, "provider_account.auth_token"),
    ({"provider_account": {"account_sid": OWN, "auth_token": ""}}, "provider_account.auth_token"),
    ({"provider_account": {"account_sid": OWN, "auth_token": 5}}, "provider_account.auth_token"),
    ({"provider_account": {"account_sid": OWN, "auth_token": "x", "calls_per_second": 0}}, "provider_account.calls_per_second"),
    ({"provider_account": "x"}, "provider_account"),
]


async def test_a_wrong_change_is_named_and_nothing_is_changed(site: Site) -> None:
    before = (await site.get(BUSINESS)).json
    for given, field in WRONG:
        for language in ("en", "he"):
            said = await site.request(
                "PATCH", BUSINESS, json={**given, "retention_days": given.get("retention_days", 5)}, token="admin",
                headers={"Accept-Language": language},
            )  # fmt: skip
            assert (said.status, [detail["field"] for detail in said.json["details"]]) == (422, [field])
            assert said.json["details"][0]["message"].isascii() == (language == "en")
    assert (await site.get(BUSINESS)).json == before


async def test_only_an_admin_changes_a_business(site: Site) -> None:
    for token in ("viewer", "operator"):
        assert (await patch(site, {"name": "x"}, token)).status == 403
    assert (await site.request("PATCH", BUSINESS, json={"name": "x"}, token=None)).status == 401


async def test_max_calls_goes_down_and_up_again_to_what_the_command_line_set(site: Site) -> None:
    await site.load(3)
    assert (await patch(site, {"max_calls": 1})).json["max_calls"] == 1
    attempts, _ = await site.database.claim(site.business)
    assert len(attempts) == 1
    assert (await patch(site, {"max_calls": 3})).json["max_calls"] == 3
    attempts, _ = await site.database.claim(site.business)
    assert len(attempts) == 2


async def test_a_shorter_gap_lets_waiting_leads_go_at_once(site: Site) -> None:
    await patch(site, {"min_gap_hours": 24})
    await site.load(1)
    [attempt], _ = await site.database.claim(site.business)
    await site.post_callback(attempt, "completed", CallDuration="1")
    await site.load(1)
    await site.load(1, min_gap_hours=24)
    for _ in range(2):
        assert (await site.database.claim(site.business))[0] == []
    # A run of an admin's without a gap does not wait.
    await site.post(RUNS, {"leads": leads(1), "start": True, "min_gap_hours": None}, token="admin")
    [attempt], _ = await site.database.claim(site.business)
    await site.post_callback(attempt, "completed", CallDuration="1")
    await patch(site, {"min_gap_hours": 0})
    # The lead of the run that was given a gap of its own goes on waiting.
    assert len((await site.database.claim(site.business))[0]) == 1
    for _ in range(2):
        assert (await site.database.claim(site.business))[0] == []


async def test_a_country_that_is_no_longer_allowed_is_not_called(site: Site) -> None:
    run_id = await site.load(2)
    await patch(site, {"allowed_countries": ["US"]})
    assert (await site.database.claim(site.business))[0] == []
    run = await site.database.checked_run(site.business, run_id)
    assert (run.skipped, run.status) == (2, "completed")
    assert (await site.post(RUNS, {"leads": leads(1)})).status == 201


async def test_a_shorter_gap_reads_no_leads_of_other_businesses(site: Site) -> None:
    """The lane is held meanwhile: however many leads wait in all, the time depends on those of this business."""
    run_id = await site.load(2)
    database = site.database
    [job, _] = await database.pool.fetch("SELECT id FROM outbound_call_jobs WHERE run_id = $1 ORDER BY id", run_id)
    await database.pool.execute(RETRIES_OF_OTHERS)
    put_off = "INSERT INTO dialer.retries VALUES ($1, $2, $3, 'UTC', now() + interval '1 day', 'gap')"
    await database.pool.execute(put_off, site.business, run_id, job["id"])
    async with database.pool.acquire() as connection, connection.transaction():
        change = "SELECT dialer.change_business_v1($1, '{\"min_gap_hours\": 0}', 'test')"
        await connection.execute(change, site.business)
        assert await connection.fetchval(SCANS) == 0
        due = "SELECT due_at <= now() FROM dialer.retries WHERE job_id = $1"
        assert await connection.fetchval(due, job["id"])
