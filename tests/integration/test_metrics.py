"""What a worker and a web process measure, and what their own port says of them while they are well and while they are not."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import urllib.request
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from dialer.watch.loop_watch import LONGEST_SECONDS, LoopWatch
from dialer.watch.metrics_port import MetricsPort
from dialer.watch.process_metrics import ProcessMetrics
from ringmaster.local.ports import LOCALHOST, free_port
from tests.chaos.polling import until
from tests.prometheus import OPS, RULES
from tests.web_site import ACCOUNT, AUTH_TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAME = re.compile(r"[a-z][a-z_]+")
LABELS = re.compile(r"\{[^}]*\}|by \([^)]*\)|\[[^\]]*\]")
FUNCTIONS = {"up", "max", "min", "sum", "rate", "increase", "absent", "and", "or", "histogram_quantile"}
START_SECONDS = 60
LEASE_SECONDS = 30


class Process:
    """A process of ours with its own port for metrics, and the lines of its log."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.url = f"http://{LOCALHOST}:{port}"

    async def lines(self, *texts: str) -> str:
        """Its log, until each of these is in it."""
        assert self.process.stderr
        seen = ""
        try:
            async with asyncio.timeout(START_SECONDS):
                while not all(text in seen for text in texts):
                    line = (await self.process.stderr.readline()).decode()
                    assert line, seen
                    seen += line
        except TimeoutError:
            pytest.fail(f"not within {START_SECONDS} s: {texts}; it logged:\n{seen}")
        return seen

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
            return response.status, await response.text()

    async def health(self) -> tuple[int, str]:
        try:
            return await self.get("/healthz")
        except aiohttp.ClientConnectorError:
            return 0, ""


@asynccontextmanager
async def running(program: str, port: int, database_url: str, redis_url: str, **settings: str) -> AsyncIterator[Process]:
    """A web process or a worker that serves its metrics on `port`."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PUBLIC_URL": "http://127.0.0.1",
        "TWILIO_API_URL": "http://127.0.0.1:9",
        "SECRET_KEY": "k" * 40,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "HOST": LOCALHOST,
        "DIALER_METRICS_PORT": str(port),
        **settings,
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *program.split(), env=environment, stderr=asyncio.subprocess.PIPE)
    try:
        yield Process(process, port)
        process.send_signal(signal.SIGTERM)
        assert process.stderr
        await process.stderr.read()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def series(text: str) -> set[str]:
    """The names of the series in a scrape, those without a sample yet included."""
    families = list(text_string_to_metric_families(text))
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
    return {f"{family.name}{ending}" for family in families for ending in endings[family.type]}


def asked_for() -> set[str]:
    """The names of the series that the rules and the dashboard name."""
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    board = json.loads((OPS / "grafana" / "ringmaster.json").read_text())
    asked = [rule["expr"] for rule in rules] + [one["expr"] for panel in board["panels"] for one in panel.get("targets", ())]
    # Prometheus makes `up` itself; labels are in braces and in parentheses after `by`.
    names = {name for one in asked for name in NAME.findall(LABELS.sub("", one))}
    return names - FUNCTIONS


async def test_a_worker_serves_its_metrics_and_says_when_it_cannot_dial(database_url: str, redis_url: str) -> None:
    port = free_port()
    name = urlsplit(database_url).path.removeprefix("/")
    maintenance = await asyncpg.connect(urlsplit(database_url)._replace(path="/postgres").geturl())
    try:
        async with running("actors", port, database_url, redis_url) as worker:
            await worker.lines("metrics are on port")

            async def well() -> bool:
                return await worker.health() == (200, "ok\n")

            await until(well, START_SECONDS, "the worker has its lease")
            families = {family.name: family for family in text_string_to_metric_families((await worker.get("/metrics"))[1])}
            [age] = families["worker_lease_age_seconds"].samples
            assert 0 <= age.value < 6
            # It holds connections by now, and each use of one has been timed.
            assert next(sample.value for sample in families["pool_wait_seconds"].samples if sample.name.endswith("_count")) > 0
            assert (await worker.get("/"))[0] == 404
            # Whatever the rules and the dashboard ask for is there, in one kind of process or the other.
            async with running("web", free_port(), database_url, redis_url, PORT=str(free_port())) as web:
                await web.lines("metrics are on port")
                served = series((await worker.get("/metrics"))[1]) | series((await web.get("/metrics"))[1])
            assert {name for name in asked_for() if name not in served} == set()
            # The port of a second process is in use: it says so once, and works all the same.
            async with running("actors", port, database_url, redis_url) as second:
                await second.lines(f"DIALER_METRICS_PORT: port {port}: Address already in use; this process goes on without it", "started")
            await maintenance.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            await maintenance.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)

            async def unwell() -> str:
                status, reason = await worker.health()
                return reason if status == 503 else ""

            reason = await until(unwell, LEASE_SECONDS, "its lease expires")
            assert "lease" in reason
            assert "PostgreSQL is unavailable" in reason
            await maintenance.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            await until(well, LEASE_SECONDS, "it has joined again")
    finally:
        await maintenance.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await maintenance.close()


async def test_web_processes_on_one_port_are_read_one_by_one(database_url: str, redis_url: str) -> None:
    shared = str(free_port())
    async with (
        running("web --share-port", free_port(), database_url, redis_url, PORT=shared) as one,
        running("web --share-port", free_port(), database_url, redis_url, PORT=shared) as other,
    ):
        for process in (one, other):
            await process.lines("metrics are on port", "listening on port")
            assert await process.health() == (200, "ok\n")
        # A request to the port they share is answered by one of them, and counted by that one alone.
        async with aiohttp.ClientSession() as session, session.get(f"http://{LOCALHOST}:{shared}/healthz") as response:
            assert response.status == 200
        counted = 'web_requests_total{method="GET",route="/healthz",status="200"} 1.0'
        texts = [(await process.get("/metrics"))[1] for process in (one, other)]
        assert [counted in text for text in texts].count(True) == 1
        # What concerns the whole installation is the same in both.
        assert all("dialer_workers 0.0" in text and "dialer_redis_available 1.0" in text for text in texts)


class Hands:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def boot(self) -> float:
        return self.at


def asked(url: str) -> tuple[int, str]:
    """The answer to a request that blocks the event loop of whoever calls this."""
    try:
        with urllib.request.urlopen(url, timeout=START_SECONDS) as response:  # noqa: S310 - our own port
            return response.status, response.read().decode()
    except HTTPError as answer:
        return answer.code, answer.read().decode()


async def test_the_port_says_that_the_event_loop_stands_still_while_it_does() -> None:
    port, clock, metrics = free_port(), Hands(), ProcessMetrics()
    async with LoopWatch(clock) as watch, MetricsPort(LOCALHOST, port, export=metrics.export, trouble=lambda: watch.trouble):  # type: ignore[arg-type]
        metrics.show_loop(watch)

        async def listens() -> bool:
            try:
                _, writer = await asyncio.open_connection(LOCALHOST, port)
            except OSError:
                return False
            writer.close()
            return True

        await until(listens, START_SECONDS, "the port is open")
        # From here on nothing is awaited: the loop stands still, and the port answers.
        assert asked(f"http://{LOCALHOST}:{port}/healthz") == (200, "ok\n")
        clock.at += 2 * LONGEST_SECONDS + 4
        status, reason = asked(f"http://{LOCALHOST}:{port}/healthz")
        assert (status, reason) == (503, "the event loop has been standing still for 10 s\n")
        assert "loop_lag_seconds 9.5" in asked(f"http://{LOCALHOST}:{port}/metrics")[1]

        async def turns() -> bool:
            return watch.trouble == ""

        await until(turns, START_SECONDS, "the loop turns again")
        assert watch.worst_seconds == 9.5, "the next scrape has to see it"
