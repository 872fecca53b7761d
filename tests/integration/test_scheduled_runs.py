"""Runs that start by themselves: at their time, once, by whichever worker is there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import actors.duties.scheduled_runs
from actors.duties.scheduled_runs import RunStarter
from dialer.messages import Command, CommandType
from tests.integration.test_worker import NOBODY, Floor, floor, twilio, until  # noqa: F401 fixtures

if TYPE_CHECKING:
    from telephony.simulator import Simulator
    from tests.rows import DatabaseFixture

SCHEDULE = "UPDATE outbound_call_runs SET schedule_at = dialer.utc() + make_interval(secs => $2) WHERE id = $1"
MANY = """
INSERT INTO outbound_call_runs (business_id, name, status, schedule_at)
SELECT $1, 'run', 'pending', dialer.utc() FROM generate_series(1, $2::integer)
"""
PENDING = "SELECT count(*) FROM outbound_call_runs WHERE status = 'pending'"
EARLY = "SELECT started_at - schedule_at FROM outbound_call_runs WHERE id = $1"


async def test_it_starts_at_its_time_once_and_is_dialled(floor: Floor, twilio: Simulator) -> None:  # noqa: F811
    database = floor.database
    business = await database.business()
    soon, later = await database.run(business, 2, start=False), await database.run(business, 2, start=False)
    await database.pool.execute(SCHEDULE, soon, 1.5)
    await database.pool.execute(SCHEDULE, later, 3600)
    async with floor.worker(twilio.url, "one"), floor.worker(twilio.url, "two"):

        async def dialled() -> bool:
            return (await database.checked_run(business, soon)).queued == 0

        await until(dialled)
    late = (await database.pool.fetchval(EARLY, soon)).total_seconds()
    # To a second; ten times generous here.
    assert 0 <= late < 10
    assert (await database.checked_run(business, later)).status == "pending"
    log = await database.pool.fetch("SELECT actor, detail ->> 'command_id' AS id FROM dialer.audit_log WHERE action = 'run.start'")
    at = await database.pool.fetchval("SELECT floor(extract(epoch FROM schedule_at))::bigint FROM outbound_call_runs WHERE id = $1", soon)
    assert [(row["actor"], row["id"]) for row in log] == [("schedule", f"schedule:{soon}:{at}")]


async def test_a_time_that_passed_without_a_worker_is_made_up_for(floor: Floor, twilio: Simulator) -> None:  # noqa: F811
    database = floor.database
    business = await database.business()
    due, cancelled, started = [await database.run(business, 1, start=False) for _ in range(3)]
    for run in (due, cancelled, started):
        await database.pool.execute(SCHEDULE, run, -60)
    await database.command(business, CommandType.CANCEL, cancelled)
    await database.command(business, CommandType.START, started)
    async with floor.worker(twilio.url):

        async def over() -> bool:
            return [(await database.checked_run(business, run)).queued for run in (due, started)] == [0, 0]

        await until(over)
    assert (await database.checked_run(business, cancelled)).status == "cancelled"
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.audit_log WHERE actor = 'schedule'") == 1


@pytest.mark.parametrize("seconds", [-1, 60])
async def test_a_locked_run_delays_no_other(floor: Floor, twilio: Simulator, seconds: int) -> None:  # noqa: F811
    database = floor.database
    business = await database.business()
    held, free = await database.run(business, 1, start=False), await database.run(business, 1, start=False)
    await database.pool.execute(SCHEDULE, held, seconds)
    await database.pool.execute(SCHEDULE, free, 0)

    async def starts() -> bool:
        return (await database.checked_run(business, free)).started_at is not None

    async with floor.worker(twilio.url):
        async with database.pool.acquire() as foreign, foreign.transaction():
            await foreign.execute("SELECT FROM outbound_call_runs WHERE id = $1 FOR UPDATE", held)
            await until(starts)
        if seconds < 0:

            async def follows() -> bool:
                return (await database.checked_run(business, held)).started_at is not None

            await until(follows)


@pytest.mark.parametrize("seconds", [3600, None])
async def test_a_time_that_is_changed_after_it_was_read_holds(database: DatabaseFixture, seconds: int | None) -> None:
    """The worker has read that the run is due; before its start arrives, a person puts it off: nothing starts, and nothing is audited."""
    business = await database.business()
    run = await database.run(business, 1, start=False)
    await database.pool.execute(SCHEDULE, run, -1)
    [due] = await database.runs.to_start([await database.partition(business)], 10)
    command = Command(business, f"schedule:{run}:{due.at}", CommandType.START, run, requested_by="schedule")
    read_at = await database.pool.fetchval("SELECT schedule_at FROM outbound_call_runs WHERE id = $1", run)
    await database.pool.execute(SCHEDULE, run, seconds)
    answer = await database.commands.start_due(command, due.at)
    assert (answer.accepted, answer.code) == (False, "invalid_state")
    assert (await database.checked_run(business, run)).status == "pending"
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.audit_log WHERE actor = 'schedule'") == 0
    # The refusal is not remembered: when the time is set back, it is the run's time again.
    await database.pool.execute("UPDATE outbound_call_runs SET schedule_at = $2 WHERE id = $1", run, read_at)
    assert (await database.commands.start_due(command, due.at)).accepted
    assert (await database.commands.start_due(command, due.at)).code == "invalid_state"


async def test_many_runs_of_one_moment_start_without_a_pause_between(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Some batches of runs are due at once. The poll would come after the test has given up."""
    monkeypatch.setattr(actors.duties.scheduled_runs, "MAX_RUNS", 5)
    monkeypatch.setattr(actors.duties.scheduled_runs, "POLL_SECONDS", 600.0)
    database = floor.database
    for business in [await database.business() for _ in range(3)]:
        await database.pool.execute(MANY, business, 9)
    services = await floor.services(NOBODY)
    services.ownership.epochs.update(dict.fromkeys(range(256), 1))

    async def all_started() -> bool:
        return not await database.pool.fetchval(PENDING)

    starter = RunStarter(services)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(starter.loop.run())
        try:
            await until(all_started)
        finally:
            starter.loop.close()
    assert await database.pool.fetchval("SELECT count(*) FROM dialer.audit_log WHERE actor = 'schedule'") == 27
