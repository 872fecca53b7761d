"""`python -m dialer doctor` says nothing but ok of a healthy installation, and of each seeded fault exactly that, with its remedy."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis.asyncio

from dialer.clock import SystemClock
from ringmaster.doctor import database_check
from ringmaster.doctor.finding import Status
from ringmaster.doctor.work_rules import WORK
from ringmaster.local import valkey
from ringmaster.local.ports import free_port
from sql.diagnosis.diagnosis import open_diagnosis
from sql.pool import open_pool
from tests.chaos.polling import until
from tests.installations import PASSWORD, ROLE
from tests.pgbouncer import Mode, pooled
from tests.rows import DatabaseFixture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from tests.installations import Installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

OWN_ACCOUNT = "AC" + "7" * 32
NOWHERE = "127.0.0.1:9"
COMMAND_SECONDS = 60.0
WAIT_SECONDS = 20.0
IGNORED = (
    "ignore_startup_parameters = extra_float_digits,jit,lock_timeout,statement_timeout,idle_in_transaction_session_timeout,"
    "default_transaction_isolation"
)
# Workers that have just started are given time to divide the partitions.
LOST_PARTITION = """UPDATE dialer.partitions SET owner = NULL WHERE partition = 7;
UPDATE dialer.workers SET started_at = now() - interval '1 minute'"""
# Of each the provider has asked for the script, and no more.
SILENT_CALLS = """WITH silent AS (INSERT INTO dialer.attempts (business_id, run_id, job_id, send_by, ring_seconds, token, nonce, phone,
                                                          from_number, account_sid, state, sid, ended_at, outcome)
SELECT a.business_id, a.run_id, a.job_id, a.send_by, a.ring_seconds, a.token, a.nonce, a.phone, a.from_number,
       a.account_sid, a.state, 'CA' || lpad(n::text, 32, '0'), now(), a.outcome
FROM dialer.attempts a, generate_series(10, 15) n WHERE a.state = 'over' RETURNING business_id, id)
INSERT INTO dialer.callbacks (business_id, attempt_id, fields, verdict, answer)
SELECT s.business_id, s.id, '{"CallStatus": "in-progress"}', 'applied', 204 FROM silent s"""
PARKED = "INSERT INTO dialer.stalls (business_id, reason, since) VALUES (1, 'parked', now() - interval '1 minute')"
PAUSED_ITSELF = (
    """UPDATE outbound_call_runs SET status = 'paused', last_error_cause = '{"kind": "no_answers"}', updated_at = dialer.utc()"""
)
ALL_DONE = """INSERT INTO outbound_call_runs (business_id, status, started_at, updated_at)
VALUES (1, 'running', dialer.utc() - interval '1 hour', dialer.utc() - interval '2 minutes')"""
DEAD_ROWS = """INSERT INTO dialer.prices SELECT 'USD', n::text, 1 FROM generate_series(1, 11000) n;
DELETE FROM dialer.prices; SELECT pg_stat_force_next_flush()"""


async def test_a_healthy_installation_says_nothing_but_ok(installation: Installation) -> None:
    found = await installation.findings()
    assert [finding for finding in found if finding.status is not Status.OK or finding.remedy] == []
    names = [finding.name for finding in found]
    assert sorted(set(names)) == sorted(names)
    assert {name for _, name in FAULTS} == set(names)


def stored(statements: str) -> Any:  # noqa: ANN401 - of contextlib
    """Break it by statements, as the owner of the database."""

    @asynccontextmanager
    async def broken(installation: Installation) -> AsyncIterator[None]:
        await installation.execute(statements)
        yield

    return broken


def setting(**settings: str) -> Any:  # noqa: ANN401
    """Break it by settings."""

    @asynccontextmanager
    async def broken(installation: Installation) -> AsyncIterator[None]:
        installation.set(**settings)
        yield

    return broken


def redis_setting(name: str, value: str | None, before: str) -> Any:  # noqa: ANN401
    """Break it by a setting of the Redis server; None: just less memory than it should have."""

    @asynccontextmanager
    async def broken(installation: Installation) -> AsyncIterator[None]:
        async with redis.asyncio.from_url(installation.servers.valkey.url) as client:
            wanted = value or str(int((await client.info())["used_memory"] * 1.2))
            await client.config_set(name, wanted)
            try:
                yield
            finally:
                await client.config_set(name, before)

    return broken


@asynccontextmanager
async def wrong_password(installation: Installation) -> AsyncIterator[None]:
    installation.set(DATABASE_URL=installation.url.replace(f":{PASSWORD}@", ":wrong@"))
    yield


@asynccontextmanager
async def no_schema(installation: Installation) -> AsyncIterator[None]:
    await installation.execute("DROP SCHEMA dialer CASCADE; DROP TABLE outbound_call_jobs, outbound_call_runs")
    yield


@asynccontextmanager
async def read_only(installation: Installation) -> AsyncIterator[None]:
    name = urlsplit(installation.url).path[1:]
    await installation.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    yield


@asynccontextmanager
async def volatile(installation: Installation) -> AsyncIterator[None]:
    await installation.execute(f'ALTER DATABASE "{urlsplit(installation.url).path[1:]}" SET synchronous_commit = off')
    yield


def unguarded(mode: Mode) -> Any:  # noqa: ANN401
    """Break it by a pooler that ignores the time-outs we ask for."""

    @asynccontextmanager
    async def broken(installation: Installation) -> AsyncIterator[None]:
        async with pooled(installation.url, mode, installation.path / "pgbouncer", more=IGNORED) as url:
            installation.set(DATABASE_URL=url)
            yield

    return broken


@asynccontextmanager
async def many_connections(installation: Installation) -> AsyncIterator[None]:
    installation.set(DIALER_DATABASE_CONNECTIONS="1000")
    async with await open_pool(installation.url, name="ringmaster web one:1", size=1):
        yield


def at_once(installation: Installation, name: str) -> None:
    """Let this check not wait until what it looks for is old."""
    rules = tuple(replace(rule, values=(0.0,)) if rule.name == name else rule for rule in WORK)
    installation.monkeypatch.setattr(database_check, "WORK", rules)


@asynccontextmanager
async def another_role(installation: Installation) -> AsyncIterator[None]:
    """A program of another role, of which this one may not know what it does."""
    connection = await asyncpg.connect(installation.owner_url)
    yield
    await connection.close()


@asynccontextmanager
async def old_transaction(installation: Installation) -> AsyncIterator[None]:
    at_once(installation, "transactions")
    connection = await asyncpg.connect(installation.url)
    async with connection.transaction():
        await connection.execute("SELECT 1")
        yield
    await connection.close()


@asynccontextmanager
async def held_lock(installation: Installation) -> AsyncIterator[None]:
    at_once(installation, "locks")
    holder, waiter = await asyncpg.connect(installation.url), await asyncpg.connect(installation.url)
    lock = "SELECT FROM dialer.installation FOR UPDATE"
    async with asyncio.TaskGroup() as group, holder.transaction():
        await holder.execute(lock)
        waiting = group.create_task(waiter.execute(lock))

        async def is_waiting() -> bool:
            return bool(await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $1", waiter.get_server_pid()))

        await until(is_waiting, WAIT_SECONDS, "the second waits for the lock")
        yield
    assert waiting.done()
    await holder.close()
    await waiter.close()


@asynccontextmanager
async def locked_rows(installation: Installation) -> AsyncIterator[None]:
    """A program that has locked slots, for which nothing of ours waits: a claim passes over them."""
    at_once(installation, "row_locks")
    connection = await asyncpg.connect(installation.url, server_settings={"application_name": "report.py"})
    async with connection.transaction():
        await connection.execute("SELECT FROM dialer.lanes FOR UPDATE")
        yield
    await connection.close()


@asynccontextmanager
async def a_cluster(installation: Installation) -> AsyncIterator[None]:
    settings = {"cluster-enabled": "yes", "cluster-port": str(free_port())}
    server = valkey.Valkey(installation.path / "cluster", databases=1, settings=settings)
    await server.start()
    try:
        async with redis.asyncio.from_url(server.url) as client:
            await client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)  # type: ignore[no-untyped-call]

            async def is_ready() -> bool:
                found = await client.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
                return "ok" in str(found.get("cluster_state") if isinstance(found, dict) else found)

            await until(is_ready, WAIT_SECONDS, "the cluster of one node")
        installation.set(REDIS_URL=server.url)
        yield
    finally:
        await server.stop()


@asynccontextmanager
async def late_clock(installation: Installation) -> AsyncIterator[None]:
    class Late(SystemClock):
        def now(self) -> datetime:
            return super().now() - timedelta(minutes=1)

    installation.clock = Late()
    yield


@asynccontextmanager
async def sealed_with_another_key(installation: Installation) -> AsyncIterator[None]:
    async with await open_pool(installation.owner_url, name="test", size=1) as pool:
        await DatabaseFixture(pool).own_account(1, OWN_ACCOUNT, "secret", secret_key="another secret of forty characters, for it")
        # The change has left an event and an entry of the audit log.
        await pool.execute("DELETE FROM dialer.outbox")
    yield


@asynccontextmanager
async def another_program(installation: Installation) -> AsyncIterator[None]:
    installation.set(PUBLIC_URL=installation.servers.provider.url)
    yield


# What is broken, and the only check that finds it.
FAULTS: list[tuple[Any, str]] = [
    (setting(DIALER_RING_TIMEOUT_SECONDS="soon"), "settings"),
    (setting(DIALER_RING_TIMEOUT="30"), "settings"),
    (setting(DATABASE_URL=f"postgresql://app:app@{NOWHERE}/app"), "postgresql"),
    (wrong_password, "postgresql"),
    (stored("UPDATE dialer.schema_migrations SET checksum = 'x' WHERE name = 'claim_v1'"), "migrations"),
    (stored("UPDATE dialer.schema_migrations SET checksum = 'x' WHERE name = '0001_baseline'"), "migrations"),
    (stored("INSERT INTO dialer.schema_migrations VALUES ('0999_later', 'migration', 'x')"), "migrations"),
    *((unguarded(mode), "guards") for mode in Mode),
    (no_schema, "migrations"),
    (None, "version"),
    (read_only, "primary"),
    (volatile, "durability"),
    (stored(f"REVOKE DELETE ON dialer.outbox FROM {ROLE}"), "privileges"),
    (many_connections, "connections"),
    (stored("UPDATE dialer.workers SET lease_until = now()"), "workers"),
    (stored(LOST_PARTITION), "partitions"),
    (stored("UPDATE outbound_call_runs SET lock_ts = dialer.utc() - interval '1 minute'"), "stale_runs"),
    (stored(ALL_DONE), "unclosed_runs"),
    (stored(PARKED), "stalled_businesses"),
    (stored(PAUSED_ITSELF), "paused_runs"),
    (stored("UPDATE dialer.attempts SET send_by = now() - interval '2 hours'"), "stuck_attempts"),
    (
        stored("UPDATE dialer.attempts SET state = 'unknown', send_by = now() - interval '10 minutes' WHERE state = 'live'"),
        "unknown_attempts",
    ),
    (
        stored("INSERT INTO dialer.call_sids (sid, business_id, attempt_id, excess, seen_at) VALUES ('CA9', 1, 1, TRUE, '2026-01-01')"),
        "excess_calls",
    ),
    (
        stored(
            "INSERT INTO dialer.inbox (business_id, id, digest, type, requested_by, received_at, expires_at)"
            " VALUES (1, 'x', '', 'run.pause', 'crm', now() - interval '1 minute', now() + interval '1 day')"
        ),
        "commands",
    ),
    (stored("INSERT INTO dialer.outbox (business_id, type, at) VALUES (1, 'run.started', now() - interval '1 minute')"), "events"),
    (
        stored(
            "INSERT INTO dialer.deliveries (business_id, webhook_id, queue, event_id, type, at, data, created_at)"
            " VALUES (1, 1, 0, 1, 'run.started', now(), '{}', now() - interval '2 hours')"
        ),
        "deliveries",
    ),
    (stored("UPDATE dialer.webhooks SET disabled_at = now()"), "webhooks"),
    (another_role, "hidden_sessions"),
    (old_transaction, "transactions"),
    (held_lock, "locks"),
    (locked_rows, "row_locks"),
    (stored(SILENT_CALLS), "callbacks"),
    (stored("UPDATE dialer.installation SET stopped_at = now(), stopped_by = 'Dana', stop_reason = 'a fire'"), "stopped"),
    (stored("UPDATE dialer.businesses SET stopped_at = now()"), "stopped_businesses"),
    (stored("UPDATE dialer.businesses SET calling_hours = NULL"), "calling_hours"),
    (stored("UPDATE dialer.businesses SET max_per_day = NULL"), "call_limits"),
    (stored("UPDATE dialer.registers SET imported_at = now() - interval '16 days'"), "registers"),
    (stored("DELETE FROM dialer.registers"), "registers"),
    (stored("UPDATE outbound_call_runs SET queued_count = queued_count + 1"), "counters"),
    (stored("UPDATE outbound_call_jobs SET attempt_id = NULL WHERE status IN ('dialing', 'calling')"), "lost_jobs"),
    (stored("UPDATE dialer.lanes SET inflight = inflight || 999999::bigint"), "lanes"),
    (stored("SELECT setval('outbound_call_jobs_id_seq', 1)"), "sequences_behind"),
    (stored("SELECT setval('outbound_call_runs_id_seq', 2000000000)"), "sequences_end"),
    (stored(DEAD_ROWS), "bloat"),
    (setting(TWILIO_AUTH_TOKEN="0" * 32), "accounts"),
    (setting(TWILIO_ACCOUNT_SID=""), "accounts"),
    (setting(TWILIO_API_URL=f"http://{NOWHERE}"), "accounts"),
    (sealed_with_another_key, "accounts"),
    (setting(REDIS_URL=f"redis://{NOWHERE}"), "redis"),
    (redis_setting("min-replicas-to-write", "1", "0"), "redis_writes"),
    (None, "redis_version"),
    (a_cluster, "redis_mode"),
    (redis_setting("maxmemory-policy", "allkeys-lru", "noeviction"), "redis_policy"),
    (redis_setting("appendonly", "no", "yes"), "redis_persistence"),
    (redis_setting("maxmemory", None, "0"), "redis_memory"),
    (setting(PUBLIC_URL=f"http://{NOWHERE}"), "public_url"),
    (another_program, "public_url"),
    (late_clock, "clocks"),
]
# Old servers are not at hand: no test seeds these.
SEEDED = [(broken, name) for broken, name in FAULTS if broken is not None]


@pytest.mark.parametrize(("broken", "name"), SEEDED, ids=[f"{n}-{name}" for n, (_, name) in enumerate(SEEDED)])
async def test_a_fault_is_found_with_its_remedy_and_nothing_else(installation: Installation, broken: Any, name: str) -> None:  # noqa: ANN401
    async with broken(installation):
        found = await installation.findings()
    wrong = [finding for finding in found if finding.status is not Status.OK]
    assert [finding.name for finding in wrong] == [name], wrong
    assert wrong[0].detail
    assert wrong[0].remedy
    assert "{" not in wrong[0].detail + wrong[0].remedy


async def _run(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "dialer", "doctor", *arguments, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(COMMAND_SECONDS):
        out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_the_command_prints_and_exits_as_the_contract_says(installation: Installation) -> None:
    code, out = await _run("--json")
    report = json.loads(out)
    assert (code, report["ok"], sorted(report)) == (0, True, ["checks", "ok"])
    assert {tuple(check) for check in report["checks"]} == {("name", "status", "detail", "remedy")}
    # A warning alone fails nothing.
    await installation.execute("UPDATE dialer.businesses SET stopped_at = now()")
    code, out = await _run()
    lines = out.splitlines()
    assert code == 0
    assert [line for line in lines if line.startswith("warn ")] == [line for line in lines if "stopped_businesses" in line]
    assert sum(line.startswith("     remedy: ") for line in lines) == 1
    # With neither servers nor settings it says so, and does not raise.
    installation.set(DATABASE_URL="", REDIS_URL="", PUBLIC_URL="", SECRET_KEY="")
    code, out = await _run("--json")
    assert code == 1
    assert [check["name"] for check in json.loads(out)["checks"] if check["status"] == "fail"] == ["settings"] * 4


async def test_rows_that_are_numbered_meanwhile_are_not_behind_their_sequence(installation: Installation) -> None:
    """The remedy of such a finding would set a sequence back under a running installation."""
    writer = await asyncpg.connect(installation.url)
    asked = asyncio.Event()

    async def write() -> None:
        while not asked.is_set():
            await writer.execute("INSERT INTO dialer.audit_log (business_id, actor, action, detail) VALUES (1, 'test', 'test', '{}')")

    async with asyncio.TaskGroup() as group, open_diagnosis(installation.url, name="test") as diagnosis:
        group.create_task(write())
        found = [(await diagnosis.ask("sequences", "behind"))["found"] for _ in range(50)]
        asked.set()
    await writer.close()
    assert found == [0] * 50
