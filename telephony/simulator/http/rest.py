"""The part of Twilio's voice API that the dialer uses; docs/contract section 6."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from aiohttp import web as http
from multidict import MultiDict, MultiDictProxy

from telephony.simulator.call_log import Call
from telephony.simulator.http import parameters
from telephony.simulator.http.account_checks import address_rule, check_may_call, check_open, check_room
from telephony.simulator.http.fields import one_of
from telephony.simulator.http.json_bodies import VERSION, call_body, page_body
from telephony.simulator.http.listings import ListQuery
from telephony.simulator.http.rest_errors import (
    UNREACHABLE,
    RefusalError,
    inject_into_query,
    injected_refusal,
    invalid,
    not_found,
    refusal_of,
)
from telephony.simulator.scenarios import AT_ITS_LIMIT, Plan, Scenario
from telephony.simulator.voice.sources import Source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from telephony.simulator.accounts.account_record import SimulatorAccount
    from telephony.simulator.call_log import ReceivedRequest
    from telephony.simulator.http.fields import AddressRule
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

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

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
        account = self.account_of(request)
        form = await _form(request)
        simulator = self._simulator
        if simulator.call_log.full:
            raise RefusalError(503, 20503, "the simulator's call log is full; reset it")
        received = simulator.call_log.receive(account.sid, form.get("To", ""), form.get("From", ""))
        try:
            response = await self._answer(request, account, form, received)
        except RefusalError as refusal:
            received.status = refusal.status
            raise
        received.status = response.status
        return response

    async def _answer(
        self, request: http.Request, account: SimulatorAccount, form: MultiDictProxy[str], received: ReceivedRequest
    ) -> http.StreamResponse:
        broken = self._broken_before(request, received)
        if broken is not None:
            return broken
        wanted = parameters.read_parameters(form, self._rule(account))
        check_may_call(account, wanted)
        call = self._placed(account, wanted, received)
        if self._strikes("twice", received):
            self._placed(account, wanted, received)
        body = self._body(call)
        if self._strikes("wrong_sid", received):
            body["sid"] = next(iter(self._simulator.call_log.calls))
        if self._strikes("delay_answer", received):
            await asyncio.sleep(self._simulator.faults.delay_answer_seconds)
        return self._broken_after(request, received) or self._reply(body, status=201)

    async def fetch(self, request: http.Request) -> http.StreamResponse:
        """Describe one call."""
        call = self._call(request)
        await inject_into_query(self._simulator, call.sid, call.requests)
        if call.created_at > self._shown_before() or self._forgotten(call):
            raise not_found(request.path)
        return self._reply(self._body(call))

    async def listing(self, request: http.Request) -> http.StreamResponse:
        """Describe a page of calls, newest first."""
        account = self.account_of(request)
        query = ListQuery.of(request.query)
        simulator = self._simulator
        simulator.listings += 1
        await inject_into_query(simulator, "listing", simulator.listings)
        known = [call for call in simulator.call_log.calls_of(account.sid, query.to) if not self._forgotten(call)]
        calls, more = query.page_of(known, self._shown_before())
        return self._reply(page_body(request.path, query, calls, simulator.ahead, more=more))

    async def update(self, request: http.Request) -> http.StreamResponse:
        """End one call, or give a live one another script."""
        call = self._call(request)
        form = await _form(request)
        status = one_of(form, "Status", ("", "completed", "canceled"))
        if not status and not (form.get("Url") or form.get("Twiml")):
            raise invalid(name="Status", why="completed or canceled, or else Url or Twiml; this stand-in changes nothing else")
        if call.over or (not status and call.status != "in-progress"):
            raise RefusalError(400, 21220, "Call is not in-progress. Cannot redirect.")
        if not status:
            script = parameters.read_script(form, self._rule(self.account_of(request)))
            self._simulator.switchboard.replace_script(call, Source(script.url, script.twiml or ""))
        elif status == "completed" or call.status != "in-progress":
            self._simulator.switchboard.hang_up(call)
        return self._reply(self._body(call))

    def _placed(self, account: SimulatorAccount, wanted: parameters.CallParameters, received: ReceivedRequest) -> Call:
        simulator = self._simulator
        course = simulator.course(wanted.to)
        if course.scenario is Scenario.REFUSED:
            raise refusal_of(course.error_code or UNREACHABLE)
        if not check_room(account, simulator.switchboard.live[account.sid]):
            course = replace(course, ends="failed", error_code=AT_ITS_LIMIT)
        call = _call(account.sid, wanted, course, f"CA{simulator.ids.nonce()}", simulator.clock.now())
        simulator.call_log.open(call)
        received.sid = call.sid
        simulator.switchboard.connect(call, simulator.pace.turn_after(account))
        return call

    def _rule(self, account: SimulatorAccount) -> AddressRule:
        return address_rule(account, private_hosts=self._simulator.settings.private_hosts)

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

    def _shown_before(self) -> datetime:
        return self._simulator.shown_before()

    def account_of(self, request: http.Request) -> SimulatorAccount:
        """The account of the path, if the request carries its credentials.

        Raises:
            RefusalError: 20003 when it does not, 20005 when the account is closed.
        """
        accounts = self._simulator.accounts
        return _admitted(accounts.authenticate(request.match_info["account"], request.headers.get("Authorization", "")))

    def owner_of(self, request: http.Request) -> SimulatorAccount:
        """The account whose credentials the request carries.

        Raises:
            RefusalError: as `account_of`.
        """
        return _admitted(self._simulator.accounts.owner(request.headers.get("Authorization", "")))

    def _call(self, request: http.Request) -> Call:
        account = self.account_of(request)
        call = self._simulator.call_log.calls.get(request.match_info["sid"])
        if call is None or call.account != account.sid:
            raise not_found(request.path)
        call.requests += 1
        self._simulator.fetches += 1
        return call


def _admitted(account: SimulatorAccount | None) -> SimulatorAccount:
    if account is None:
        raise RefusalError(401, 20003, "Authenticate")
    check_open(account)
    return account


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
        url=wanted.script.url,
        twiml=wanted.script.twiml,
        status_callback=wanted.status_callback,
        events=wanted.events,
        ring_timeout_seconds=wanted.ring_timeout_seconds,
        time_limit_seconds=wanted.time_limit_seconds,
        machine_detection=wanted.detection.kind,
        plan=course,
        created_at=now,
        opened=0,
        fallback_url=wanted.fallback_url,
        detection_beside=wanted.detection.beside,
        detection_callback=wanted.detection.callback,
        detection_timeout_seconds=wanted.detection.timeout_seconds,
        recording_wish=wanted.recording,
    )


def _dropped(request: http.Request) -> http.StreamResponse:
    """Close the connection instead of answering."""
    if request.transport is not None:
        request.transport.close()
    return http.Response(status=500)
