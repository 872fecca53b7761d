"""The part of Twilio's voice API that the dialer uses; docs/contract section 6."""

from __future__ import annotations

import asyncio
import base64
import hmac
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from aiohttp import web as http
from multidict import MultiDict, MultiDictProxy

from telephony.simulator.call_log import Call
from telephony.simulator.http import parameters
from telephony.simulator.http.json_bodies import VERSION, call_body, page_body
from telephony.simulator.http.listings import ListQuery
from telephony.simulator.http.rest_errors import RefusalError, injected_refusal, invalid, not_found
from telephony.simulator.scenarios import Plan, Scenario

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from telephony.simulator.call_log import ReceivedRequest
    from telephony.simulator.simulator import Simulator

CALLS: Final = f"/{VERSION}/Accounts/{{account}}/Calls.json"
CALL: Final = f"/{VERSION}/Accounts/{{account}}/Calls/{{sid:[^/.]+}}.json"


@http.middleware
async def twilio_errors(request: http.Request, handler: Callable[[http.Request], Awaitable[http.StreamResponse]]) -> http.StreamResponse:
    """Answer every error with the body Twilio sends, also for an unknown address."""
    try:
        return await handler(request)
    except RefusalError as refusal:
        return refusal.response()
    except http.HTTPNotFound:
        return not_found(request.path).response()


class Rest:
    """The four requests of the API over one simulator."""

    def __init__(self, simulator: Simulator, tokens: Mapping[str, str]) -> None:
        self._simulator = simulator
        self._credentials = {sid: base64.b64encode(f"{sid}:{token}".encode()) for sid, token in tokens.items()}

    def routes(self) -> list[http.RouteDef]:
        """The routes of the API."""
        return [
            http.post(CALLS, self.create),
            http.get(CALLS, self.listing),
            http.get(CALL, self.fetch),
            http.post(CALL, self.update),
        ]

    async def create(self, request: http.Request) -> http.StreamResponse:
        """Place a call, or inject a fault."""
        account = self._account(request)
        form = await _form(request)
        simulator = self._simulator
        if simulator.call_log.full:
            raise RefusalError(503, 20503, "the simulator's call log is full; reset it")
        received = simulator.call_log.receive(account, form.get("To", ""), form.get("From", ""))
        try:
            response = await self._answer(request, form, received)
        except RefusalError as refusal:
            received.status = refusal.status
            raise
        received.status = response.status
        return response

    async def _answer(self, request: http.Request, form: MultiDictProxy[str], received: ReceivedRequest) -> http.StreamResponse:
        broken = self._broken_before(request, received)
        if broken is not None:
            return broken
        wanted = parameters.read_parameters(form)
        call = self._connected(self._made(wanted, received))
        if self._strikes("twice", received):
            self._connected(self._made(wanted, received))
        body = self._body(call)
        if self._strikes("wrong_sid", received):
            body["sid"] = next(iter(self._simulator.call_log.calls))
        if self._strikes("delay_answer", received):
            await asyncio.sleep(self._simulator.faults.delay_answer_seconds)
        return self._broken_after(request, received) or self._reply(body, status=201)

    async def fetch(self, request: http.Request) -> http.StreamResponse:
        """Describe one call."""
        call = self._call(request)
        await self._inject_into_query(call.sid, call.requests)
        if call.created_at > self._shown_before() or self._forgotten(call):
            raise not_found(request.path)
        return self._reply(self._body(call))

    async def listing(self, request: http.Request) -> http.StreamResponse:
        """Describe a page of calls, newest first."""
        account = self._account(request)
        query = ListQuery.of(request.query)
        simulator = self._simulator
        simulator.listings += 1
        await self._inject_into_query("listing", simulator.listings)
        known = [call for call in simulator.call_log.calls_of(account, query.to) if not self._forgotten(call)]
        calls, more = query.page_of(known, self._shown_before())
        return self._reply(page_body(request.path, query, calls, simulator.ahead, more=more))

    async def update(self, request: http.Request) -> http.StreamResponse:
        """End one call: `completed` wherever it stands, `canceled` only before it is answered."""
        call = self._call(request)
        status = (await _form(request)).get("Status", "")
        if status not in {"completed", "canceled"}:
            raise invalid(name="Status", why="completed or canceled; this stand-in changes nothing else")
        if call.over:
            raise RefusalError(400, 21220, "Call is not in-progress. Cannot redirect.")
        if status == "completed" or call.status != "in-progress":
            self._simulator.switchboard.hang_up(call)
        return self._reply(self._body(call))

    def _made(self, wanted: parameters.CallParameters, received: ReceivedRequest) -> Call:
        simulator = self._simulator
        course = simulator.course(wanted.to)
        if course.scenario is Scenario.REFUSED:
            raise RefusalError(400, 21214, "'To' phone number cannot be reached")
        call = _call(received.account, wanted, course, f"CA{simulator.ids.nonce()}", simulator.clock.now())
        simulator.call_log.open(call)
        received.sid = call.sid
        return call

    def _connected(self, call: Call) -> Call:
        self._simulator.switchboard.connect(call)
        return call

    def _body(self, call: Call) -> dict[str, object]:
        return call_body(call, self._simulator.ahead)

    def _reply(self, body: dict[str, object], status: int = 200) -> http.Response:
        now = self._simulator.clock.now() + self._simulator.ahead
        return http.json_response(body, status=status, headers={"Date": format_datetime(now, usegmt=True)})

    def _forgotten(self, call: Call) -> bool:
        return self._simulator.faults.hits("forget", self._simulator.seed, call.sid)

    def _broken_before(self, request: http.Request, received: ReceivedRequest) -> http.StreamResponse | None:
        faults = self._simulator.faults
        if self._strikes("throttle", received):
            raise RefusalError(429, 20429, "Too Many Requests", faults.retry_after_seconds)
        if self._strikes("error_before", received):
            raise RefusalError(faults.error_status, 20500, "An internal server error has occurred")
        if self._strikes("refuse_before", received):
            return injected_refusal(faults)
        return _dropped(request) if self._strikes("drop_before", received) else None

    def _broken_after(self, request: http.Request, received: ReceivedRequest) -> http.StreamResponse | None:
        if self._strikes("error_after", received):
            raise RefusalError(self._simulator.faults.error_status, 20500, "An internal server error has occurred")
        if self._strikes("refuse_after", received):
            return injected_refusal(self._simulator.faults)
        if self._strikes("garble", received):
            return http.Response(text='{"sid": "CA', status=201, content_type="application/json")
        return _dropped(request) if self._strikes("drop_after", received) else None

    def _strikes(self, fault: str, received: ReceivedRequest) -> bool:
        struck = self._simulator.strikes(fault, received)
        if struck:
            received.fault = fault
        return struck

    async def _inject_into_query(self, *query: object) -> None:
        simulator = self._simulator
        if simulator.faults.ask_delay_seconds:
            await asyncio.sleep(simulator.faults.ask_delay_seconds)
        if simulator.faults.hits("ask_error", simulator.seed, *query):
            raise RefusalError(simulator.faults.error_status, 20500, "An internal server error has occurred")

    def _shown_before(self) -> datetime:
        return self._simulator.shown_before()

    def _account(self, request: http.Request) -> str:
        """The account of the path, if the request carries its credentials."""
        account = request.match_info["account"]
        given = request.headers.get("Authorization", "").removeprefix("Basic ").encode()
        if not hmac.compare_digest(given, self._credentials.get(account, b"")) or account not in self._credentials:
            raise RefusalError(401, 20003, "Authenticate")
        return account

    def _call(self, request: http.Request) -> Call:
        account = self._account(request)
        call = self._simulator.call_log.calls.get(request.match_info["sid"])
        if call is None or call.account != account:
            raise not_found(request.path)
        call.requests += 1
        self._simulator.fetches += 1
        return call


async def _form(request: http.Request) -> MultiDictProxy[str]:
    """The fields of the body; files are ignored, as Twilio has none."""
    form = await request.post()
    return MultiDictProxy(MultiDict((name, value) for name, value in form.items() if isinstance(value, str)))


def _call(account: str, wanted: parameters.CallParameters, course: Plan, sid: str, now: datetime) -> Call:
    return Call(
        sid=sid,
        account=account,
        to=wanted.to,
        from_=wanted.from_,
        url=wanted.url,
        twiml=wanted.twiml,
        status_callback=wanted.status_callback,
        events=wanted.events,
        ring_timeout_seconds=wanted.ring_timeout_seconds,
        time_limit_seconds=wanted.time_limit_seconds,
        machine_detection=wanted.machine_detection,
        plan=course,
        created_at=now,
        opened=0,
    )


def _dropped(request: http.Request) -> http.StreamResponse:
    """Close the connection instead of answering."""
    if request.transport is not None:
        request.transport.close()
    return http.Response(status=500)
