"""The recordings of an account and of a call, as Twilio's API describes them, and their sound: silence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web as http

from telephony.simulator.http.json_bodies import VERSION, page_links, rfc2822
from telephony.simulator.http.listings import page_number, page_size
from telephony.simulator.http.rest_errors import not_found
from telephony.simulator.voice.recordings import silence

if TYPE_CHECKING:
    from collections.abc import Callable

    from telephony.simulator.accounts.account_record import SimulatorAccount
    from telephony.simulator.call_log import Call
    from telephony.simulator.simulator import Simulator
    from telephony.simulator.voice.recordings import Recording

ROOT: Final = f"/{VERSION}/Accounts/{{account}}"
ONE: Final = f"{ROOT}/Recordings/{{sid:RE[^/.]+}}"


class RecordingResources:
    """`Recordings.json` of an account or a call, one recording, and its sound; `account_of` authenticates a request."""

    def __init__(self, simulator: Simulator, account_of: Callable[[http.Request], SimulatorAccount]) -> None:
        self._simulator = simulator
        self._account_of = account_of

    def routes(self) -> list[http.RouteDef]:
        """The routes; as with Twilio's default, the sound needs no credentials."""
        return [
            http.get(f"{ROOT}/Recordings.json", self.of_account),
            http.get(f"{ROOT}/Calls/{{call:[^/.]+}}/Recordings.json", self.of_call),
            http.get(f"{ONE}.json", self.one),
            http.delete(f"{ONE}.json", self.delete),
            http.get(ONE, self.sound),
            http.get(f"{ONE}.wav", self.sound),
        ]

    async def of_account(self, request: http.Request) -> http.Response:
        """Describe a page of the account's recordings, newest first; `?CallSid=` those of one call."""
        account = self._account_of(request)
        sid = request.query.get("CallSid")
        calls = self._simulator.call_log.calls_of(account.sid)
        return self._page(request, [call for call in calls if not sid or call.sid == sid])

    async def of_call(self, request: http.Request) -> http.Response:
        """Describe a page of one call's recordings."""
        account = self._account_of(request)
        call = self._simulator.call_log.calls.get(request.match_info["call"])
        if call is None or call.account != account.sid:
            raise not_found(request.path)
        return self._page(request, [call])

    async def one(self, request: http.Request) -> http.Response:
        """Describe one recording."""
        self._account_of(request)
        return http.json_response(self._body(*self._found(request)))

    async def delete(self, request: http.Request) -> http.Response:
        """Delete one recording."""
        self._account_of(request)
        call, recording = self._found(request)
        self._simulator.call_log.delete_recording(call, recording)
        return http.Response(status=204)

    async def sound(self, request: http.Request) -> http.Response:
        """The sound of one recording, shortened."""
        _, recording = self._found(request)
        return http.Response(body=b"".join(silence(recording.seconds)), content_type="audio/x-wav")

    def _found(self, request: http.Request) -> tuple[Call, Recording]:
        sid = request.match_info["sid"]
        call = self._simulator.call_log.recordings.get(sid)
        if call is None or call.account != request.match_info["account"]:
            raise not_found(request.path)
        return call, next(recording for recording in call.recordings if recording.sid == sid)

    def _page(self, request: http.Request, calls: list[Call]) -> http.Response:
        page, size = page_number(request.query), page_size(request.query)
        kept = [(call, recording) for call in reversed(calls) for recording in reversed(call.recordings)]
        bodies = [self._body(call, recording) for call, recording in kept[page * size : (page + 1) * size]]
        token = [("PageToken", f"PA{bodies[-1]['sid']}")] if len(kept) > (page + 1) * size else None
        here = [(name, request.query[name]) for name in ("CallSid",) if request.query.get(name)] + [("PageSize", str(size))]
        return http.json_response({"recordings": bodies, **page_links(request.path, here, page, size, len(bodies), token)})

    def _body(self, call: Call, recording: Recording) -> dict[str, object]:
        path = f"/{VERSION}/Accounts/{call.account}/Recordings/{recording.sid}"
        at = rfc2822(recording.created_at, self._simulator.ahead)
        return {
            "sid": recording.sid,
            "account_sid": call.account,
            "call_sid": call.sid,
            "conference_sid": None,
            "api_version": VERSION,
            "date_created": at,
            "date_updated": at,
            "start_time": at,
            "duration": str(recording.seconds),
            "channels": recording.channels,
            "source": recording.source,
            "status": "completed",
            "error_code": None,
            "price": None,
            "price_unit": "USD",
            "encryption_details": None,
            "media_url": f"{self._simulator.address}{path}",
            "subresource_uris": {},
            "uri": f"{path}.json",
        }
