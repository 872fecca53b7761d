"""A simulator, the program it calls back, and a client of its API, for tests of what is heard and answered."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import web as http
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from telephony import simulator
from telephony.twilio.callbacks import verify
from tests.chaos.polling import lasting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from telephony.simulator.accounts.account_record import SimulatorAccount

TO: Final = "+97250000001"
FROM: Final = "+97237000000"
SPEED: Final = 200.0


def twiml(verbs: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{verbs}</Response>'


@dataclass
class Program:
    """The receiver: answers a path with its document, keeps each request, and counts those that are not signed with `token`."""

    documents: dict[str, str] = field(default_factory=dict)
    content_type: str = "text/xml"
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    token: str = simulator.TEST_TOKEN
    # How long each answer of a path takes.
    slow_seconds: dict[str, float] = field(default_factory=dict)
    unsigned: int = 0
    url: str = ""

    async def receive(self, request: http.Request) -> http.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.unsigned += not verify(self.url, request.raw_path, form, request.headers, SecretStr(self.token))
        self.headers.append(dict(request.headers))
        self.requests.append((request.path, form))
        await lasting(self.slow_seconds.get(request.path, 0.0))
        if request.path in self.documents:
            return http.Response(text=self.documents[request.path], content_type=self.content_type)
        return http.Response(status=204 if "callback" in request.path else 404)

    def forms(self, path: str) -> list[dict[str, str]]:
        return [form for asked, form in self.requests if asked == path]


@dataclass
class SimulatorClient:
    """A simulator, and a client of its API."""

    sim: simulator.Simulator
    client: aiohttp.ClientSession

    async def end(self, call: simulator.Call) -> simulator.Call:
        """Wait until the call is over and nothing is on its way any more."""
        await self.sim.call_log.until(lambda _: call.over)
        async with asyncio.timeout(10):
            await self.sim.tasks.idle()
        return call

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.client.get(path) as response:
            return response.status, await response.json()

    async def post(self, path: str, body: object) -> tuple[int, Any]:
        async with self.client.post(path, json=body) as response:
            return response.status, await response.json()


@dataclass
class Here(SimulatorClient):
    """The program that is called back, too."""

    program: Program
    account: str = simulator.TEST_ACCOUNT

    def path(self, rest: str) -> str:
        return f"/2010-04-01/Accounts/{self.account}/{rest}"

    async def place(self, to: str = TO, **fields: str) -> tuple[int, dict[str, Any]]:
        form = {"To": to, "From": FROM, "Url": f"{self.program.url}/script", **fields}
        async with self.client.post(self.path("Calls.json"), data={name: text for name, text in form.items() if text}) as response:
            return response.status, await response.json()

    async def call(self, to: str = TO, **fields: str) -> simulator.Call:
        status, body = await self.place(to, **fields)
        assert status == 201, body
        return self.sim.call_log.calls[body["sid"]]

    async def heard(self, verbs: str, **fields: str) -> list[dict[str, Any]]:
        """What is heard on a call with this script."""
        self.program.documents["/script"] = twiml(verbs)
        return (await self.end(await self.call(**fields))).heard

    async def until_heard(self, call: simulator.Call, count: int) -> None:
        await self.sim.call_log.until(lambda _: len(call.heard) >= count)

    async def update(self, call: simulator.Call, **form: str) -> tuple[int, dict[str, Any]]:
        async with self.client.post(self.path(f"Calls/{call.sid}.json"), data=form) as response:
            return response.status, await response.json()


@asynccontextmanager
async def running_here(
    accounts: Sequence[SimulatorAccount] | None = None, *, scenario: str = "answer", speed: float = SPEED, file: Path | None = None
) -> AsyncIterator[Here]:
    """A simulator with these accounts; the client is the first of them. With a `file` it resumes."""
    account = simulator.TEST_ACCOUNT if accounts is None else accounts[0].sid
    secret = simulator.TEST_TOKEN if accounts is None else accounts[0].auth_token.get_secret_value()
    program = Program()
    app = http.Application()
    app.router.add_route("*", "/{path:.*}", program.receive)
    headers = {"Authorization": aiohttp.encode_basic_auth(account, secret)}
    async with (
        TestServer(app) as server,
        simulator.running(accounts=accounts, scenario=scenario, speed=speed, call_log_file=file, resume=file is not None) as sim,
        aiohttp.ClientSession(sim.url, headers=headers) as client,
    ):
        program.url = str(server.make_url("")).rstrip("/")
        yield Here(sim, client, program, account)
