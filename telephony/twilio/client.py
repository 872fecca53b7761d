"""Places, fetches, lists and ends calls with Twilio, and maps every failure to a result.

The library is untyped: nothing of it leaves this file, `connector.py` and `account_reader.py` beside it.

On the road of a call: 6, the request to Twilio; its result goes back to `actors/calls/call.py`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from twilio.base import values
from twilio.base.exceptions import TwilioException
from twilio.rest import Client

from dialer.model import AttemptReason
from telephony import refusals
from telephony.provider import CallFacts, Listing, LiveListing, NoSuchCall, PlacedCall, RefusedCall, UnansweredCall, UnsentCall
from telephony.refusals import Action
from telephony.twilio.callbacks import CALL_SID
from telephony.twilio.connector import (
    BodyTooLongError,
    ConnectionClosedError,
    DeadlinePassedError,
    PooledHttpClient,
    exchange_until,
)

if TYPE_CHECKING:
    from dialer.clock import Clock
    from telephony.provider import Account, CallRequest, PlaceResult
    from telephony.twilio.connector import Exchange

log = logging.getLogger(__name__)

# Separate pools: a POST that places a call has a deadline, and must not queue for a connection behind other requests. Nor must hang-ups
# behind fetches, nor the lists of live calls, which cover a whole account, behind the many lists for single calls.
CONNECTIONS: Final = 128
HANG_UP_CONNECTIONS: Final = 32
LIST_CONNECTIONS: Final = 32
LIVE_LIST_CONNECTIONS: Final = 64
ASK_CONNECTIONS: Final = 32
ASK_SECONDS: Final = 10.0
LISTING_SECONDS: Final = 30.0
LISTING_PAGES: Final = 50
PAGE_SIZE: Final = 200
LIVE_STATUSES: Final = ("queued", "ringing", "in-progress")
LIVE_PAGE_SIZE: Final = 1_000
MAX_MESSAGE_CHARACTERS: Final = 500
# Of accounts, over each pool; beyond that all are built anew.
KEPT_RESOURCES: Final = 5_000
# A day has 86,400,000 ms; Twilio keeps no call in its queue for longer.
MAX_QUEUE_DIGITS: Final = 8

EVENTS: Final = ["initiated", "ringing", "answered", "completed"]
# Twilio 21220: the call is not in a state that can change, which for a hang-up means that it is over.
CALL_IS_OVER: Final = 21220
NOT_FOUND: Final = (404, 20404)
SERVER_ERRORS: Final = 500


UNUSABLE: Final = (
    aiohttp.ClientError,
    OSError,
    TimeoutError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    # A date out of range, JSON nested too deeply.
    OverflowError,
    RecursionError,
    ConnectionClosedError,
    BodyTooLongError,
)


class TwilioProvider:
    """The `Provider` over Twilio's REST API. Create it inside a running loop, share it, and close it."""

    def __init__(self, api_url: str, clock: Clock, *, connections: int = CONNECTIONS) -> None:
        """Connect to `api_url`; place calls over at most `connections` pooled connections, and send other requests over further pools."""
        self._api_url = api_url
        self._clock = clock
        sizes = (connections, HANG_UP_CONNECTIONS, LIST_CONNECTIONS, LIVE_LIST_CONNECTIONS, ASK_CONNECTIONS)
        self._pools = tuple(PooledHttpClient(clock, size) for size in sizes)
        self._placing, self._ending, self._listing, self._listing_live, self._asking = self._pools
        self._resources: dict[tuple[Account, PooledHttpClient], Any] = {}

    async def place(self, account: Account, request: CallRequest, *, deadline: float) -> PlaceResult:
        """Place one call with Twilio, once; see `Provider.place`."""
        left = deadline - self._clock.boot()
        if left <= 0:
            return UnsentCall(AttemptReason.TOO_LATE)
        with exchange_until(deadline) as exchange:
            try:
                async with asyncio.timeout(left):
                    call = await self._calls(account, self._placing).create_async(**_parameters(request))
            except Exception as error:  # noqa: BLE001 - whatever the error, the bytes written decide its meaning
                return _failure(exchange, error)
        if isinstance(call.sid, str) and CALL_SID.fullmatch(call.sid):
            return PlacedCall(call.sid, str(call.status))
        return UnansweredCall(AttemptReason.NO_CALL_NAMED, foreign=True)

    async def fetch(self, account: Account, sid: str) -> CallFacts | NoSuchCall | None:
        """Fetch one call from Twilio; see `Provider.fetch`."""
        with exchange_until(math.inf) as exchange:
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    facts = _facts(await self._calls(account, self._asking)(sid).fetch_async())
            except (TwilioException, *UNUSABLE) as error:
                if (exchange.status, exchange.code) == NOT_FOUND:
                    return NoSuchCall()
                log.warning("no usable answer about call %s: %s", sid, _reason(error))
                return None
        return facts if facts.sid == sid else None

    async def list_calls(self, account: Account, to: str | None, from_: str | None, since: datetime) -> Listing:
        """List the calls between two numbers; see `Provider.list_calls`."""
        calls: list[CallFacts] = []
        complete = False
        # Twilio counts in whole seconds: a call of 12:00:00.9 is listed as of 12:00:00.
        start = since.replace(microsecond=0)
        with exchange_until(math.inf) as exchange:
            try:
                async with asyncio.timeout(LISTING_SECONDS):
                    complete = await self._read_pages(account, to, from_, start, calls)
            except (TwilioException, *UNUSABLE) as error:
                log.warning("a listing of calls is not complete: %s", _reason(error))
        shown = tuple(call for call in calls if call.created_at is None or call.created_at >= start)
        return Listing(shown, complete, exchange.at)

    async def list_live(self, account: Account) -> LiveListing:
        """List the calls of an account that are not over; see `Provider.list_live`."""
        async with asyncio.TaskGroup() as group:
            lists = [group.create_task(self._list_status(account, status)) for status in LIVE_STATUSES]
        listed = [one.result() for one in lists]
        return LiveListing(tuple(call for calls, _ in listed for call in calls), all(complete for _, complete in listed))

    async def hang_up(self, account: Account, sid: str, *, live: bool = True) -> bool:
        """End a call at Twilio; see `Provider.hang_up`."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                call = await self._calls(account, self._ending)(sid).update_async(status="completed" if live else "canceled")
        except (TwilioException, *UNUSABLE) as error:
            if getattr(error, "code", None) == CALL_IS_OVER:
                return True
            log.warning("call %s was not hung up: %s", sid, _reason(error))
            return False
        # `canceled` leaves an answered call alone, and is no error then.
        return live or call.status != "in-progress"

    async def redirect(self, account: Account, sid: str, url: str) -> bool:
        """Let a live call go on with another script at Twilio; see `Provider.redirect`."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                await self._calls(account, self._ending)(sid).update_async(url=url, method="POST")
        except (TwilioException, *UNUSABLE) as error:
            log.warning("call %s does not go on with another script: %s", sid, _reason(error))
            return False
        return True

    async def close(self) -> None:
        """Close the pools of connections."""
        for pool in self._pools:
            await pool.close()

    async def _list_status(self, account: Account, status: str) -> tuple[list[CallFacts], bool]:
        calls: list[CallFacts] = []
        try:
            async with asyncio.timeout(ASK_SECONDS):
                page = await self._calls(account, self._listing_live).page_async(status=status, page_size=LIVE_PAGE_SIZE)
                for _ in range(LISTING_PAGES):
                    calls.extend(_facts(item) for item in page)
                    page = await page.next_page_async()
                    if page is None:
                        return calls, True
        except (TwilioException, *UNUSABLE) as error:
            log.warning("a list of live calls is not complete: %s", _reason(error))
        return calls, False

    async def _read_pages(self, account: Account, to: str | None, from_: str | None, start: datetime, calls: list[CallFacts]) -> bool:
        numbers = {"to": to or values.unset, "from_": from_ or values.unset}
        page = await self._calls(account, self._listing).page_async(**numbers, page_size=PAGE_SIZE)
        for _ in range(LISTING_PAGES):
            calls.extend(_facts(item) for item in page)
            if calls and calls[-1].created_at is not None and calls[-1].created_at < start:
                return True
            page = await page.next_page_async()
            if page is None:
                return True
        return False

    def _calls(self, account: Account, http: PooledHttpClient) -> Any:  # noqa: ANN401 - the library has no types
        """The calls of an account over one pool: the library's object, which is built from many, is kept."""
        known = self._resources.get((account, http))
        if known is None:
            if len(self._resources) >= KEPT_RESOURCES:
                self._resources.clear()
            known = self._resources[account, http] = client_of(account, http, self._api_url).calls
        return known


def client_of(account: Account, http: PooledHttpClient, api_url: str) -> Any:  # noqa: ANN401 - the library has no types
    """The library's client for one account, by its token or its API key."""
    user, password = account.api_key_sid or account.sid, account.secret.get_secret_value()
    # Our own environment: otherwise the library takes a region from the process's and rewrites the address.
    client = Client(user, password, account.sid, http_client=http, environment={"TWILIO_EDGE": "", "TWILIO_REGION": ""})
    client.api.base_url = client.voice.base_url = api_url
    return client


def _failure(exchange: Exchange, error: Exception) -> PlaceResult:
    """The result of a POST that returned no call, by the table of `telephony/refusals.py`."""
    status, code = exchange.status, exchange.code
    if status is None:
        return UnansweredCall(_reason(error)) if exchange.written else UnsentCall(_reason(error))
    action = refusals.judge(status, code).action
    if action is Action.UNKNOWN or code is None:
        return UnansweredCall(f"HTTP {status}", foreign=code is None and status < SERVER_ERRORS)
    if action is Action.WAIT:
        return UnsentCall(f"HTTP {status}, code {code}", exchange.retry_after_seconds, throttled=True)
    return RefusedCall(code, _message(error), status)


def _reason(error: BaseException) -> str:
    """The reason without a number, an address or a token: an exception's own text may contain any of them."""
    if isinstance(error, TimeoutError) or isinstance(error.__cause__, DeadlinePassedError):
        return AttemptReason.DEADLINE
    status = getattr(error, "status", None)
    if isinstance(error, TwilioException) and status:
        return f"HTTP {status}, code {_code(error)}"
    system = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    return type(error).__name__ + system


def _code(error: BaseException) -> int | None:
    code = getattr(error, "code", None)
    return code if isinstance(code, int) and code != getattr(error, "status", None) else None


def _message(error: BaseException) -> str:
    text = getattr(error, "msg", None) or getattr(error, "detail", None) or getattr(error, "title", None) or ""
    return str(text).removeprefix("Unable to create record: ")[:MAX_MESSAGE_CHARACTERS]


def _parameters(request: CallRequest) -> dict[str, object]:
    parameters: dict[str, object] = {
        "to": request.to,
        "from_": request.from_,
        "url": request.url,
        "status_callback": request.status_callback,
        "status_callback_event": EVENTS,
        "status_callback_method": "POST",
        "timeout": request.ring_timeout_seconds,
        "time_limit": request.time_limit_seconds,
    }
    if request.machine_detection is not None:
        parameters["machine_detection"] = request.machine_detection
    if request.machine_callback is not None:
        parameters |= {
            "async_amd": "true",
            "async_amd_status_callback": request.machine_callback,
            "async_amd_status_callback_method": "POST",
        }
    if request.recording_callback is not None:
        parameters |= {
            "record": True,
            "recording_status_callback": request.recording_callback,
            "recording_status_callback_event": ["completed", "absent"],
            "recording_status_callback_method": "POST",
        }
    return parameters


def _facts(call: Any) -> CallFacts:  # noqa: ANN401 - the library has no types
    if not call.sid or not call.status:
        message = "a call without sid or status"
        raise ValueError(message)
    return CallFacts(
        sid=call.sid,
        status=str(call.status),
        to=call.to or "",
        from_=call._from or "",  # noqa: SLF001 - the library's name for `from`, a keyword
        created_at=_time(call.date_created),
        started_at=_time(call.start_time),
        ended_at=_time(call.end_time),
        duration_seconds=int(call.duration) if call.duration else None,
        answered_by=call.answered_by or None,
        queue_seconds=queue_seconds(call.queue_time),
        price=price_of(call.price),
        price_unit=call.price_unit or None,
    )


def price_of(price: object) -> Decimal | None:
    """What a call cost: Twilio says it as text, below zero, since it is taken from the balance; None while it does not say."""
    try:
        found = Decimal(str(price))
    except InvalidOperation:
        return None
    return abs(found) if found.is_finite() else None


def queue_seconds(queue_time: object) -> float | None:
    """How long a call waited in Twilio's queue, which says so in milliseconds, as text; None when it does not."""
    text = str(queue_time)
    return int(text) / 1000 if text.isascii() and text.isdigit() and len(text) <= MAX_QUEUE_DIGITS else None


def _time(value: object) -> datetime | None:
    """A date; None when the library could not parse it and returned the text."""
    return value if isinstance(value, datetime) else None
