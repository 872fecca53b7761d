"""Loads each business's leads over the API, starts the runs, looks on to the end, and asks whether every lead is accounted for.

Beside the road of a call: it presses the button, and counts when all is over.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dialer.clock import SystemClock
from ringmaster.demo import accounting, progress, report
from ringmaster.demo.accounting import Evidence
from ringmaster.demo.client import ApiClient, ApiError
from ringmaster.demo.follow import Follower
from ringmaster.demo.report import SummaryColumn
from ringmaster.demo.run_view import RunView, names
from ringmaster.refusal import single

if TYPE_CHECKING:
    from collections.abc import Sequence

    import aiohttp
    from rich.console import Console

    from ringmaster.demo.client import LoadedRun
    from ringmaster.demo.environment import Environment
    from ringmaster.demo.fixtures import Tenant
    from ringmaster.demo.progress import Progress

STILL_SECONDS = 60.0
LONGEST_CALL_SECONDS = 660.0  # of simulated time: ring time-out and time limit
NO_LEADS = "no_leads"


@dataclass(slots=True)
class Campaign:
    """One business's run in the demo."""

    tenant: Tenant
    api: ApiClient
    loaded: LoadedRun
    watched: RunView
    seconds: float = 0.0


async def watch(
    session: aiohttp.ClientSession, stage: Environment, cast: Sequence[Tenant], console: Console, *, terminal: bool, speed: float
) -> list[str]:
    """Dial everybody's leads; print the progress and the tables; give what is wrong at the end, a sentence each.

    Raises:
        RefusalError: when the API refuses, or a run stands still.
    """
    clock = SystemClock()
    found = [await _load(tenant, ApiClient(session, stage.url, tenant.token), console) for tenant in cast]
    shows = [show for show in found if show]
    with progress.showing([show.watched for show in shows], clock, console, terminal=terminal) as shown:
        async with single(), asyncio.TaskGroup() as group:
            for show in shows:
                group.create_task(_follow(show, shown, STILL_SECONDS + LONGEST_CALL_SECONDS / speed))
    evidence = [await _gather(session, stage, show) for show in shows]
    return _report(shows, evidence, console)


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
        console.print(report.refused(tenant.name, loaded.rejected, loaded.duplicates))
    return Campaign(tenant, api, loaded, RunView(tenant.name, loaded.run_id, loaded.accepted, names(leads)))


async def _follow(show: Campaign, shown: Progress, still_seconds: float) -> None:
    clock = SystemClock()
    began = clock.boot()
    await show.api.start(show.loaded.run_id)
    await Follower(show.api, show.watched, clock, shown.show, still_seconds).follow()
    show.seconds = clock.boot() - began


async def _gather(session: aiohttp.ClientSession, stage: Environment, show: Campaign) -> Evidence:
    async with session.get(f"{stage.simulator_url}/simulator/summary") as response:
        callers: dict[str, dict[str, Any]] = (await response.json())["callers"]
    run = await show.api.run(show.loaded.run_id)
    jobs = [job async for job in show.api.jobs(show.loaded.run_id)]
    return Evidence(show.loaded.accepted, show.tenant.max_calls, run, jobs, callers.get(show.tenant.caller_id, {}))


def _report(shows: Sequence[Campaign], evidence: Sequence[Evidence], console: Console) -> list[str]:
    columns = [
        SummaryColumn(show.tenant.name, accounting.results(found), show.seconds, len(show.loaded.rejected), len(show.loaded.duplicates))
        for show, found in zip(shows, evidence, strict=True)
    ]
    console.print(report.table(columns))
    wrong = [f"{show.tenant.name}: {fault}" for show, found in zip(shows, evidence, strict=True) for fault in accounting.faults(found)]
    if not shows:
        wrong = ["no business had a lead to dial"]
    console.print("\n".join(wrong) if wrong else "Every lead is accounted for: each in one status, no number called twice.", markup=False)
    return wrong
