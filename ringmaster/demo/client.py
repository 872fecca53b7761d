"""The HTTP API as one business sees it: what the demo does, any program may do with its token.

Before and beside the road of a call: it loads the leads, presses the button, and looks on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from ringmaster.demo import sse
from ringmaster.refusal import RefusalError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from ringmaster.demo.sse import ServerEvent

ANSWER_SECONDS = 30.0
LOAD_SECONDS = 300.0  # a file of 200,000 leads
SILENCE_SECONDS = 60.0  # of an event stream, which says something every 15 s
PAGE_JOBS = 200
HTTP_ERROR = 400
MAX_LINE_BYTES = 1024 * 1024


class ApiError(RefusalError):
    """The API refused; the message is its sentence."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"the API answered {status}: {body.get('error', 'no reason given')}")
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """The answer to a list of leads: how many were taken, and which rows were not."""

    run_id: int
    accepted: int
    rejected: list[dict[str, Any]]
    duplicates: list[dict[str, Any]]


class ApiClient:
    """The API at `url`, asked with one business's token."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self._url = f"{url}/api/outbound/runs"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def load(self, leads: bytes, *, name: str) -> LoadedRun:
        """Load a CSV file of leads as a new run, pending; machines that answer are to be told from people.

        Raises:
            ApiError: when no lead is accepted, or the file cannot be read.
        """
        query = {"name": name, "machine_detection": "Enable"}
        found = await self._ask("POST", "", params=query, data=leads, headers={"Content-Type": "text/csv"}, seconds=LOAD_SECONDS)
        return LoadedRun(found["run_id"], found["accepted"], found["rejected"], found["duplicates"])

    async def start(self, run_id: int) -> dict[str, Any]:
        """Start a run; gives the run.

        Raises:
            ApiError: when it cannot be started.
        """
        return await self._ask("POST", f"/{run_id}/start")

    async def run(self, run_id: int) -> dict[str, Any]:
        """The run with its counts.

        Raises:
            ApiError: when the API refuses.
        """
        return await self._ask("GET", f"/{run_id}")

    async def jobs(self, run_id: int) -> AsyncIterator[dict[str, Any]]:
        """Every job of a run, page by page.

        Raises:
            ApiError: when the API refuses.
        """
        query = {"limit": str(PAGE_JOBS)}
        while True:
            page = await self._ask("GET", f"/{run_id}/jobs", params=query)
            for job in page["items"]:
                yield job
            if not page["next_cursor"]:
                return
            query["cursor"] = str(page["next_cursor"])

    async def events(self, run_id: int, after: str) -> AsyncGenerator[ServerEvent, None]:
        """What happens to a run, from the event `after` on, or from its state now.

        Raises:
            ApiError: when the API refuses.
            aiohttp.ClientError, TimeoutError: when the connection breaks; call again with the last id.
        """
        headers = {**self._headers, "Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        patience = aiohttp.ClientTimeout(total=None, sock_connect=ANSWER_SECONDS, sock_read=SILENCE_SECONDS)
        async with self._session.get(
            f"{self._url}/{run_id}/events", headers=headers, timeout=patience, read_bufsize=MAX_LINE_BYTES
        ) as response:
            await _check(response)
            async for event in sse.events(response.content):
                yield event

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> dict[str, Any]:
        headers = {**self._headers, **(headers or {})}
        patience = aiohttp.ClientTimeout(total=seconds)
        async with self._session.request(
            method, f"{self._url}{path}", params=params, data=data, headers=headers, timeout=patience
        ) as response:
            await _check(response)
            found: dict[str, Any] = await response.json()
            return found


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status >= HTTP_ERROR:
        text = await response.text()
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        raise ApiError(response.status, body if isinstance(body, dict) else {"error": text[:200]})
