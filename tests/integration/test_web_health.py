"""Liveness, readiness, metrics, the description of the API, and starting and stopping the process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import aiohttp

from tests.web_site import ACCOUNT, AUTH_TOKEN, RUNS, leads

if TYPE_CHECKING:
    from tests.web_site import Site

START_SECONDS = 20
STOP_SECONDS = 10


async def test_readiness_reports_each_dependency(site: Site) -> None:
    assert (await site.get("/healthz", token=None)).json == {"status": "ok"}
    response = await site.get("/readyz", token=None)
    assert (response.status, response.json) == (200, {"status": "ok", "database": "ok", "redis": "ok"})
    await site.database.pool.execute("DELETE FROM dialer.schema_migrations WHERE kind = 'function'")
    response = await site.get("/readyz", token=None)
    assert (response.status, response.json["database"]) == (503, "migrations pending")


async def test_without_redis_the_process_is_degraded_and_serves(site_without_redis: Site) -> None:
    response = await site_without_redis.get("/readyz", token=None)
    assert (response.status, response.json) == (200, {"status": "degraded", "database": "ok", "redis": "away"})


async def test_requests_are_counted_by_route_without_ids(site: Site) -> None:
    run_id = await site.load(1)
    await site.get(f"{RUNS}/{run_id}/jobs/4711")
    await site.get("/secret-looking-path")
    text = (await site.get("/metrics", token=None)).body.decode()
    assert 'web_requests_total{method="GET",route="/api/outbound/runs/{run_id}/jobs/{job_id}",status="404"} 1.0' in text
    assert 'web_requests_total{method="GET",route="unknown",status="404"} 1.0' in text
    assert "webhook_deliveries_waiting 0.0" in text
    assert "/4711" not in text
    assert "secret-looking" not in text


async def test_the_api_is_described(site: Site) -> None:
    response = await site.get("/api/openapi.yaml", token=None)
    assert (response.status, response.headers["Content-Type"].split(";")[0]) == (200, "application/yaml")
    page = await site.get("/api/docs", token=None)
    assert b"/api/outbound/stop-queue" in page.body
    assert b"Role: operator" in page.body
    assert b"<script" not in page.body
    examples = await site.get("/api/docs/examples.md", token=None)
    assert b'href="/api/docs/examples.md"' in page.body
    assert (examples.status, examples.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert (await site.get("/api/docs.css", token=None)).status == 200


async def test_unknown_addresses_and_methods(site: Site) -> None:
    response = await site.get("/api/outbound/nothing")
    assert (response.status, response.code) == (404, "not_found")
    response = await site.request("DELETE", RUNS)
    assert (response.status, response.code) == (405, "method_not_allowed")
    assert response.headers["Allow"] == "GET,HEAD,POST"


async def test_the_process_starts_serves_and_stops_at_once_with_a_listener(site: Site, database_url: str, redis_url: str) -> None:
    run_id = (await site.post(RUNS, {"leads": leads(2)})).json["run_id"]
    with_port = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0)
    port = with_port.sockets[0].getsockname()[1]
    with_port.close()
    await with_port.wait_closed()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PUBLIC_URL": "http://127.0.0.1",
        "TWILIO_API_URL": "http://127.0.0.1:9",
        "SECRET_KEY": "k" * 40,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "PORT": str(port),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "web", env=environment, stderr=asyncio.subprocess.PIPE)
    try:
        assert process.stderr
        async with asyncio.timeout(START_SECONDS):
            while b"listening on port" not in (line := await process.stderr.readline()):
                assert line, "the process has ended"
        headers = {"Authorization": "Bearer viewer"}
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"http://127.0.0.1:{port}{RUNS}/{run_id}/events", headers=headers) as listening,
        ):
            assert (await listening.content.readline()).startswith(b"id: ")
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STOP_SECONDS):
                await listening.content.read()
                assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_process_reports_every_wrong_setting_and_exits() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL", "PUBLIC_URL"}}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "web", env={**environment, "SECRET_KEY": "short"}, stderr=asyncio.subprocess.PIPE
    )
    _, response = await process.communicate()
    assert process.returncode == 2
    for name in ("DATABASE_URL", "REDIS_URL", "PUBLIC_URL", "SECRET_KEY"):
        assert name in response.decode()
