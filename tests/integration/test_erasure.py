"""A business, or a person in it, is exported and erased: from every table that the catalogue has, and from the streams."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import redis.asyncio

from dialer.messages import EVENTS
from dialer.model import AttemptState, Role
from dialer.sealing import digest_keys
from dialer.streams.callback_stream import CALLBACKS
from sql.erasure.walk import ABOUT, SECRETS, WITHOUT_PERSONS, tables
from tests.integration.test_cli_accounts import command
from tests.rows import SECRET_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from sql.pool import Pool
    from tests.rows import DatabaseFixture

PHONE, OTHER_PHONE = "+12025550123", "+12025550124"
KEPT = {"dialer.erasures", "dialer.proofs"}
# What a column of each type gets that has no default and may not be NULL.
FILLING = {
    "int2": "1",
    "int4": "1",
    "int8": "1",
    "text": f"'about {PHONE}'",
    "varchar": f"'about {PHONE}'",
    "jsonb": "'{}'",
    "bytea": "'x'",
    "uuid": "gen_random_uuid()",
    "timestamptz": "now()",
    "timestamp": "now()",
    "_int8": "'{}'",
    "_text": "'{}'",
    "bool": "FALSE",
}
COLUMNS = """SELECT a.attname AS name, t.typname AS type FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''"""
MENTIONS = "SELECT count(*) FROM {} t WHERE business_id = $1 AND t::text ~ '2025550123|555-0123'"
FOREIGN_KEYS = {"user_id": "dialer.users", "draft_id": "dialer.drafts", "run_id": "public.outbound_call_runs"}


async def count(pool: Pool, business_id: int) -> dict[str, int]:
    return {
        table.name: await pool.fetchval(f"SELECT count(*) FROM {table.name} WHERE business_id = $1", business_id)  # noqa: S608 from the catalogue
        for table in await tables(pool)
        if table.name not in KEPT
    }


async def fill(pool: Pool, business_id: int) -> None:
    """A row in every table that has none of this business yet; those that others refer to first."""
    for table in reversed(await tables(pool)):
        if (await count(pool, business_id)).get(table.name, 1):
            continue
        values = {"business_id": str(business_id)}
        for column in await pool.fetch(COLUMNS, table.name):
            name = column["name"]
            values.setdefault(name, FILLING[column["type"]])
            if name in FOREIGN_KEYS:
                key = "id" if name == "run_id" else name
                values[name] = f"(SELECT max({key}) FROM {FOREIGN_KEYS[name]} WHERE business_id = {business_id})"  # noqa: S608 from this file
            elif name in {"sid", "digest", "hash", "job_id", "attempt_id", "webhook_id"}:
                values[name] = f"'{business_id}'" if column["type"] in {"text", "bytea"} else str(business_id)
        if table.name == "dialer.legacy_archive":
            values["business_id"] = str(business_id)
        await pool.execute(f"INSERT INTO {table.name} ({', '.join(values)}) VALUES ({', '.join(values.values())})")  # noqa: S608 from the catalogue


async def over(database: DatabaseFixture, phones: list[str]) -> tuple[int, int]:
    """A business with a run that is over: each number was called. Its id and that of the run."""
    business = await database.business()
    run = await database.run(business, phones)
    attempts, _ = await database.claim(business)
    for n, attempt in enumerate(attempts):
        await database.record(attempt, AttemptState.PLACED, sid=f"CA{business}{n:030}")
        callback = {"fields": {"To": attempt.phone}, "verdict": "applied", "answer": 200, "digest": f"{business:08}-0000-0000-0000-{n:012}"}
        await database.record(
            attempt, AttemptState.OVER, sid=f"CA{business}{n:030}", outcome="completed", answered_by="human", duration=7, callback=callback
        )
    assert (await database.checked_run(business, run)).status == "completed"
    return business, run


@pytest.fixture
def environment(redis_url: str) -> dict[str, Any]:
    return {"SECRET_KEY": SECRET_KEY, "REDIS_URL": redis_url}


async def test_a_business_is_exported_and_erased(
    database: DatabaseFixture, database_url: str, redis_url: str, environment: dict[str, Any], tmp_path: Path
) -> None:
    business, run = await over(database, [PHONE, OTHER_PHONE])
    other, _ = await over(database, [PHONE])
    await database.token(business, Role.ADMIN, b"x" * 32)
    await database.user(business, "dana@example.com", Role.ADMIN, "a hash of a password")
    await database.pool.execute("INSERT INTO dialer.do_not_call (business_id, phone) VALUES ($1, $2)", business, PHONE)
    for each in (business, other):
        await fill(database.pool, each)
    # The rows that were filled in are about no call in progress.
    await database.pool.execute("UPDATE dialer.test_calls SET ended_at = now()")
    before = await count(database.pool, other)
    assert min(before.values()) > 0, "every table of the catalogue has a row"
    counted = await count(database.pool, business)
    async with redis.asyncio.from_url(redis_url, decode_responses=True) as client:
        for each in (business, other):
            await client.xadd(EVENTS, {"business_id": str(each), "type": "run.status", "data": "{}"})
            await client.xadd(CALLBACKS, {"reference": f"{each}-1-{'a' * 32}", "form": "{}"})
        file = tmp_path / "business.zip"
        named = ("--business", str(business), "--json")
        exported = (await command(database_url, "business", "export", *named, "--file", str(file))).json
        assert {name: exported["rows"].get(name, 0) for name in counted} == counted
        assert (await command(database_url, "business", "erase", *named, **environment)).code == 2, "not without --yes"
        erased = (await command(database_url, "business", "erase", *named, "--yes", "--by", "Dana", **environment)).json
        assert (erased["entries"], await client.xlen(EVENTS), await client.xlen(CALLBACKS)) == (2, 1, 1)
    assert file.stat().st_mode & 0o077 == 0
    content = read(file)
    assert {row["phone"] for row in content["public.outbound_call_jobs"]} == {PHONE, OTHER_PHONE}
    assert [row["email"] for row in content["dialer.users"]] == ["dana@example.com"]
    assert not {name for rows in content.values() for row in rows for name in row} & set(SECRETS)
    assert {name: n for name, n in (await count(database.pool, business)).items() if n} == {}
    assert await count(database.pool, other) == before, "another business is untouched"
    assert (await database.checked_run(other, 2)).status == "completed"
    proofs = (await command(database_url, "business", "proof", *named, "--phone", PHONE, **environment)).json["proofs"]
    assert [(proof["kind"], proof["outcome"], proof["duration"]) for proof in proofs] == [
        ("call", "completed", 7),
        ("do_not_call", None, None),
    ]
    assert PHONE not in str(await database.pool.fetch("SELECT * FROM dialer.proofs"))
    assert (
        await database.pool.fetchval("SELECT actor FROM dialer.audit_log WHERE business_id = 0 AND action = 'business.erase'") == "cli:Dana"
    )
    # Once more, as after an interruption: nothing is left to do.
    assert (await command(database_url, "business", "erase", *named, "--yes", **environment)).json["total"] == 0
    assert run


def read(file: Path) -> dict[str, list[dict[str, Any]]]:
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jsonl")]
        return {name.removesuffix(".jsonl"): [json.loads(line) for line in archive.read(name).splitlines()] for name in names}


async def test_a_business_that_dials_is_not_erased(database: DatabaseFixture, database_url: str, environment: dict[str, Any]) -> None:
    business = await database.business()
    run = await database.run(business, [PHONE])
    named = ("--business", str(business), "--yes", "--json")
    refused = await command(database_url, "business", "erase", *named, **environment)
    assert (refused.code, f"these runs are not over: {run}." in refused.err) == (1, True), refused.err
    refused = await command(database_url, "business", "erase", *named, "--phone", PHONE, **environment)
    assert (refused.code, "wait to be called" in refused.err) == (1, True), refused.err
    assert (await database.checked_run(business, run)).queued == 1
    assert await database.pool.fetchval("SELECT stopped_at IS NULL FROM dialer.businesses WHERE business_id = $1", business)


async def test_a_person_is_exported_and_erased(
    database: DatabaseFixture, database_url: str, redis_url: str, environment: dict[str, Any], tmp_path: Path
) -> None:
    business, run = await over(database, [PHONE, OTHER_PHONE])
    other, _ = await over(database, [PHONE])
    add = "INSERT INTO dialer.do_not_call (business_id, phone, reason) VALUES ($1, $2, 'asked by Ms. Levi')"
    await database.pool.execute(add, business, PHONE)
    await database.pool.execute(
        "INSERT INTO dialer.reported_rows (business_id, run_id, place, number, row, kind, phone, detail) "
        "VALUES ($1, $2, 1, 1, 1, 'duplicate', '(202) 555-0123', '{}')",
        business,
        run,
    )
    log = "INSERT INTO dialer.audit_log (business_id, actor, action, detail) VALUES ($1, 'x', 'do_not_call.remove', $2)"
    await database.pool.execute(log, business, {"phones": [PHONE]})
    [job] = await database.pool.fetch("SELECT id FROM outbound_call_jobs WHERE business_id = $1 AND phone = $2", business, PHONE)
    variables = "INSERT INTO dialer.lead_variables VALUES ($1, $2, (SELECT position FROM outbound_call_jobs WHERE id = $3), $4)"
    await database.pool.execute(variables, business, run, job["id"], {"city": "Haifa"})
    await database.pool.execute("INSERT INTO dialer.refusals VALUES ($1, $2, $3, 'min_gap', 'put_off')", business, run, job["id"])
    named = ("--business", str(business), "--phone", PHONE, "--json")
    file = tmp_path / "person.zip"
    await command(database_url, "business", "export", *named, "--file", str(file))
    content = {name: len(rows) for name, rows in read(file).items() if rows}
    assert content == {
        "public.outbound_call_jobs": 1, "dialer.attempts": 1, "dialer.audit_log": 1, "dialer.call_sids": 1, "dialer.callbacks": 1,
        "dialer.do_not_call": 1, "dialer.lead_variables": 1, "dialer.outbox": content["dialer.outbox"], "dialer.refusals": 1,
        "dialer.reported_rows": 1,
    }  # fmt: skip
    before, elsewhere = await count(database.pool, business), await count(database.pool, other)
    async with redis.asyncio.from_url(redis_url, decode_responses=True) as client:
        for job_id in (job["id"], job["id"] + 1):
            await client.xadd(EVENTS, {"business_id": str(business), "job_id": str(job_id), "data": "{}"})
        erased = (await command(database_url, "business", "erase", *named, "--yes", **environment)).json
        assert (erased["entries"], await client.xlen(EVENTS)) == (1, 1)
    after = await count(database.pool, business)
    kept = {"dialer.audit_log": -1, "dialer.do_not_call": 0}  # one entry more: that the person was erased
    assert {name: before[name] - after[name] for name in content} == {**content, **kept}
    assert {name: n for name, n in after.items() if name not in content} == {name: n for name, n in before.items() if name not in content}
    # The run counts the other lead only, and the identity of the contract holds.
    loaded = await database.checked_run(business, run)
    assert (loaded.total_leads, loaded.completed) == (1, 1)
    # Nothing has the number any more but the entry that keeps the person from being called.
    mentions = [table.name for table in await tables(database.pool) if await database.pool.fetchval(MENTIONS.format(table.name), business)]
    assert mentions == ["dialer.do_not_call"]
    assert await database.pool.fetchval("SELECT reason IS NULL FROM dialer.do_not_call WHERE business_id = $1", business)
    assert await count(database.pool, other) == elsewhere, "another business is untouched"
    proofs = (
        await command(
            database_url,
            "business",
            "proof",
            *named,
            **{**environment, "SECRET_KEY": f"a new secret of forty characters for a test,{SECRET_KEY}"},
        )
    ).json
    assert [proof["kind"] for proof in proofs["proofs"]] == ["call"]


async def test_each_table_of_the_catalogue_has_persons_or_a_reason_why_not(database: DatabaseFixture) -> None:
    """A new table with rows of businesses must be sorted into one of the two in sql/erasure/walk.py."""
    assert sorted([*ABOUT, *WITHOUT_PERSONS]) == sorted(table.name for table in await tables(database.pool))


async def test_proofs_are_forgotten_in_time(database: DatabaseFixture) -> None:
    [key] = digest_keys(SECRET_KEY, "proof")
    add = """INSERT INTO dialer.proofs (business_id, digest, kind, at, kept_until)
    VALUES (1, $1, 'call', now(), now() + $2::int * interval '1 day')"""
    for days in (-1, 1):
        await database.pool.execute(add, key, days)
    await database.pool.fetchval("SELECT dialer.forget_v1(10)")
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.proofs WHERE kept_until > now()") == 1
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.proofs") == 1
