"""The demo's view of a run, against the real web process; there is no worker, so nothing is ever dialled."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from dialer.clock import SystemClock
from ringmaster import installation
from ringmaster.demo import fixtures, late_opening
from ringmaster.demo.client import ApiClient, ApiError
from ringmaster.demo.follow import Follower
from ringmaster.demo.run_view import RunView
from ringmaster.errors import CommandError
from ringmaster.local.ports import free_port
from ringmaster.local.process import Processes
from sql.pool import open_pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ringmaster.demo.fixtures import Tenant

END_SECONDS = 30.0


@asynccontextmanager
async def web(place: Path, database_url: str, redis_url: str) -> AsyncIterator[tuple[str, list[Tenant], aiohttp.ClientSession]]:
    """A web process with the demo's businesses: its address, they, and a session to ask it with."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **installation.bare_environment(),
        **installation.new_simulator().environment,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PORT": str(port),
        "PUBLIC_URL": url,
        "SECRET_KEY": "k" * 32,
    }
    async with Processes(place / "logs", f"ringmaster-test-{place.name}") as children, aiohttp.ClientSession() as session:
        await installation.start_web(children, environment)
        async with await open_pool(database_url, name="test", size=1) as pool:
            tenants = await fixtures.create(pool, None)
        yield url, tenants, session


async def test_both_samples_are_loaded_and_their_bad_rows_refused(tmp_path: Path, database_url: str, redis_url: str) -> None:
    async with web(tmp_path, database_url, redis_url) as (url, tenants, session):
        for tenant, refused in zip(tenants[:2], (5, 6), strict=True):
            api = ApiClient(session, url, tenant.token)
            loaded = await api.load(tenant.leads.read_bytes(), name=tenant.run_name)
            assert (loaded.accepted, len(loaded.rejected), len(loaded.duplicates)) == (50, refused, 2)
            assert len([job async for job in api.jobs(loaded.run_id)]) == 50


async def test_the_small_run_waits_for_its_hours(tmp_path: Path, database_url: str, redis_url: str) -> None:
    async with web(tmp_path, database_url, redis_url) as (url, tenants, session):
        [tenant] = [tenant for tenant in tenants if tenant.late]
        assert tenant.late
        api = ApiClient(session, url, tenant.token)
        settings = {"calling_hours": late_opening.hours(SystemClock().now()), "retries": tenant.late.retries}
        loaded = await api.load(tenant.leads.read_bytes(), name=tenant.run_name, settings=settings)
        assert (loaded.accepted, loaded.rejected, loaded.duplicates) == (5, [], [])
        assert {job["phone"] async for job in api.jobs(loaded.run_id)} == tenant.late.scenarios.keys()
        assert (await api.run(loaded.run_id))["settings"] == {**settings, "machine_detection": "Enable"}


async def test_all_pages_of_jobs_are_read(tmp_path: Path, database_url: str, redis_url: str) -> None:
    async with web(tmp_path, database_url, redis_url) as (url, tenants, session):
        api = ApiClient(session, url, tenants[1].token)
        leads = "lead_id,phone\n" + "".join(f"{n + 1},+1{212 + n // 100}55501{n % 100:02d}\n" for n in range(450))
        loaded = await api.load(leads.encode(), name="many")
        assert sorted([job["lead_id"] async for job in api.jobs(loaded.run_id)]) == list(range(1, 451))


async def test_a_stalled_run_is_reported_with_its_counts(tmp_path: Path, database_url: str, redis_url: str) -> None:
    async with web(tmp_path, database_url, redis_url) as (url, tenants, session):
        api = ApiClient(session, url, tenants[1].token)
        loaded = await api.load(tenants[1].leads.read_bytes(), name="without a worker")
        view = RunView("Harbor Light", loaded.run_id, loaded.accepted, {})
        await api.start(loaded.run_id)
        drawn: list[int] = []
        follower = Follower(api, view, SystemClock(), lambda: drawn.append(view.done), stall_seconds=1.0)
        with pytest.raises(CommandError, match=r"^Harbor Light: nothing has changed for 1 s: running, 50 queued, 0 in_progress"):
            async with asyncio.timeout(END_SECONDS):
                await follower.follow()
        assert drawn
        assert set(drawn) == {0}


async def test_an_error_of_the_api_is_its_sentence(tmp_path: Path, database_url: str, redis_url: str) -> None:
    async with web(tmp_path, database_url, redis_url) as (url, tenants, session):
        with pytest.raises(ApiError, match="401") as unknown:
            await ApiClient(session, url, "unknown").run(1)
        assert unknown.value.status == 401
        with pytest.raises(ApiError, match="422") as empty:
            await ApiClient(session, url, tenants[0].token).load(b"lead_id,phone\n1,none\n", name="empty")
        assert empty.value.body["code"] == "no_leads"
