"""A client of the HTTP API with one business's token, as any program could write it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from ringmaster.demo import sse
from ringmaster.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from ringmaster.demo.sse import ServerEvent

RESPONSE_SECONDS = 30.0
LOAD_SECONDS = 300.0  # a file of 200,000 leads
SILENCE_SECONDS = 60.0  # of an event stream, which sends something every 15 s
PAGE_JOBS = 200
HTTP_ERROR = 400
MAX_LINE_BYTES = 1024 * 1024


class ApiError(CommandError):
    """The API answered with an error; the message is its sentence."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"the API answered {status}: {body.get('error', 'no reason given')}")
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """The response to a list of leads: how many were accepted, and the rows that were not."""

    run_id: int
    accepted: int
    rejected: list[dict[str, Any]]
    duplicates: list[dict[str, Any]]


class ApiClient:
    """The API at `url`, used with one business's token."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self._url = f"{url}/api/outbound/runs"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def load(self, leads: bytes, *, name: str, settings: Mapping[str, Any] | None = None) -> LoadedRun:
        """Load a CSV file of leads as a pending run with machine detection; `settings` are further fields of the run.

        Raises:
            ApiError: when no lead is accepted, or the file cannot be read.
        """
        query = {"name": name, "machine_detection": "Enable"} | {field: json.dumps(value) for field, value in (settings or {}).items()}
        body = await self._request("POST", "", params=query, data=leads, headers={"Content-Type": "text/csv"}, seconds=LOAD_SECONDS)
        return LoadedRun(body["run_id"], body["accepted"], body["rejected"], body["duplicates"])

    async def start(self, run_id: int) -> dict[str, Any]:
        """Start a run; returns it.

        Raises:
            ApiError: when it cannot be started.
        """
        return await self._request("POST", f"/{run_id}/start")

    async def run(self, run_id: int) -> dict[str, Any]:
        """The run with its counts.

        Raises:
            ApiError: when the API answers with an error.
        """
        return await self._request("GET", f"/{run_id}")

    async def jobs(self, run_id: int) -> AsyncIterator[dict[str, Any]]:
        """Every job of a run, page by page.

        Raises:
            ApiError: when the API answers with an error.
        """
        query = {"limit": str(PAGE_JOBS)}
        while True:
            page = await self._request("GET", f"/{run_id}/jobs", params=query)
            for job in page["items"]:
                yield job
            if not page["next_cursor"]:
                return
            query["cursor"] = str(page["next_cursor"])

    async def events(self, run_id: int, after: str) -> AsyncGenerator[ServerEvent, None]:
        """The events of a run after the event `after`, or from its current state on.

        Raises:
            ApiError: when the API answers with an error.
            aiohttp.ClientError, TimeoutError: when the connection breaks; call again with the last id.
        """
        headers = {**self._headers, "Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=RESPONSE_SECONDS, sock_read=SILENCE_SECONDS)
        async with self._session.get(
            f"{self._url}/{run_id}/events", headers=headers, timeout=timeout, read_bufsize=MAX_LINE_BYTES
        ) as response:
            await _check(response)
            async for event in sse.events(response.content):
                yield event

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        seconds: float = RESPONSE_SECONDS,
    ) -> dict[str, Any]:
        headers = {**self._headers, **(headers or {})}
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self._session.request(
            method, f"{self._url}{path}", params=params, data=data, headers=headers, timeout=timeout
        ) as response:
            await _check(response)
            body: dict[str, Any] = await response.json()
            return body


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status >= HTTP_ERROR:
        text = await response.text()
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        raise ApiError(response.status, body if isinstance(body, dict) else {"error": text[:200]})
