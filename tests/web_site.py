"""A web process on real servers with two businesses, and a client for its API, its callbacks and its event streams."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from aiohttp import DummyCookieJar
from aiohttp import web as http
from aiohttp.test_utils import TestClient, TestServer
from argon2 import PasswordHasher
from twilio.request_validator import RequestValidator

from dialer.config import Settings
from dialer.model import Reference, Role
from tests.rows import SECRET_KEY
from web.app import create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientResponse
    from multidict import CIMultiDictProxy

    from sql.attempts.attempts import ClaimedAttempt
    from tests.rows import DatabaseFixture

PUBLIC = "https://dialer.example.com"
AUTH_TOKEN = "the-account's-token"
ACCOUNT = "AC" + "0" * 32
NO_REDIS = "redis://127.0.0.1:1/0"
EVENT_SECONDS = 10.0
RUNS = "/api/outbound/runs"
EVENTS_OF_BUSINESS = "/api/outbound/events"


@cache
def hash_of(password: str) -> str:
    """A hash that is checked in a millisecond; those of `user create` take 0.1 s of both cores."""
    return PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(password)


@dataclass(frozen=True, slots=True)
class Response:
    """A response, read to its end."""

    status: int
    body: bytes
    headers: CIMultiDictProxy[str]

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["code"])


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server-sent event."""

    name: str
    id: str | None
    data: dict[str, Any]


class EventReader:
    """Reads a stream of events; a comment is an event without a name."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response

    async def next(self) -> ServerEvent:
        async with asyncio.timeout(EVENT_SECONDS):
            return await self._read()

    async def until(self, name: str) -> list[ServerEvent]:
        received = [await self.next()]
        while received[-1].name != name:
            received.append(await self.next())
        return received

    async def ended(self) -> bool:
        async with asyncio.timeout(EVENT_SECONDS):
            return await self._response.content.readline() == b""

    async def _read(self) -> ServerEvent:
        fields: dict[str, str] = {}
        while line := (await self._response.content.readline()).decode():
            if line == "\n" and fields:
                return ServerEvent(fields.get("event", ""), fields.get("id"), json.loads(fields["data"]))
            name, _, value = line.rstrip("\n").partition(": ")
            if name:
                fields[name] = value
        raise EOFError


class Server(TestServer):
    """Runs the application as a web process does: aiohttp's own test server cancels the handler of a client that has gone."""

    async def _make_runner(self, **options: Any) -> http.AppRunner:  # noqa: ANN401 - aiohttp's signature
        return http.AppRunner(self.app, **{**options, "handler_cancellation": False})


class Site:
    """A web process with `business`, which has a token for each role, and `rival`; requests use the token `operator` by default."""

    def __init__(self, client: TestClient[http.Request, http.Application], database: DatabaseFixture) -> None:
        self.client = client
        self.database = database
        self.business = 0
        self.rival = 0

    async def open(self) -> Site:
        self.business = await self.database.businesses.create(
            name="Ours", caller_id="+972501110000", region="IL", timezone="Asia/Jerusalem", max_calls=3
        )
        self.rival = await self.database.businesses.create(
            name="Theirs", caller_id="+12025550100", region="US", timezone="America/New_York", max_calls=3
        )
        for role in Role:
            await self.database.token(self.business, role, token_digest(role))
        await self.database.token(self.rival, Role.ADMIN, token_digest("rival"))
        return self

    async def user(self, email: str, password: str, role: Role = Role.OPERATOR) -> int:
        hashed = await asyncio.to_thread(hash_of, password)
        return await self.database.user(self.business, email, role, hashed)

    async def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = "operator",  # noqa: S107 - opens nothing
        headers: dict[str, str] | None = None,
        **more: Any,  # noqa: ANN401 - whatever aiohttp's client takes
    ) -> Response:
        credentials = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.client.request(method, path, headers={**credentials, **(headers or {})}, **more) as response:
            return Response(response.status, await response.read(), response.headers)

    async def get(self, path: str, **more: Any) -> Response:  # noqa: ANN401
        return await self.request("GET", path, **more)

    async def post(self, path: str, body: object = None, **more: Any) -> Response:  # noqa: ANN401
        return await self.request("POST", path, json=body, **more)

    async def load(self, count: int = 5, *, start: bool = True, **settings: object) -> int:
        response = await self.post(RUNS, {"leads": leads(count), "start": start, **settings})
        assert response.status == 201, response.body
        return int(response.json["run_id"])

    async def rivals_run(self, count: int = 2) -> int:
        return await self.database.run(self.rival, count)

    async def post_callback(
        self, attempt: ClaimedAttempt, status: str, *, path: str = "callbacks", auth_token: str = AUTH_TOKEN, **fields: str
    ) -> Response:
        reference = Reference(attempt.business_id, attempt.attempt_id, attempt.nonce)
        return await self.sign_and_post(f"/{path}/{reference}", callback(attempt, status, **fields), auth_token)

    async def sign_and_post(self, path: str, form: dict[str, str], auth_token: str = AUTH_TOKEN) -> Response:
        signature = RequestValidator(auth_token).compute_signature(PUBLIC + path, form)
        return await self.request("POST", path, token=None, data=form, headers={"X-Twilio-Signature": signature})

    @asynccontextmanager
    async def listen(self, run_id: int | None, *, after: str | None = None, token: str = "viewer") -> AsyncIterator[EventReader]:  # noqa: S107 - opens nothing
        path = EVENTS_OF_BUSINESS if run_id is None else f"{RUNS}/{run_id}/events"
        headers = {"Authorization": f"Bearer {token}"} | ({"Last-Event-ID": after} if after else {})
        async with self.client.get(path, headers=headers) as response:
            assert response.status == 200, await response.read()
            assert response.content_type == "text/event-stream"
            yield EventReader(response)


@asynccontextmanager
async def serving(database_url: str, redis_url: str, database: DatabaseFixture, **more: object) -> AsyncIterator[Site]:
    """Start the application and create the two businesses."""
    settings = Settings.model_validate(
        {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PUBLIC_URL": PUBLIC,
            "SECRET_KEY": SECRET_KEY,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            # Nobody answers there: nothing is known of an account.
            "TWILIO_API_URL": "http://127.0.0.1:9",
            **more,
        }
    )
    # Whoever asks sends cookies of their own, or none.
    async with TestClient(Server(create_app(settings)), cookie_jar=DummyCookieJar()) as client:
        yield await Site(client, database).open()


def leads(count: int, first: int = 1) -> list[dict[str, Any]]:
    return [{"lead_id": n, "phone": f"+9725{n:08}", "name": f"Lead {n}"} for n in range(first, first + count)]


def callback(attempt: ClaimedAttempt, status: str, **fields: str) -> dict[str, str]:
    form = {
        "CallSid": f"CA{attempt.attempt_id:032x}",
        "AccountSid": ACCOUNT,
        "From": attempt.from_number,
        "To": attempt.phone,
        "CallStatus": status,
        "Direction": "outbound-api",
    }
    return {**form, **fields}


def token_digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
