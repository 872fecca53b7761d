"""The layers that a fault is run against: each returns its name, the tries until it caught the fault, and the symptom."""

from __future__ import annotations

import asyncio
import io
import re
from typing import TYPE_CHECKING
from unittest.mock import patch
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

import sql.migrate
from sql.migrate import migrate
from sql.pool import open_pool
from tests.contract.test_store import Store
from tests.mutants.faults import FAULTS, NO_FAULTS
from tests.simulation.schedule_runner import play

if TYPE_CHECKING:
    from tests.mutants.fault import Fault

EXAMPLES, STEPS = 200, 40
SYMPTOM_CHARACTERS = 110
# The modules of the faults have imported some plugins already.
TEST_OPTIONS = ("-q", "-x", "-n0", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
FAILED_TEST = re.compile(r"^FAILED (.+)", re.MULTILINE)
NOT_CAUGHT = ("", "", "")


def simulation(name: str, count: int) -> tuple[str, str, str]:
    """Run at most `count` schedules with this fault until one breaks a promise."""
    fault = next(fault for fault in (*NO_FAULTS, *FAULTS) if fault.name == name)
    with fault.applied() as names:
        for seed in range(1, count + 1):
            report = play(seed, names)
            if report.violation:
                return "simulation", f"{seed} schedules", report.violation[:SYMPTOM_CHARACTERS]
    return NOT_CAUGHT


def tested(name: str) -> tuple[str, str, str]:
    """Run the tests of this fault with it; in a process of its own, since they are imported with what it replaces."""
    fault = next(fault for fault in FAULTS if fault.name == name)
    faulty = fault.steps()
    out = io.StringIO()
    with fault.applied(), patch.object(sql.migrate, "steps", lambda: faulty), patch("sys.stdout", out):
        pytest.main([*TEST_OPTIONS, fault.test])
    failed = FAILED_TEST.search(out.getvalue())
    return ("tests", "1 run", failed[1][:SYMPTOM_CHARACTERS]) if failed else NOT_CAUGHT


def differential(fault: Fault, server_url: str) -> tuple[str, str, str]:
    """Compare PostgreSQL with this fault in one of its functions with the healthy in-memory store."""
    name = f"fault_{uuid4().hex[:8]}"
    url = urlsplit(server_url)._replace(path=f"/{name}").geturl()
    with asyncio.Runner() as runner:
        runner.run(_prepare(fault, server_url, name, url))
        pool = runner.run(open_pool(url, name="mutants", size=2))
        tried: list[int] = []
        machine = type("Faulty", (Store,), {"pool": pool, "runner": runner, "begun": lambda _: tried.append(1)})
        try:
            run_state_machine_as_test(machine, settings=_settings())
        except (AssertionError, asyncpg.PostgresError) as error:
            return (
                "differential",
                f"{len(tried)} examples",
                f"{type(error).__name__}: {str(error)[:SYMPTOM_CHARACTERS]}".replace("\n", " "),
            )
        finally:
            runner.run(pool.close())
    return NOT_CAUGHT


async def _prepare(fault: Fault, server_url: str, name: str, url: str) -> None:
    admin = await asyncpg.connect(urlsplit(server_url)._replace(path="/postgres").geturl())
    try:
        await admin.execute(f'CREATE DATABASE "{name}"')
    finally:
        await admin.close()
    await migrate(url)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(fault.text())
    finally:
        await connection.close()


def _settings() -> settings:
    return settings(
        max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck), database=None,
        phases=(Phase.generate,), verbosity=Verbosity.quiet, derandomize=True,
    )  # fmt: skip
