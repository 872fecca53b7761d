"""The web process and the worker with a role that may do nothing else: tests of the others are run again with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from tests.integration.test_bulk_operations import (  # noqa: F401
    test_leads_that_have_ended_are_called_again,
    test_numbers_are_never_called_again,
)
from tests.integration.test_claim import test_three_and_no_fourth  # noqa: F401
from tests.integration.test_cli_accounts import command
from tests.integration.test_commands import test_a_large_cancelled_run_is_rewritten_in_chunks  # noqa: F401
from tests.integration.test_do_not_call import test_a_register_is_replaced_as_a_whole  # noqa: F401
from tests.integration.test_record import test_late_proof_takes_back_the_next_try  # noqa: F401
from tests.integration.test_timelines import calls, test_a_forgotten_call_is_its_leads_and_holds_a_slot  # noqa: F401
from tests.integration.test_upkeep import test_a_run_is_deleted_after_its_retention_time_and_not_while_its_calls_count  # noqa: F401
from tests.integration.test_web_cancel import (  # noqa: F401
    test_cancel_in_the_middle,
    test_stop_ends_the_run_at_once_and_records_what_is_on_the_line,
)
from tests.integration.test_webhook_sender import test_a_receiver_that_is_back_gets_everything_at_once_and_in_order  # noqa: F401
from tests.least_privilege import ROLE, as_role
from tests.rows import SECRET_KEY

if TYPE_CHECKING:
    from tests.rows import DatabaseFixture

REFUSED = (
    "DROP TABLE dialer.lanes",
    "DROP SCHEMA dialer CASCADE",
    "ALTER TABLE outbound_call_runs ADD COLUMN more INTEGER",
    "ALTER TABLE dialer.lanes DROP CONSTRAINT lane_holds_at_most_cap",
    "CREATE TABLE dialer.more (id INTEGER)",
    "CREATE TABLE public.more (id INTEGER)",
    "CREATE INDEX ON dialer.attempts (state)",
    "CREATE OR REPLACE FUNCTION dialer.utc() RETURNS timestamp LANGUAGE sql AS 'SELECT NULL::timestamp'",
    "TRUNCATE dialer.attempts",
    "DELETE FROM dialer.audit_log",
    "UPDATE dialer.schema_migrations SET checksum = ''",
    "CREATE ROLE another",
)


@pytest_asyncio.fixture
async def database_url(database_url: str) -> str:
    """The database of a test, with the role."""
    return await as_role(database_url)


async def test_it_changes_no_definition_and_deletes_no_audit_log(database: DatabaseFixture) -> None:
    await database.business()
    assert await database.pool.fetchval("SELECT dialer.timeline_name()") != "unknown", "a fail-over is noticed"
    for statement in REFUSED:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await database.pool.execute(statement)


async def test_what_only_the_owner_may_do_says_so_before_anything_is_done(
    database: DatabaseFixture, database_url: str, redis_url: str
) -> None:
    business = await database.business()
    again = await command(database_url, "migrate", interpreter=("-m", "sql"))
    assert (again.code, again.err) == (0, ""), "nothing is pending"
    named = ["--business", str(business), "--phone", "+12025550100", "--yes"]
    refused = await command(database_url, "business", "erase", *named, REDIS_URL=redis_url, SECRET_KEY=SECRET_KEY)
    assert refused.code == 1
    assert "owner of the tables. Nothing was erased" in refused.err
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.audit_log WHERE action LIKE '%erase%'") == 0


async def test_migrate_grants_it_and_later_tables_too(empty_database_url: str) -> None:
    refused = await command(empty_database_url, "migrate", "--grant", "nobody_here", interpreter=("-m", "sql"))
    assert (refused.code, refused.err) == (1, 'PostgreSQL refuses: role "nobody_here" does not exist\n')
    # The role is of the whole server: other tests have made it, or this does.
    url = await as_role(empty_database_url)
    granted = await command(empty_database_url, "migrate", "--grant", ROLE, interpreter=("-m", "sql"))
    assert granted.code == 0, granted.err
    owner = await asyncpg.connect(empty_database_url)
    await owner.execute("CREATE TABLE dialer.later (id INTEGER GENERATED ALWAYS AS IDENTITY, business_id INTEGER)")
    await owner.execute(f"REVOKE UPDATE ON dialer.lanes FROM {ROLE}")
    await owner.close()
    role = await asyncpg.connect(url)
    await role.execute("INSERT INTO dialer.later (business_id) VALUES (1)")
    await role.close()
    again = await command(empty_database_url, "migrate", "--grant", ROLE, interpreter=("-m", "sql"))
    assert [line for line in again.out.splitlines() if line.startswith("GRANT")] == [f"GRANT UPDATE ON TABLE dialer.lanes TO {ROLE}"]
