"""Commands, as PostgreSQL decides them: what each does in each state, once per id, in order."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dialer.messages import Command, CommandType
from dialer.model import AttemptState
from sql.commands.commands import MalformedCommand

if TYPE_CHECKING:
    from tests.rows import DatabaseFixture

START, PAUSE, RESUME, CANCEL, STOP = (
    CommandType.START,
    CommandType.PAUSE,
    CommandType.RESUME,
    CommandType.CANCEL,
    CommandType.STOP,
)


async def in_state(database: DatabaseFixture, business: int, state: str) -> int:
    run = await database.run(business, 3, start=state != "pending")
    for kind in {"paused": [PAUSE], "cancelled": [CANCEL], "stopped": [STOP]}.get(state, []):
        await database.command(business, kind, run)
    return run


@pytest.mark.parametrize(
    ("state", "kind", "after"),
    [
        ("pending", START, "running"),
        ("pending", PAUSE, None),
        ("pending", RESUME, None),
        ("pending", CANCEL, "cancelled"),
        ("pending", STOP, "stopped"),
        ("running", START, None),
        ("running", PAUSE, "paused"),
        ("running", RESUME, None),
        ("running", CANCEL, "cancelled"),
        ("running", STOP, "stopped"),
        ("paused", START, None),
        ("paused", PAUSE, None),
        ("paused", RESUME, "running"),
        ("paused", CANCEL, "cancelled"),
        ("paused", STOP, "stopped"),
        ("cancelled", START, None),
        ("cancelled", RESUME, None),
        ("cancelled", CANCEL, "cancelled"),
        ("cancelled", STOP, "cancelled"),
        ("stopped", CANCEL, "stopped"),
        ("stopped", STOP, "stopped"),
    ],
)
async def test_what_a_command_does_in_a_state(database: DatabaseFixture, state: str, kind: CommandType, after: str | None) -> None:
    business = await database.business()
    run = await in_state(database, business, state)
    answer = await database.command(business, kind, run)
    seen = await database.checked_run(business, run)
    if after is None:
        assert (answer.accepted, answer.code, seen.status) == (False, "invalid_state", state)
    else:
        assert (answer.accepted, answer.status, seen.status) == (True, after, after)
        assert answer.already_ended == (state in {"cancelled", "stopped"})


async def test_cancel_again_while_calls_are_on_the_line(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 5)
    attempts, _ = await database.claim(business)
    for _ in range(3):
        answer = await database.command(business, CANCEL, run)
        assert (answer.accepted, answer.in_progress, answer.already_ended, answer.cancel_requested) == (True, 3, False, True)
    assert (await database.command(business, RESUME, run)).code == "invalid_state"
    stopped = await database.command(business, STOP, run)
    assert (stopped.status, stopped.cancelled_jobs, stopped.in_progress) == ("stopped", 0, 3)
    for attempt in attempts:
        await database.record(attempt, AttemptState.OVER, sid=f"CA{attempt.attempt_id}", outcome="completed")
    assert (await database.checked_run(business, run)).status == "stopped"


async def test_the_same_id_takes_effect_once(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 3)
    pause = Command(business, "k", PAUSE, run)
    answers = [await database.commands.apply(pause) for _ in range(2)]
    await database.command(business, RESUME, run)
    answers.append(await database.commands.apply(pause))
    assert [(answer.accepted, answer.duplicate) for answer in answers] == [(True, False), (True, True), (True, True)]
    assert (await database.checked_run(business, run)).status == "running"
    assert (await database.commands.apply(replace(pause, type=STOP))).code == "id_reused"


async def test_the_same_id_at_the_same_moment(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 3)
    answers = await asyncio.gather(*(database.commands.apply(Command(business, "k", STOP, run)) for _ in range(8)))
    assert sorted(answer.duplicate for answer in answers) == [False] + [True] * 7
    assert {answer.cancelled_jobs for answer in answers} == {3}


async def test_another_business_run_is_not_found(database: DatabaseFixture) -> None:
    business, other = await database.business(), await database.business()
    run = await database.run(business, 3)
    for kind in (START, PAUSE, RESUME, CANCEL, STOP):
        answer = await database.command(other, kind, run)
        assert (answer.accepted, answer.code, answer.foreign, answer.status) == (False, "not_found", True, None)
    assert (await database.command(other, CANCEL, run + 1000)).foreign is False
    assert (await database.checked_run(business, run)).status == "running"


async def test_one_lead_on_the_line_is_cancelled_only_by_hanging_up(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 1)
    [attempt] = (await database.claim(business))[0]
    refused = await database.command(business, CommandType.CANCEL_JOB, run, job_id=attempt.job_id)
    assert (refused.accepted, refused.code, refused.in_progress) == (False, "in_progress", 1)
    assert (await database.command(business, CommandType.CANCEL_JOB, run, job_id=attempt.job_id, hang_up=True)).accepted
    assert (await database.record(attempt, AttemptState.PLACED, sid="CA1")).hang_up
    await database.record(attempt, AttemptState.OVER, sid="CA1", outcome="canceled")
    over = await database.command(business, CommandType.CANCEL_JOB, run, job_id=attempt.job_id)
    assert (over.accepted, over.job_status) == (True, "cancelled")
    assert (await database.command(business, CommandType.CANCEL_JOB, run, job_id=attempt.job_id + 99)).code == "not_found"


async def test_a_large_cancelled_run_is_rewritten_in_chunks(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 3000)
    await database.claim(business)
    await database.command(business, CANCEL, run)
    assert (await database.checked_run(business, run)).cancelled == 2997
    [[_, found]] = await database.runs.to_rewrite(list(range(256)), 10)
    start: int | None = 1
    while start is not None:
        start = await database.runs.rewrite(business, found, start, 1000)
    cancelled = await database.pool.fetchval("SELECT count(*) FROM outbound_call_jobs WHERE run_id = $1 AND status = 'cancelled'", run)
    assert (cancelled, await database.runs.to_rewrite(list(range(256)), 10)) == (2997, [])
    assert (await database.checked_run(business, run)).in_progress == 3


def entry(n: int) -> str:
    return f"{1000 + n}-0"


async def test_from_the_stream_in_its_order_and_once(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 3)
    commands = [Command(business, f"c{n}", PAUSE if n % 2 == 0 else RESUME, run, entry=entry(n)) for n in range(10)]
    assert await database.commands.receive("0-0", entry(9), [*commands, replace(commands[0], entry=entry(9))])
    # A reader that was frozen meanwhile brings the same once more, and something older.
    assert not await database.commands.receive("0-0", entry(5), commands[:5])
    assert await database.commands.position() == entry(9)
    assert await database.commands.waiting() == [business]
    applied, again = await database.commands.apply_received(business)
    assert ([one.answer.accepted for one in applied], again) == ([True] * 10, False)
    assert (await database.checked_run(business, run)).status == "running"
    rows = await database.pool.fetch("SELECT command_id, data FROM dialer.outbox WHERE command_id LIKE 'c%' ORDER BY id")
    assert [row["command_id"] for row in rows if not row["data"].get("duplicate")] == [f"c{n}" for n in range(10)]
    assert [row["command_id"] for row in rows if row["data"].get("duplicate")] == ["c0"]


async def test_a_repeat_after_it_was_decided_is_answered_again(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 3)
    command = Command(business, "once", STOP, run, entry=entry(1))
    await database.commands.receive("0-0", entry(1), [command])
    await database.commands.apply_received(business)
    await database.commands.receive(entry(1), entry(2), [replace(command, entry=entry(2)), replace(command, type=CANCEL, entry=entry(2))])
    assert await database.commands.waiting() == []
    rows = await database.pool.fetch("SELECT type, data FROM dialer.outbox WHERE command_id = 'once' ORDER BY id")
    assert [(row["type"], row["data"].get("duplicate", False), row["data"].get("code")) for row in rows] == [
        ("command.accepted", False, None),
        ("command.accepted", True, None),
        ("command.rejected", False, "id_reused"),
    ]


async def test_malformed_and_forbidden_ones_block_nothing(database: DatabaseFixture) -> None:
    business, other = await database.business(), await database.business()
    run = await database.run(business, 3)
    entries: list[Command | MalformedCommand] = [
        *(MalformedCommand(entry(n), "type must be one of ...", {"id": str(n), "type": "run.dance"}) for n in range(10)),
        Command(other, "theirs", CANCEL, run, entry=entry(10)),
        Command(99999, "nobody", CANCEL, run, entry=entry(11)),
        Command(business, "mine", CANCEL, run, entry=entry(12)),
    ]
    await database.commands.receive("0-0", entry(12), entries)
    for waiting in await database.commands.waiting():
        await database.commands.apply_received(waiting)
    assert (await database.checked_run(business, run)).status == "cancelled"
    rows = await database.pool.fetch(
        "SELECT data ->> 'reason' AS reason, data ? 'fields' AS kept FROM dialer.outbox WHERE type = 'command.rejected'"
    )
    assert sorted(row["reason"] for row in rows) == ["not_found"] * 2 + ["type must be one of ..."] * 10
    assert all(row["kept"] for row in rows)


async def test_a_cancel_waits_for_the_lane_only_to_hang_up(database: DatabaseFixture) -> None:
    business = await database.business()
    runs = [await database.run(business, 3) for _ in range(2)]
    async with database.pool.acquire() as foreign:
        transaction = foreign.transaction()
        await transaction.start()
        await foreign.execute("SELECT FROM dialer.lanes WHERE business_id = $1 FOR UPDATE", business)
        hanging_up = asyncio.ensure_future(database.command(business, CANCEL, runs[1], hang_up=True))
        async with asyncio.timeout(10):
            assert (await database.command(business, CANCEL, runs[0])).status == "cancelled"
        assert not hanging_up.done()
        await transaction.rollback()
        assert (await hanging_up).status == "cancelled"


async def test_a_locked_business_holds_up_only_itself(database: DatabaseFixture) -> None:
    locked, free = await database.business(), await database.business()
    runs = {business: await database.run(business, 3) for business in (locked, free)}
    entries = [Command(business, "c", STOP, run, entry=entry(n)) for n, (business, run) in enumerate(runs.items(), start=1)]
    await database.commands.receive("0-0", entry(2), entries)
    async with database.pool.acquire() as foreign, foreign.transaction():
        await foreign.execute("SELECT FROM dialer.lanes WHERE business_id = $1 FOR UPDATE", locked)
        async with asyncio.timeout(10):
            assert await database.commands.apply_received(locked) == ([], True)
            [applied], _ = await database.commands.apply_received(free)
        assert applied.answer.status == "stopped"
    [applied], _ = await database.commands.apply_received(locked)
    assert applied.answer.status == "stopped"


async def test_cancel_and_claim_at_the_same_moment(database: DatabaseFixture) -> None:
    """After the answer no lead is taken, and every attempt created later was among those it counted."""
    business = await database.business()
    for _ in range(30):
        run = await database.run(business, 6)
        (attempts, _), answer = await asyncio.gather(database.claim(business), database.command(business, CANCEL, run))
        assert answer.in_progress == len(attempts) or (answer.in_progress == 0 and not attempts)
        assert (await database.claim(business))[0] == []
        for attempt in attempts:
            await database.record(attempt, AttemptState.OVER, sid=f"CA{attempt.attempt_id}", outcome="busy")
        assert (await database.checked_run(business, run)).status == "cancelled"
