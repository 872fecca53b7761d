"""Every answer has the fields that docs/contract.md names: of the API as it runs, of the commands, of a run that is driven."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from actors.bootstrap import open_services
from actors.worker import Worker
from dialer.model import AttemptState
from telephony import simulator
from tests.chaos.polling import until
from tests.contract.contract_page import Promise, of, promises
from tests.contract.stream_worker import settings
from tests.web_site import RUNS, leads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.rows import DatabaseFixture
    from tests.web_site import Response, Site

COMMAND_SECONDS = 60.0
DRIVEN_SECONDS = 60.0
RUN, CANCEL, STOP = "/api/outbound/runs/{run_id}", "/api/outbound_calls/jobs/{job_id}/cancel", "/api/outbound/stop-queue"
JOBS = f"{RUN}/jobs"
JOB = f"{JOBS}/{{job_id}}"
ROWS = [*leads(5), {"lead_id": 1, "phone": "0521234567"}, {"lead_id": 9, "phone": "100"}, {"lead_id": 10, "phone": "'0521234599"}]


def built(kind: str, *sections: int) -> list[Promise]:
    return [promise for section in sections for promise in of(section, kind) if not promise.open]


class Scene:
    """A run with a call that ended, one that stays unknown and one on the line; answers are asked of it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.run_id = 0
        self.job_ids: list[int] = []

    async def open(self) -> Scene:
        self.run_id = (await self.load())["run_id"]
        attempts, _ = await self.site.database.claim(self.site.business)
        self.job_ids = [attempt.job_id for attempt in attempts]
        await self.site.post_callback(attempts[0], "completed", CallDuration="3", AnsweredBy="human")
        await self.site.database.record(attempts[1], AttemptState.UNKNOWN, reason="time-out")
        return self

    async def load(self) -> dict[str, Any]:
        rules = {"calling_hours": None, "retries": None, "min_gap_hours": 0, "max_per_day": None, "recently_called": "wait"}
        machine = {"machine_detection": "DetectMessageEnd", "on_machine": "leave_message", "machine_message": "Hello"}
        numbers = {"caller_ids": ["+972501110000"], "caller_id_choice": "first"}
        script = {"say": "Hello", "language": "en-US"}
        given = {**machine, **numbers, "script": script, "record": True, "priority": 1, "budget": {"calls": 100}, **rules}
        return dict((await self.ask_ok("POST", RUNS, {"leads": ROWS, "start": True, "name": "x", **given})).json)

    async def ask(self, request: str, body: object = None, job: int = 0) -> dict[str, Any]:
        method, _, path = request.partition(" ")
        number = self.job_ids[job] if "{run_id}" in path else self.run_id
        return dict((await self.ask_ok(method, path.replace("{run_id}", str(self.run_id)).replace("{job_id}", str(number)), body)).json)

    async def started(self) -> dict[str, Any]:
        self.run_id = await self.site.load(2, start=False)
        return await self.ask(f"POST {RUN}/start")

    async def paused(self) -> dict[str, Any]:
        await self.ask(f"POST {RUN}/pause")
        return await self.ask(f"GET {RUN}")

    async def waited(self) -> dict[str, Any]:
        """Of a run without a call: nobody is waited for."""
        self.run_id = await self.site.load(2, start=False)
        return await self.ask(f"POST {CANCEL}", {"wait": True})

    async def ask_ok(self, method: str, path: str, body: object = None) -> Response:
        response = await self.site.request(method, path, json=body)
        assert response.status in {200, 201}, response.body
        return response


# How each answer of the page is asked for; a row without one is no promise that anybody keeps.
ASKED: dict[str, Callable[[Scene], Awaitable[dict[str, Any]]]] = {
    f"POST {RUNS}": Scene.load,
    f"GET {RUNS}": lambda scene: scene.ask(f"GET {RUNS}"),
    f"GET {RUN}": lambda scene: scene.ask(f"GET {RUN}"),
    f"GET {RUN} when paused": Scene.paused,
    f"POST {RUN}/start": Scene.started,
    f"POST {CANCEL}": lambda scene: scene.ask(f"POST {CANCEL}"),
    f"POST {CANCEL} with wait": Scene.waited,
    f"POST {STOP}": lambda scene: scene.ask(f"POST {STOP}", {"run_id": scene.run_id}),
    f"GET {JOBS}": lambda scene: scene.ask(f"GET {JOBS}"),
    f"GET {JOB}": lambda scene: scene.ask(f"GET {JOB}"),
    f"POST {JOB}/cancel": lambda scene: scene.ask(f"POST {JOB}/cancel", {"hang_up": True}, job=2),
    f"POST {JOB}/resolve": lambda scene: scene.ask(f"POST {JOB}/resolve", {"as": "over"}, job=1),
    f"POST {RUNS}/preflight": lambda scene: scene.ask(f"POST {RUNS}/preflight", {"leads": ROWS}),
    f"GET {RUNS} paged": lambda scene: scene.ask(f"GET {RUNS}"),
    "GET /api/outbound/summary": lambda scene: scene.ask("GET /api/outbound/summary"),
    "POST /api/stop-dialling": lambda scene: scene.ask("POST /api/stop-dialling", {"reason": "x"}),
    "GET /readyz": lambda scene: scene.ask("GET /readyz"),
}


@pytest.mark.parametrize("promise", built("answer of", 4, 7), ids=lambda promise: promise.name)
async def test_every_answer_has_its_fields(site: Site, promise: Promise) -> None:
    part, of_it, request = promise.name.rpartition(" of ")
    answer: Any = await ASKED[request if of_it else promise.name](await Scene(site).open())
    if of_it:
        answer = answer[part]
    for found in answer if isinstance(answer, list) else [answer]:
        assert set(promise.words) - set(found) == set()
    assert answer
    assert promise.words


LATER = (datetime.now(UTC) + timedelta(days=1)).isoformat()
FIELDS: dict[str, tuple[object, str]] = {
    "schedule_at": (LATER, "settings"),
    "calling_hours": ({"monday": [["09:00", "13:00"]], "holidays": "open"}, "settings"),
    "retries": ({"no-answer": {"times": 2, "after_minutes": [30, 240]}}, "settings"),
    "min_gap_hours": (12, "settings"),
    "max_per_day": (2, "settings"),
    "recently_called": ("skip", "settings"),
    "budget": ({"calls": 5}, "settings"),
    "name": ("March", "name"),
    "leads": ([{"lead_id": 1, "phone": "0521234567", "name": "A", "timezone": "Asia/Jerusalem", "variables": {"x": "y"}}], "total_leads"),
    "concurrency": (2, "concurrency"),
    "start": (True, "status"),
    "machine_detection": ("Enable", "settings"),
    "priority": (7, "settings"),
    "record": (True, "settings"),
    "script": ({"say": "Hello", "language": "en-US", "keypress": {"9": "do_not_call"}}, "settings"),
    "machine_detection_async": (True, "settings"),
    "on_machine": ("continue", "settings"),
    "machine_message": ("Call us back", "settings"),
    "caller_ids": (["+972501110000"], "settings"),
    "caller_id_choice": ("local", "settings"),
}
# What a field needs beside it.
BESIDE: dict[str, dict[str, object]] = {
    "on_machine": {"machine_detection": "Enable"},
    "machine_detection_async": {"machine_detection": "Enable"},
    "machine_message": {"machine_detection": "DetectMessageEnd", "on_machine": "leave_message"},
}


@pytest.mark.parametrize(
    "promise",
    # A mapping is of the columns of a file.
    [promise for promise in built("field of a run to load", 4, 7) if promise.name.isidentifier() and promise.name != "mapping"],
    ids=lambda promise: promise.name,
)
async def test_every_field_of_a_run_is_taken(site: Site, promise: Promise) -> None:
    value, shown = FIELDS[promise.name]
    response = await site.post(RUNS, {"leads": leads(1), **BESIDE.get(promise.name, {}), promise.name: value})
    assert response.status == 201, response.body
    run = (await site.get(f"{RUNS}/{response.json['run_id']}")).json
    found = run[shown] if shown != "settings" else run["settings"][promise.name]
    assert found == {"leads": 1, "start": "running"}.get(promise.name, value)
    unknown = await site.post(RUNS, {"leads": leads(1), f"{promise.name}_": value})
    assert unknown.status == 422


ENDS: dict[str, tuple[str, dict[str, str]]] = {
    "human": ("completed", {"AnsweredBy": "human"}),
    "machine": ("completed", {"AnsweredBy": "machine_start"}),
    "fax": ("completed", {"AnsweredBy": "fax"}),
    "answered": ("completed", {}),
    "no-answer": ("no-answer", {}),
    "busy": ("busy", {}),
    "failed": ("failed", {}),
    "canceled": ("canceled", {}),
}


@pytest.mark.parametrize("promise", built("outcome", 7), ids=lambda promise: promise.name)
async def test_every_outcome_is_shown(site: Site, promise: Promise) -> None:
    run_id = await site.load(1)
    [attempt], _ = await site.database.claim(site.business)
    if promise.name in ENDS:
        status, fields = ENDS[promise.name]
        assert (await site.post_callback(attempt, status, **fields)).status == 204
    else:  # what the provider says in its answer to the POST, or when it is asked
        await site.database.record(attempt, AttemptState.OVER, outcome=promise.name)
    job = (await site.get(f"{RUNS}/{run_id}/jobs/{attempt.job_id}")).json
    assert job["outcome"] == promise.name
    # The page says what each is counted as.
    status = next(row.name for row in of(3, "outbound_call_jobs.status") if f" {promise.name}" in row.cells[1].replace("`", " "))
    assert job["status"] == status


async def command(database_url: str, *line: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dialer", *line, "--json"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "DATABASE_URL": database_url, "PUBLIC_URL": "https://dialer.example.com"},
    )
    async with asyncio.timeout(COMMAND_SECONDS):
        out, _ = await process.communicate(b"a long pass phrase\n")
    assert process.returncode == 0
    [printed] = out.decode().splitlines()
    return dict(json.loads(printed))


async def test_every_command_prints_its_fields(database: DatabaseFixture, database_url: str, tmp_path: Path) -> None:
    business = await database.business()
    run = await database.run(business, 1)
    [attempt] = (await database.claim(business))[0]
    await database.record(attempt, AttemptState.UNKNOWN)
    its = ("--business", str(business))
    prices = tmp_path / "prices.csv"
    prices.write_text("prefix,price\n+1,0.0140\n", encoding="utf-8")
    lines = {
        "business create": ("--name", "N", "--caller-id", "+12125550100", "--timezone", "America/New_York", "--max-calls", "3"),
        "user create": (*its, "--email", "a@b.example", "--role", "operator", "--password-stdin"),
        "user reset": ("--email", "a@b.example"),
        "token create": (*its, "--role", "viewer"),
        "prices import": ("--file", str(prices), "--currency", "USD"),
        "resolve": (*its, "--run", str(run), "--job", str(attempt.job_id), "--as", "over", "--by", "me"),
    }
    for promise in built("printed with --json by", 1):
        assert set(promise.words) - (await command(database_url, *promise.name.split(), *lines[promise.name])).keys() == set()


async def test_a_lead_is_in_a_run_once_by_a_constraint_of_that_name(database: DatabaseFixture) -> None:
    business = await database.business()
    run = await database.run(business, 1)
    again = (
        "INSERT INTO public.outbound_call_jobs (business_id, run_id, lead_id, status) "
        "SELECT business_id, run_id, lead_id, 'queued' FROM public.outbound_call_jobs WHERE business_id = $1 AND run_id = $2"
    )
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await database.pool.execute(again, business, run)
    assert refused.value.constraint_name == "unique_run_lead"


async def test_a_run_that_is_driven_says_by_whom_and_since_when(database_url: str, redis_url: str, database: DatabaseFixture) -> None:
    business = await database.business()
    await database.workers.give_back(database.incarnation, list(database.epochs))
    await database.workers.leave(database.incarnation)
    async with (
        simulator.running(scenario="slow", speed=1) as sim,
        open_services(settings(database_url, redis_url, sim.url)) as services,
    ):
        worker = Worker(services, "the worker's name")
        await worker.start()
        run = await database.run(business, 5)
        beats = await beating(database, business, run)
        await worker.stop()
    for name, at, now in beats:
        assert name == "the worker's name"
        # In UTC and without a zone.
        assert at.tzinfo is None
        assert timedelta(0) <= now - at.replace(tzinfo=UTC) < timedelta(seconds=30)


async def beating(database: DatabaseFixture, business: int, run: int) -> list[tuple[str, datetime, datetime]]:
    """Two different heartbeats of a run, and when each was seen by the database's clock."""
    query = "SELECT locked_by_worker, lock_ts, clock_timestamp() AS now FROM public.outbound_call_runs WHERE business_id = $1 AND id = $2"
    seen: dict[datetime, tuple[str, datetime, datetime]] = {}

    async def twice() -> bool:
        row = await database.pool.fetchrow(query, business, run)
        assert row
        if row["lock_ts"]:
            seen.setdefault(row["lock_ts"], (row["locked_by_worker"], row["lock_ts"], row["now"]))
        return len(seen) == 2

    await until(twice, DRIVEN_SECONDS, "two heartbeats")
    return list(seen.values())


def test_every_answer_that_is_promised_is_a_request_that_is_promised() -> None:
    requests = {promise.name for promise in promises() if promise.kind == "request"}
    assert {request.removesuffix(" with wait").removesuffix(" when paused").removesuffix(" paged") for request in ASKED} - requests == set()
