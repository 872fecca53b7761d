"""A business of the cluster, used over the HTTP API with a token, as its own programs would."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.chaos.polling import until
from tests.chaos.watch import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.watch import Watch

RUNS = "/api/outbound/runs"
END_SECONDS = 60.0


@dataclass
class Tenant:
    """`leads` of each of its `runs` as they were loaded, by run id."""

    http: aiohttp.ClientSession
    url: str
    business_id: int
    caller_id: str
    token: str
    max_calls: int
    watch: Watch
    runs: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

    async def request(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """Send a request to the web process; return the status and the body."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.http.request(method, f"{self.url}{path}", json=body, headers=headers) as response:
            return response.status, await response.json()

    async def run(self, leads: list[dict[str, Any]], *, start: bool = True, concurrency: int | None = None) -> int:
        """Load a run, and start it."""
        body = {"leads": leads, "start": start, **({"concurrency": concurrency} if concurrency else {})}
        status, response = await self.request("POST", RUNS, body)
        assert status == 201, response
        assert response["accepted"] == len(leads), response
        run_id = int(response["run_id"])
        self.runs[run_id] = leads
        self.watch.add(run_id, self)
        return run_id

    async def get(self, run_id: int) -> tuple[int, dict[str, Any]]:
        """The status and body of the response for a run."""
        return await self.request("GET", f"{RUNS}/{run_id}")

    async def read_run(self, run_id: int) -> dict[str, Any]:
        """A run; the response must be 200."""
        status, run = await self.get(run_id)
        assert status == 200, run
        return run

    async def cancel(self, run_id: int, *, wait: bool = False, hang_up: bool = False) -> dict[str, Any]:
        """Cancel a run."""
        status, response = await self.request("POST", f"/api/outbound_calls/jobs/{run_id}/cancel", {"wait": wait, "hang_up": hang_up})
        assert status == 200, response
        return response

    async def stop(self, run_id: int, *, wait: bool = False, hang_up: bool = False) -> dict[str, Any]:
        """Stop a run."""
        body = {"run_id": run_id, "wait": wait, "hang_up": hang_up}
        status, response = await self.request("POST", "/api/outbound/stop-queue", body)
        assert status == 200, response
        return response

    async def stop_all(self) -> None:
        """Stop every run that has not ended."""
        for run_id in self.runs:
            if (await self.read_run(run_id))["status"] not in ENDED:
                await self.stop(run_id, hang_up=True)

    async def until(self, run_id: int, condition: Callable[[dict[str, Any]], bool], within_seconds: float = END_SECONDS) -> dict[str, Any]:
        """Wait until a run meets a condition; return it."""
        last: dict[str, Any] = {}

        async def answer() -> bool:
            nonlocal last
            # A proxy answers with a page of its own until it sees that the web process is back.
            with contextlib.suppress(aiohttp.ContentTypeError):
                status, last = await self.get(run_id)
                return status == 200 and condition(last)
            return False

        await until(answer, within_seconds, lambda: f"run {run_id}: {last}")
        return last

    async def ended(self, run_id: int, within_seconds: float = END_SECONDS) -> dict[str, Any]:
        """Wait until a run has ended and none of its calls is in progress."""
        return await self.until(run_id, lambda run: run["status"] in ENDED and run["in_progress"] == 0, within_seconds)

    async def taken(self, run_id: int, leads: int, within_seconds: float = END_SECONDS) -> dict[str, Any]:
        """Wait until so many leads have been taken."""
        return await self.until(run_id, lambda run: run["cursor_position"] >= leads, within_seconds)
