"""The description of the streams says what our parser takes, and holds for every entry the system writes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import redis.asyncio as redis
import yaml
from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from actors.bootstrap import open_services
from actors.worker import Worker
from dialer.messages import COMMANDS, EVENTS, REJECTED, SERIAL_MAX, Command, CommandType, MalformedError, parse_command
from dialer.model import AttemptState, JobStatus, Outcome, RunStatus
from dialer.streams.client import Streams
from sql.commands.commands import MalformedCommand
from sql.outbox.outbox import Outbox, Relay
from sql.pool import open_pool
from telephony import simulator
from tests.contract.stream_worker import loaded, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rows import DatabaseFixture

DESCRIPTION: Final = Path(__file__).parents[2] / "dialer" / "asyncapi.yaml"
API: Final[dict[str, Any]] = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
MESSAGES: Final[dict[str, Any]] = API["components"]["messages"]
EVENT_TYPES: Final = list(API["channels"]["events"]["messages"])
BEST_EFFORT: Final = {name for name in EVENT_TYPES if {"name": "best effort"} in MESSAGES[name]["tags"]}
GOOD: Final = {
    "v": "1",
    "id": "x",
    "type": "job.cancel",
    "business_id": "1",
    "run_id": "2",
    "job_id": "3",
    "hang_up": "1",
    "requested_by": "me",
}
WAIT_SECONDS: Final = 20.0


def faults(instance: object, *place: str) -> list[str]:
    """What the schema at `place` finds wrong with `instance`."""
    registry: Registry[Any] = Registry().with_resource("streams", DRAFT202012.create_resource(API))
    checked = OAS31Validator({"$ref": f"streams#/{'/'.join(place)}"}, registry=registry, format_checker=oas31_format_checker)
    return [error.message for error in checked.iter_errors(instance)]


def entry_faults(name: str, fields: dict[str, str]) -> list[str]:
    """What the message `name` finds wrong with an entry, and with the JSON in its data."""
    place = ("components", "messages", name, "payload")
    found = faults(fields, *place)
    if "data" in fields:
        found += faults(json.loads(fields["data"]), *place, "allOf", "1", "properties", "data", "contentSchema")
    return found


def examples() -> Iterator[tuple[str, str, dict[str, str]]]:
    for name, message in MESSAGES.items():
        for example in message["examples"]:
            yield name, example["name"], example["payload"]


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from [node["$ref"]] if "$ref" in node else []
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from references(inner)


def test_the_streams_and_the_words_are_ours() -> None:
    assert [channel["address"] for channel in API["channels"].values()] == [COMMANDS, EVENTS, REJECTED]
    assert list(API["channels"]["commands"]["messages"]) == list(CommandType)
    schemas = API["components"]["schemas"]
    assert schemas["RunStatus"]["enum"] == list(RunStatus)
    assert schemas["JobStatus"]["enum"] == list(JobStatus)
    assert set(schemas["Outcome"]["enum"]) == {"human", "machine", "fax", "answered", *Outcome} - {Outcome.COMPLETED}
    assert schemas["Calls"]["properties"]["calls"]["items"]["properties"]["state"]["enum"] == [s for s in AttemptState if s.open]


def test_every_reference_leads_somewhere() -> None:
    for reference in set(references(API)):
        node: Any = API
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


@pytest.mark.parametrize(("name", "fields"), [(name, fields) for name, _, fields in examples()], ids=[f"{n}-{e}" for n, e, _ in examples()])
def test_an_example_is_as_described(name: str, fields: dict[str, str]) -> None:
    assert entry_faults(name, fields) == []


def test_every_example_of_a_command_is_understood() -> None:
    for name, _, fields in examples():
        if name in set(CommandType):
            command = parse_command(fields, "1-0")
            assert (command.type, command.id, command.hang_up) == (name, fields["id"], fields.get("hang_up") == "1")


PRINTABLE: Final = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=200)
NUMBER: Final = st.integers(1, SERIAL_MAX).map(str)


@given(
    st.fixed_dictionaries(
        {"v": st.just("1"), "id": PRINTABLE.filter(bool), "type": st.sampled_from(list(CommandType)).map(str), "job_id": NUMBER}
        | {"business_id": NUMBER, "run_id": NUMBER},
        optional={"hang_up": st.sampled_from(["0", "1"]), "requested_by": PRINTABLE, "more": PRINTABLE},
    )
)
def test_what_is_written_as_described_is_understood(fields: dict[str, str]) -> None:
    assert entry_faults(fields["type"], fields) == []
    assert str(parse_command(fields, "1-0").job_id) == fields["job_id"]


@pytest.mark.parametrize("missing", ["v", "id", "type", "business_id", "run_id", "job_id"])
def test_what_lacks_a_field_is_refused_by_both(missing: str) -> None:
    refused_by_both({name: value for name, value in GOOD.items() if name != missing})


@pytest.mark.parametrize(
    "wrong",
    [
        {"v": "2"},
        {"id": ""},
        {"id": "x" * 201},
        {"id": "a\nb"},
        {"type": "run.dance"},
        {"business_id": "0"},
        {"business_id": "-1"},
        {"run_id": "1.5"},
        {"run_id": "12345678901"},
        {"job_id": "seven"},
        {"job_id": "\u0667"},
        {"hang_up": "yes"},
        {"hang_up": ""},
        {"requested_by": "x" * 256},
        {"requested_by": "a\x00b"},
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_by_both(wrong: dict[str, str]) -> None:
    refused_by_both({**GOOD, **wrong})


def refused_by_both(fields: dict[str, str]) -> None:
    with pytest.raises(MalformedError):
        parse_command(fields, "1-0")
    assert entry_faults("job.cancel", fields) != []


async def entries(client: redis.Redis, stream: str) -> list[dict[str, str]]:
    found: Any = await client.xrange(stream)
    return [fields for _, fields in found]


def check_events(events: list[dict[str, str]]) -> set[str]:
    """Hold entries of dialer:events against the description; return their types."""
    assert {(fields["type"], fault) for fields in events for fault in entry_faults(fields["type"], fields)} == set()
    return {fields["type"] for fields in events}


async def test_what_postgresql_tells_is_described_and_all_of_it_happens(database: DatabaseFixture, redis_url: str) -> None:
    await commands_of_all_kinds(database)
    await calls_of_all_kinds(database)
    async with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        streams = Streams(redis_url)
        while await Relay(Outbox(database.pool), streams).relay():
            pass
        await streams.close()
        events, kept = await entries(client, EVENTS), await entries(client, REJECTED)
    assert check_events(events) == set(EVENT_TYPES) - BEST_EFFORT
    assert [fault for fields in kept for fault in entry_faults("rejected", fields)] == []
    codes = {json.loads(fields["data"])["code"] for fields in events if fields["type"] == "command.rejected"}
    assert codes == set(API["components"]["schemas"]["Rejection"]["properties"]["code"]["enum"]) - {"internal"}
    assert {fields["reason"] for fields in kept} == codes - {"malformed"} | {"v must be 1"}


async def commands_of_all_kinds(database: DatabaseFixture) -> None:
    """Over HTTP and by the stream, accepted, repeated and rejected for each reason."""
    business = await database.business()
    run = await database.run(business, 5, start=False)
    for kind in (CommandType.START, CommandType.PAUSE, CommandType.RESUME):
        await database.command(business, kind, run)
    [attempt, *_] = (await database.claim(business, permits=1))[0]
    waiting = await database.pool.fetchval("SELECT max(id) FROM outbound_call_jobs WHERE run_id = $1", run)
    asked = [
        Command(business, "wrong state", CommandType.START, run),
        Command(business, "on the line", CommandType.CANCEL_JOB, run, attempt.job_id),
        Command(business, "hang up", CommandType.CANCEL_JOB, run, attempt.job_id, hang_up=True),
        Command(business, "one lead", CommandType.CANCEL_JOB, run, waiting),
        Command(business, "one lead", CommandType.CANCEL_JOB, run, waiting),
        Command(business, "one lead", CommandType.STOP, run),
        Command(business, "no such run", CommandType.STOP, run + 1000),
        Command(business, "no such job", CommandType.CANCEL_JOB, run, waiting + 1000),
        Command(business, "cancel", CommandType.CANCEL, run),
        Command(business, "stop", CommandType.STOP, run, hang_up=True),
        Command(business, "ended", CommandType.STOP, run),
    ]
    for command in asked:
        await database.commands.apply(command)
    start = "0-0"
    for n, command in enumerate([*asked, *asked], start=1):
        sent = Command(business, f"s {command.id}", command.type, command.run_id, command.job_id, command.hang_up, "crm", f"{n}-0")
        await database.commands.receive(start, start := f"{n}-0", [sent])
        await database.commands.apply_received(business)
    await database.commands.receive(start, "99-0", [MalformedCommand("99-0", "v must be 1", {"id": "m", "v": "2", "poem": "\u05d0"})])


async def calls_of_all_kinds(database: DatabaseFixture) -> None:
    """To each outcome; a second call of one attempt; a run that drains, and one that is paused because its account is refused."""
    business = await database.business(max_calls=20)
    run = await database.run(business, 20, concurrency=20)
    attempts, _ = await database.claim(business, permits=20)
    ends: list[dict[str, Any]] = [{"outcome": outcome} for outcome in Outcome]
    ends += [{"outcome": "completed", "answered_by": who, "duration": 7} for who in ("human", "machine_end_beep", "fax")]
    for attempt, end in zip(attempts, ends, strict=False):
        await database.record(attempt, AttemptState.LIVE, sid=f"CA{attempt.attempt_id}")
        await database.record(attempt, AttemptState.OVER, sid=f"CA{attempt.attempt_id}", **end)
    await database.record(attempts[-1], AttemptState.PLACED, sid="CAone")
    await database.record(attempts[-1], AttemptState.PLACED, sid="CAtwo")
    await database.workers.pause(business, run, "401", {"kind": "account_refused", "code": 20003})
    await database.command(business, CommandType.STOP, run)
    for attempt in attempts[len(ends) :]:
        await database.record(attempt, AttemptState.OVER, sid=None if attempt is not attempts[-1] else "CAone", outcome="busy")


async def test_what_a_worker_tells_is_described(database_url: str, redis_url: str) -> None:
    """Another service starts and stops a run with a plain XADD, and reads what came of it."""
    pool = await open_pool(database_url, name="test", size=2)
    async with redis.Redis.from_url(redis_url, decode_responses=True) as client, simulator.running(scenario="slow", speed=1) as sim:
        business, run = await loaded(pool, 5)
        async with open_services(settings(database_url, redis_url, sim.url)) as services:
            worker = Worker(services, "test:1")
            await worker.start()
            await client.xadd(COMMANDS, {"v": "1", "id": "a", "type": "run.start", "business_id": business, "run_id": run})
            # Only a run that ends with calls on the line has something to drain.
            await until_published(client, {"run.started", "run.progress", "call.progress"}, on_the_line=True)
            await client.xadd(COMMANDS, {"v": "1", "id": "b", "type": "run.stop", "business_id": business, "run_id": run, "hang_up": "1"})
            await until_published(client, {"run.finished", "run.drained"})
            await worker.stop()
        events = await entries(client, EVENTS)
    await pool.close()
    assert check_events(events) >= BEST_EFFORT


async def until_published(client: redis.Redis, types: set[str], *, on_the_line: bool = False) -> None:
    """Wait until each of these types has been published; with on_the_line, call.progress counts only once it names a call."""
    last, waiting = "0-0", set(types)
    async with asyncio.timeout(WAIT_SECONDS):
        while waiting:
            found: Any = await client.xread({EVENTS: last}, block=1000)
            for _, events in found if isinstance(found, list) else found.items():
                last = events[-1][0]
                waiting -= {fields["type"] for _, fields in events if not on_the_line or names_a_call(fields)}


def names_a_call(fields: dict[str, str]) -> bool:
    return fields["type"] != "call.progress" or bool(json.loads(fields["data"])["calls"])
