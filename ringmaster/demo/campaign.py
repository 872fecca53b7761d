"""Loads each business's leads over the API, starts the runs, follows them to the end and checks that every lead is accounted for.

The run of the small business comes later, when its calling hours are about to open.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dialer.clock import SystemClock
from ringmaster.demo import accounting, late_opening, report
from ringmaster.demo import terminal as display
from ringmaster.demo.accounting import Evidence
from ringmaster.demo.client import ApiClient, ApiError, LoadedRun
from ringmaster.demo.follow import Follower
from ringmaster.demo.report import SummaryColumn
from ringmaster.demo.run_view import RunView, names
from ringmaster.errors import single

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import aiohttp
    from rich.console import Console

    from ringmaster.demo.environment import Environment
    from ringmaster.demo.fixtures import LateRun, Tenant
    from ringmaster.demo.terminal import Progress

STALL_SECONDS = 60.0
LONGEST_CALL_SECONDS = 660.0  # of simulated time: ring time-out and time limit
NO_LEADS = "no_leads"
NOT_CREATED = LoadedRun(0, 0, [], [])
REDRAW_SECONDS = 1.0  # of a countdown
NOTHING_TO_DIAL = "no business had a lead to dial"
ALL_WELL = "Every lead is accounted for: each in one status, and called as often as asked."


@dataclass(slots=True)
class Campaign:
    """One business's run in the demo; `opens_at` is when its calling hours open, None without any."""

    tenant: Tenant
    api: ApiClient
    loaded: LoadedRun
    view: RunView
    seconds: float = 0.0
    opens_at: datetime | None = None


async def run_all(
    session: aiohttp.ClientSession, environment: Environment, tenants: Sequence[Tenant], console: Console, *, terminal: bool, speed: float
) -> list[str]:
    """Dial the leads of all tenants, printing progress and tables; return the discrepancies at the end, a sentence each.

    Raises:
        CommandError: when the API answers with an error, or a run stalls.
    """
    campaigns = [found for tenant in tenants if (found := await _prepare(session, environment, tenant, console))]
    if all(campaign.tenant.late for campaign in campaigns):
        console.print(NOTHING_TO_DIAL)
        return [NOTHING_TO_DIAL]
    views = [campaign.view for campaign in campaigns]
    with display.showing(views, SystemClock(), console, terminal=terminal) as progress:
        async with single(), asyncio.TaskGroup() as group:
            for campaign in campaigns:
                group.create_task(_follow(campaign, progress, STALL_SECONDS + LONGEST_CALL_SECONDS / speed))
    evidence = [await _collect(session, environment, campaign) for campaign in campaigns]
    return _report(campaigns, evidence, console)


async def _prepare(session: aiohttp.ClientSession, environment: Environment, tenant: Tenant, console: Console) -> Campaign | None:
    api = ApiClient(session, environment.url, tenant.token)
    if tenant.late is None:
        return await _load(tenant, api, console)
    async with session.post(f"{environment.simulator_url}/simulator/numbers", json=tenant.late.scenarios) as response:
        response.raise_for_status()
    by_id = names(await asyncio.to_thread(tenant.leads.read_bytes))
    return Campaign(tenant, api, NOT_CREATED, RunView(tenant.name, 0, len(by_id), by_id, status="not created yet"))


async def _load(tenant: Tenant, api: ApiClient, console: Console) -> Campaign | None:
    leads = await asyncio.to_thread(tenant.leads.read_bytes)
    try:
        loaded = await api.load(leads, name=tenant.run_name)
    except ApiError as error:
        if error.body.get("code") != NO_LEADS:
            raise
        console.print(f"{tenant.name}: {error}", markup=False)
        return None
    if loaded.rejected or loaded.duplicates:
        console.print(report.rejected_rows(tenant.name, loaded.rejected, loaded.duplicates))
    return Campaign(tenant, api, loaded, RunView(tenant.name, loaded.run_id, loaded.accepted, names(leads)))


async def _until_creation(view: RunView, progress: Progress) -> None:
    clock = SystemClock()
    at = late_opening.creation(clock.now())
    view.waits = [{"reason": "created", "until": at.isoformat()}]
    while (seconds := (at - clock.now()).total_seconds()) > 0:
        progress.refresh()
        await asyncio.sleep(min(seconds, REDRAW_SECONDS))


async def _create(campaign: Campaign, late: LateRun) -> None:
    leads = await asyncio.to_thread(campaign.tenant.leads.read_bytes)
    opens_at = campaign.opens_at = late_opening.next_opening(SystemClock().now())
    rules = {"calling_hours": late_opening.hours(opens_at), "retries": late.retries}
    campaign.loaded = await campaign.api.load(leads, name=campaign.tenant.run_name, settings=rules)
    campaign.view.run_id, campaign.view.total = campaign.loaded.run_id, campaign.loaded.accepted


async def _follow(campaign: Campaign, progress: Progress, stall_seconds: float) -> None:
    clock = SystemClock()
    if campaign.tenant.late:
        await _until_creation(campaign.view, progress)
        await _create(campaign, campaign.tenant.late)
    began = clock.boot()
    await campaign.api.start(campaign.loaded.run_id)
    await Follower(campaign.api, campaign.view, clock, progress.refresh, stall_seconds).follow()
    campaign.seconds = clock.boot() - began


async def _collect(session: aiohttp.ClientSession, environment: Environment, campaign: Campaign) -> Evidence:
    async with session.get(f"{environment.simulator_url}/simulator/summary") as response:
        callers: dict[str, dict[str, Any]] = (await response.json())["callers"]
    run = await campaign.api.run(campaign.loaded.run_id)
    jobs = [job async for job in campaign.api.jobs(campaign.loaded.run_id)]
    calls = callers.get(campaign.tenant.caller_id, {})
    retries = campaign.tenant.late.times if campaign.tenant.late else {}
    return Evidence(campaign.loaded.accepted, campaign.tenant.max_calls, run, jobs, calls, retries, campaign.opens_at)


def _report(campaigns: Sequence[Campaign], evidence: Sequence[Evidence], console: Console) -> list[str]:
    columns = [_column(campaign, source) for campaign, source in zip(campaigns, evidence, strict=True)]
    console.print(report.table(columns))
    found = zip(campaigns, map(accounting.discrepancies, evidence), strict=True)
    wrong = [f"{campaign.tenant.name}: {text}" for campaign, texts in found for text in texts]
    console.print("\n".join(wrong) if wrong else ALL_WELL, markup=False)
    return wrong


def _column(campaign: Campaign, source: Evidence) -> SummaryColumn:
    loaded = campaign.loaded
    return SummaryColumn(campaign.tenant.name, accounting.results(source), campaign.seconds, len(loaded.rejected), len(loaded.duplicates))
