"""Somebody who looks at every run as often as the web process answers, and does the sums each time.

On the road of a call: after 7, where a browser would be.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from tests.chaos.waiting import lasting

if TYPE_CHECKING:
    from tests.chaos.tenant import Tenant

PARTS = ("queued", "in_progress", "completed", "failed", "cancelled", "skipped")
ENDED = {"completed", "cancelled", "stopped", "failed"}
# The machine is shared with what is being watched: a breath between two looks, none in the test that asks for speed.
BREATH_SECONDS = 0.02
NOTHING_TO_SEE_SECONDS = 0.05


class Watch:
    """Polls the runs it was shown, in turn; `wrong` is what was ever untrue."""

    def __init__(self) -> None:
        self.polls = 0
        self.away = 0
        self.breath_seconds = BREATH_SECONDS
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

    def show(self, run_id: int, tenant: Tenant) -> None:
        """Look at this run from now on."""
        self._runs[run_id] = tenant

    def forget(self) -> None:
        """Look at nothing, and start anew."""
        self._runs.clear()
        self._last.clear()
        self.wrong.clear()
        self.polls = self.away = 0

    async def _run(self) -> None:
        while not self._closing:
            for run_id, tenant in list(self._runs.items()):
                await self._look(run_id, tenant)
                await lasting(self.breath_seconds)
            if not self._runs:
                await lasting(NOTHING_TO_SEE_SECONDS)

    async def _look(self, run_id: int, tenant: Tenant) -> None:
        try:
            status, run = await tenant.get(run_id)
        except (aiohttp.ClientError, TimeoutError):
            self.away += 1
            return
        if status != 200:
            self.away += 1
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
            self.wrong.append(f"run {run_id}: the cursor fell")
        if last["status"] in ENDED and run["status"] != last["status"]:
            self.wrong.append(f"run {run_id}: {last['status']} became {run['status']}")
