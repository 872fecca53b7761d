"""Polls every run as often as the web process responds, and checks its counters each time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from tests.chaos.figures import trials
from tests.chaos.polling import lasting

if TYPE_CHECKING:
    from tests.chaos.tenant import Tenant

PARTS = ("queued", "in_progress", "completed", "failed", "cancelled", "skipped")
ENDED = {"completed", "cancelled", "stopped", "failed"}
# The machine is shared with the processes under test: a pause between two polls, none in the test that measures speed.
PAUSE_SECONDS = 0.1 if trials(1) == 1 else 0.02
IDLE_SECONDS = 0.05


class Watch:
    """Polls the added runs in turn; `wrong` lists every violation."""

    def __init__(self) -> None:
        self.polls = 0
        self.failed_polls = 0
        self.pause_seconds = PAUSE_SECONDS
        self.wrong: list[str] = []
        self._runs: dict[int, Tenant] = {}
        self._last: dict[int, dict[str, Any]] = {}
        self._tasks = asyncio.TaskGroup()
        self._closing = False

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._tasks.create_task(self._run())
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        self._closing = True
        await self._tasks.__aexit__(None, None, None)

    def add(self, run_id: int, tenant: Tenant) -> None:
        """Poll this run from now on."""
        self._runs[run_id] = tenant

    def clear(self) -> None:
        """Poll nothing, and reset the figures."""
        self._runs.clear()
        self._last.clear()
        self.wrong.clear()
        self.polls = self.failed_polls = 0

    async def _run(self) -> None:
        while not self._closing:
            for run_id, tenant in list(self._runs.items()):
                await self._poll(run_id, tenant)
                await lasting(self.pause_seconds)
            if not self._runs:
                await lasting(IDLE_SECONDS)

    async def _poll(self, run_id: int, tenant: Tenant) -> None:
        try:
            status, run = await tenant.get(run_id)
        except (aiohttp.ClientError, TimeoutError):
            self.failed_polls += 1
            return
        if status != 200:
            self.failed_polls += 1
            if status != 503:
                self.wrong.append(f"run {run_id}: HTTP {status}")
            return
        self.polls += 1
        if run_id in self._runs:
            self._check(run_id, run)

    def _check(self, run_id: int, run: dict[str, Any]) -> None:
        last = self._last.get(run_id, run)
        self._last[run_id] = run
        if sum(run[part] for part in PARTS) != run["total_leads"] or min(run[part] for part in PARTS) < 0:
            self.wrong.append(f"run {run_id} does not add up: {run}")
        if run["cursor_position"] < last["cursor_position"]:
            self.wrong.append(f"run {run_id}: the cursor went back")
        if last["status"] in ENDED and run["status"] != last["status"]:
            self.wrong.append(f"run {run_id}: {last['status']} became {run['status']}")
