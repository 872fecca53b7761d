"""Loads each business's leads over the API, starts the runs, follows them to the end and checks that every lead is accounted for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dialer.clock import SystemClock
from ringmaster.demo import accounting, report
from ringmaster.demo import terminal as display
from ringmaster.demo.accounting import Evidence
from ringmaster.demo.client import ApiClient, ApiError
from ringmaster.demo.follow import Follower
from ringmaster.demo.report import SummaryColumn
from ringmaster.demo.run_view import RunView, names
from ringmaster.errors import single

if TYPE_CHECKING:
    from collections.abc import Sequence

    import aiohttp
    from rich.console import Console

    from ringmaster.demo.client import LoadedRun
    from ringmaster.demo.environment import Environment
    from ringmaster.demo.fixtures import Tenant
    from ringmaster.demo.terminal import Progress

STALL_SECONDS = 60.0
LONGEST_CALL_SECONDS = 660.0  # of simulated time: ring time-out and time limit
NO_LEADS = "no_leads"


@dataclass(slots=True)
class Campaign:
    """One business's run in the demo."""

    tenant: Tenant
    api: ApiClient
    loaded: LoadedRun
    view: RunView
    seconds: float = 0.0


async def run_all(
    session: aiohttp.ClientSession, environment: Environment, tenants: Sequence[Tenant], console: Console, *, terminal: bool, speed: float
) -> list[str]:
    """Dial the leads of all tenants, printing progress and tables; return the discrepancies at the end, a sentence each.

    Raises:
        CommandError: when the API answers with an error, or a run stalls.
    """
    clock = SystemClock()
    loaded = [await _load(tenant, ApiClient(session, environment.url, tenant.token), console) for tenant in tenants]
    campaigns = [campaign for campaign in loaded if campaign]
    with display.showing([campaign.view for campaign in campaigns], clock, console, terminal=terminal) as progress:
        async with single(), asyncio.TaskGroup() as group:
            for campaign in campaigns:
                group.create_task(_follow(campaign, progress, STALL_SECONDS + LONGEST_CALL_SECONDS / speed))
    evidence = [await _collect(session, environment, campaign) for campaign in campaigns]
    return _report(campaigns, evidence, console)


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


async def _follow(campaign: Campaign, progress: Progress, stall_seconds: float) -> None:
    clock = SystemClock()
    began = clock.boot()
    await campaign.api.start(campaign.loaded.run_id)
    await Follower(campaign.api, campaign.view, clock, progress.refresh, stall_seconds).follow()
    campaign.seconds = clock.boot() - began


async def _collect(session: aiohttp.ClientSession, environment: Environment, campaign: Campaign) -> Evidence:
    async with session.get(f"{environment.simulator_url}/simulator/summary") as response:
        callers: dict[str, dict[str, Any]] = (await response.json())["callers"]
    run = await campaign.api.run(campaign.loaded.run_id)
    jobs = [job async for job in campaign.api.jobs(campaign.loaded.run_id)]
    return Evidence(campaign.loaded.accepted, campaign.tenant.max_calls, run, jobs, callers.get(campaign.tenant.caller_id, {}))


def _report(campaigns: Sequence[Campaign], evidence: Sequence[Evidence], console: Console) -> list[str]:
    columns = [_column(campaign, source) for campaign, source in zip(campaigns, evidence, strict=True)]
    console.print(report.table(columns))
    found = zip(campaigns, map(accounting.discrepancies, evidence), strict=True)
    wrong = [f"{campaign.tenant.name}: {text}" for campaign, texts in found for text in texts]
    if not campaigns:
        wrong = ["no business had a lead to dial"]
    console.print("\n".join(wrong) if wrong else "Every lead is accounted for: each in one status, no number called twice.", markup=False)
    return wrong


def _column(campaign: Campaign, source: Evidence) -> SummaryColumn:
    loaded = campaign.loaded
    return SummaryColumn(campaign.tenant.name, accounting.results(source), campaign.seconds, len(loaded.rejected), len(loaded.duplicates))
