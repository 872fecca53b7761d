"""`python -m dialer run`: the buttons of a run at the terminal do what those of the API do; `watch` shows it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from dialer.messages import CommandType, RunChanged
from dialer.model import AttemptState
from dialer.streams.client import Streams
from ringmaster import cli
from ringmaster.commands.runs.watch_screen import drawn
from ringmaster.commands.runs.watch_view import read_view
from ringmaster.errors import CommandError
from ringmaster.operations import services
from tests.integration.test_cli_accounts import CHECKOUT
from tests.web_site import NO_REDIS, RUNS
from web.operations import commands

if TYPE_CHECKING:
    from typing import Any

    from tests.rows import DatabaseFixture
    from tests.web_site import Site

LINE_SECONDS = 30.0


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", NO_REDIS)


async def run(verb: str, business: int, run_id: int, *more: str) -> None:
    options = cli.parser("run").parse_args(["run", verb, "--business", str(business), "--run", str(run_id), *more])
    assert await options.run(options) == 0


async def refused(verb: str, business: int, run_id: int, *more: str) -> tuple[int, str]:
    with pytest.raises(CommandError) as raised:
        await run(verb, business, run_id, *more)
    return raised.value.exit_code, str(raised.value)


async def test_its_answer_is_that_of_the_api(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    def compared(body: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in body.items() if not name.endswith(("_id", "_at", "_by", "_ts"))}

    def answer() -> dict[str, Any]:
        return compared(json.loads(capsys.readouterr().out))

    ours, theirs = await site.load(2, start=False), await site.load(2, start=False)
    for verb in ("start", "pause", "resume"):
        await run(verb, site.business, ours, "--by", "Dana", "--json")
        assert answer() == compared((await site.post(f"{RUNS}/{theirs}/{verb}", {})).json)
    await run("cancel", site.business, ours, "--json")
    assert answer() == compared((await site.post(f"/api/outbound_calls/jobs/{theirs}/cancel", {})).json)
    await run("stop", site.business, ours, "--wait", "--hang-up", "--json")
    stop = {"run_id": theirs, "wait": True, "hang_up": True}
    assert answer() == compared((await site.post("/api/outbound/stop-queue", stop)).json)
    entries = await site.database.pool.fetch("SELECT action, actor, address FROM dialer.audit_log WHERE run_id = $1 ORDER BY id", ours)
    by_dana = [(entry["action"], entry["address"]) for entry in entries if entry["actor"] == "cli:Dana"]
    assert by_dana == [(f"run.{verb}", socket.gethostname()) for verb in ("start", "pause", "resume")]


async def test_the_worker_gets_a_hint(
    database: DatabaseFixture, redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    business = await database.business()
    run_id, partition = await database.run(business, 1), await database.partition(business)
    await run("pause", business, run_id)
    assert capsys.readouterr().out.startswith(f"run {run_id} is paused. The campaign is paused.")
    streams = Streams(redis_url)
    try:
        hints = [hint for _, _, hint in await streams.hints_after({partition: "0"}, block_seconds=1)]
    finally:
        await streams.close()
    assert hints == [RunChanged(business, run_id, CommandType.PAUSE)]


async def test_without_redis_no_call_is_requested_after_the_wait(database: DatabaseFixture, capsys: pytest.CaptureFixture[str]) -> None:
    business = await database.business()
    run_id = await database.run(business, 5)
    attempts, _ = await database.claim(business)
    # Their worker has died, and the time to send them has passed.
    await database.pool.execute("UPDATE dialer.attempts SET send_by = send_by - interval '8 seconds'")
    await run("cancel", business, run_id, "--wait", "--json")
    body = json.loads(capsys.readouterr().out)
    assert (body["status"], body["cancel_requested"], body["in_progress"], body["uncertain"]) == ("running", True, 3, 3)
    states = await database.pool.fetch("SELECT DISTINCT state FROM dialer.attempts WHERE business_id = $1", business)
    assert [row["state"] for row in states] == [AttemptState.UNKNOWN]
    assert (await database.claim(business))[0] == []
    for attempt in attempts:
        await database.record(attempt, AttemptState.OVER, outcome="completed")
    await run("cancel", business, run_id)
    assert capsys.readouterr().out == f"run {run_id} is cancelled. The campaign was over already; nothing was changed.\n"


async def test_what_is_wrong_is_named(database: DatabaseFixture, caplog: pytest.LogCaptureFixture) -> None:
    business, other = await database.business(), await database.business()
    run_id = await database.run(business, 1)
    # Another business's run is answered as a missing one.
    assert await refused("cancel", other, run_id) == (2, f"--run: business {other} has no run {run_id}")
    assert await refused("cancel", other, run_id + 1) == (2, f"--run: business {other} has no run {run_id + 1}")
    assert await refused("resume", business, run_id) == (1, "The campaign is running: this is not possible now.")
    assert (await database.checked_run(business, run_id)).status == "running"
    assert caplog.records == []


async def test_a_row_that_stays_locked_is_reported(database: DatabaseFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "PATIENCE_SECONDS", 0.5)
    business = await database.business()
    run_id = await database.run(business, 1)
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM outbound_call_runs WHERE id = $1 FOR UPDATE", run_id)
        assert await refused("stop", business, run_id) == (1, "Someone else is changing this right now. Please try again shortly.")
    assert (await database.checked_run(business, run_id)).status == "running"


async def test_watch_prints_a_line_for_each_change_until_it_is_interrupted(database: DatabaseFixture, database_url: str) -> None:
    business, other = await database.business(), await database.business()
    run_id, foreign = await database.run(business, 2), await database.run(other, 1)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dialer", "watch", "--business", str(business)),
        stdout=asyncio.subprocess.PIPE,
        cwd=CHECKOUT,
        env={**os.environ, "DATABASE_URL": database_url},
    )
    assert process.stdout
    lines: list[str] = []
    try:
        async with asyncio.timeout(LINE_SECONDS):
            while not any(f"run {run_id} run: running; 2 queued" in line for line in lines):
                lines.append((await process.stdout.readline()).decode())
            await database.command(business, CommandType.STOP, run_id)
            while not any(f"run {run_id} run: stopped; 0 queued" in line for line in lines):
                lines.append((await process.stdout.readline()).decode())
            process.send_signal(signal.SIGINT)
            lines.append((await process.stdout.read()).decode())
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
    assert "0 of 3 lines in use" in lines[0]
    assert f"run {foreign} " not in "".join(lines)


async def test_the_screen_says_why_nothing_happens(database: DatabaseFixture) -> None:
    business = await database.business()
    run_id = await database.run(business, 2)
    [first, second], _ = await database.claim(business, permits=2)
    await database.record(first, AttemptState.OVER, outcome="busy")
    await database.record(second, AttemptState.LIVE, sid="CA" + "1" * 32)
    await database.command(business, CommandType.PAUSE, run_id, requested_by="cli:Dana")
    async with services(database.pool) as app:
        view = await read_view(app, business, "Harbor\x1b[2J", ())
    out = StringIO()
    Console(file=out, width=120).print(drawn(view, "old"))
    shown = out.getvalue()
    assert "1 of 3 lines in use" in shown
    assert f"run {run_id}: Calling is paused." in shown
    assert f"run.pause run {run_id}: Dana at the command line" in shown
    assert "Busy" in shown
    assert "\x1b" not in shown
