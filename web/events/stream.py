"""Server-sent events of a run, or of all runs of a business, that resume without gap or repeat.

How a listener starts without gap or repeat: it joins the fan-out first, which from then on queues every event for it; then it takes the
id N of the newest entry; only then does it read the state. An event is published after its change has been committed, so the state
includes everything up to N. Events up to N from the fan-out are dropped, those after N are sent. (In the other order, state first and N
afterwards, an event between the two would be in neither.) N is the `id` of the reset, so that a browser resumes from there.

On the road of a call: 8, the last: the change reaches the browser.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from aiohttp import web as http

from dialer.streams.client import NOWHERE, RedisUnavailableError
from web.access.auth import require_principal
from web.access.credential_checks import RECHECK_SECONDS, still_valid
from web.events.fanout import CrowdedError
from web.events.frames import encode, parse_id, read_entry, run_of_entry
from web.events.states import UnreadableError
from web.events.subjects import Subject, WholeBusiness, WholeRun
from web.operations.runs import requested_run
from web.server import keys
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from web.access.auth import Principal
    from web.events.frames import Id
    from web.events.listener import Listener
    from web.events.states import BusinessState

routes = http.RouteTableDef()
log = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 10.0
# While Redis is unavailable the full state is sent this often.
RESET_SECONDS: Final = 2.0
# A state this old is accepted then, so that the listeners of a business share one read a round.
SHARED_SECONDS: Final = 1.5
# A browser that reads nothing for this long is disconnected.
WRITE_SECONDS: Final = 30.0
# Written to a connection at once; its own buffer holds about as much.
MAX_WRITE_BYTES: Final = 64 * 1024
# Beyond this, sending the full state is cheaper than replaying.
MAX_RESUMED_ENTRIES: Final = 1_000
MAX_RESUMED_BYTES: Final = 1024 * 1024
# Reading this many blocks the process for a few milliseconds.
ENTRIES_PER_READ: Final = 250
MAX_EVENT_ID_CHARACTERS: Final = 41
# After these a run may be over.
HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    # Otherwise nginx would buffer the events.
    "X-Accel-Buffering": "no",
}


@routes.get("/api/outbound/events")
async def events_of_business(request: http.Request) -> http.StreamResponse:
    """Send the events of all runs of the business: one stream is enough for a browser, whatever it shows."""
    principal = require_principal(request)
    reader = request.query.get("reader")
    if reader is not None and reader != principal.actor:
        # A page left open by a user who signed out must not get the events of the next user.
        raise ApiError(409, "other_reader", Text(msgid("Someone else has signed in on this browser since this page was opened.")))
    return await _listen(request, principal, WholeBusiness())


@routes.get("/api/outbound/runs/{run_id}/events")
async def events_of_run(request: http.Request) -> http.StreamResponse:
    """Send the events of a run, until it is over."""
    principal = require_principal(request)
    run = await requested_run(request, principal)
    return await _listen(request, principal, WholeRun(run.run_id))


async def _listen(request: http.Request, principal: Principal, subject: Subject) -> http.StreamResponse:
    fanout, gauge = request.app[keys.FANOUT], request.app[keys.METRICS].listeners
    try:
        with fanout.listen(principal.business_id, subject.run_id, principal.actor) as listener, gauge.track_inprogress():
            return await _send(request, principal, subject, listener)
    except CrowdedError:
        text = Text(msgid("Too many live connections are open. Please try again later."))
        raise ApiError(503, "crowded", text, headers={"Retry-After": "10"}) from None


async def _send(request: http.Request, principal: Principal, subject: Subject, listener: Listener) -> http.StreamResponse:
    response = http.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    try:
        await _Connection(request, response, principal, subject, listener).send_until_over()
        await response.write_eof()
    except (GoneError, ConnectionError):
        log.debug("a listener has disconnected")
        # Otherwise aiohttp would wait forever for the unsent data.
        if request.transport is not None:
            request.transport.abort()
    return response


class GoneError(Exception):
    """The browser has closed the connection or stopped reading; or the run has been deleted."""


class _Connection:
    """One connection: `position` is the id of the last event sent, None when the full state must be sent."""

    def __init__(
        self, request: http.Request, response: http.StreamResponse, principal: Principal, subject: Subject, listener: Listener
    ) -> None:
        self._app = request.app
        self._fanout = request.app[keys.FANOUT]
        self._states = request.app[keys.LIVE_STATES].of(principal.business_id)
        self._credential = request.app[keys.CREDENTIAL_CHECKS].of(request)
        self._response = response
        self._principal = principal
        self._subject = subject
        self._listener = listener
        self._position: Id | None = _last_event_id(request)
        self._listener.missed = True
        self._checked_at = asyncio.get_running_loop().time()

    async def send_until_over(self) -> None:
        """Send until the run is over, the reader is signed out or the process shuts down."""
        over = False
        while not over and not self._fanout.stopping and await self._still_allowed():
            try:
                over = await self._step()
            except UnreadableError as error:
                # An error response would make the browser give up; on an open stream it can wait for the next state.
                log.warning("could not read the state for a listener: %s", error)
                self._listener.missed = True
                await self._write([self._subject.heartbeat])
                await self._listener.wait(RESET_SECONDS)

    async def _still_allowed(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._checked_at < RECHECK_SECONDS:
            return True
        self._checked_at = now
        return await still_valid(self._credential, self._principal)

    async def _step(self) -> bool:
        """Send what is due, and wait for more; True when the end has been sent."""
        if self._fanout.away:
            return await self._send_state_only()
        if self._listener.missed:
            return await self._catch_up()
        if await self._listener.wait(HEARTBEAT_SECONDS):
            return await self._send_events()
        await self._write([self._subject.heartbeat])
        return await self._end_if_over(await self._states.recent(HEARTBEAT_SECONDS))

    async def _send_state_only(self) -> bool:
        """While Redis is unavailable: send the state from PostgreSQL, and pause."""
        self._position = None
        self._listener.missed = True
        if await self._reset(await self._states.recent(SHARED_SECONDS), live=False):
            return True
        await self._listener.wait(RESET_SECONDS)
        return False

    async def _catch_up(self) -> bool:
        """Catch up with the stream: by replaying the missed events, or with the full state."""
        since, self._position = self._position, None
        self._listener.restart()
        if since is not None and (missed := await self._missed(since)) is not None:
            newest, frames = missed
            self._position = newest
            await self._write(frames)
            return await self._end_if_over(await self._states.fresh())
        state = await self._states.fresh()
        if state.newest is None:
            # The fan-out will notice as well, and wake us when Redis is available again.
            return await self._send_state_only()
        self._position = parse_id(state.newest)
        return await self._reset(state, live=True)

    async def _missed(self, since: Id) -> tuple[Id, list[bytes]] | None:
        """The newest entry's id and the events after `since` up to it; None when some are gone, too many, or Redis is unavailable."""
        try:
            async with self._fanout.resuming(self._principal.business_id):
                if since <= self._fanout.too_old:
                    return None
                oldest, newest = await self._app[keys.STREAMS].event_window()
                first, last = parse_id(oldest), parse_id(newest)
                if first is None or last is None:
                    return None
                if since != last and not (oldest != NOWHERE and first <= since <= last):
                    return None
                frames = await self._read_missed(since, newest)
        except RedisUnavailableError:
            return None
        return None if frames is None else (last, frames)

    async def _read_missed(self, since: Id, newest: str) -> list[bytes] | None:
        after, frames, size = f"{since[0]}-{since[1]}", [], 0
        for _ in range(MAX_RESUMED_ENTRIES // ENTRIES_PER_READ):
            entries = await self._app[keys.STREAMS].events_range(after, newest, ENTRIES_PER_READ)
            for entry in entries:
                after = entry[0]
                if self._concerns(run_of_entry(entry[1])) and (event := read_entry(entry)) is not None:
                    frames.append(event.frame)
                    size += len(event.frame)
            if size > MAX_RESUMED_BYTES:
                return None
            if len(entries) < ENTRIES_PER_READ:
                return frames
        # The stream only grows, so no other listener needs to try from here.
        self._fanout.too_old = max(self._fanout.too_old, since)
        return None

    def _concerns(self, about: tuple[int, int] | None) -> bool:
        return about is not None and about[0] == self._principal.business_id and self._subject.run_id in {None, about[1]}

    async def _send_events(self) -> bool:
        """Send the queued events; after the last event of the run also the end."""
        events = [event for event in self._listener.take() if self._position is not None and event.id > self._position]
        if not events:
            return False
        self._position = events[-1].id
        await self._write([event.frame for event in events])
        if self._subject.ends and any(event.is_last for event in events):
            return await self._end_if_over(await self._states.fresh())
        return False

    async def _reset(self, state: BusinessState, *, live: bool) -> bool:
        """Send the full state, and the end as well when the run is over."""
        body = self._subject.reset(state, live=live)
        if body is None:
            # We never delete runs; another program has deleted this one.
            raise GoneError
        self._app[keys.METRICS].resets.inc()
        await self._write([encode("reset", body, state.newest if live else None)])
        return await self._end_if_over(state)

    async def _end_if_over(self, state: BusinessState) -> bool:
        body = self._subject.end(state)
        if body is None:
            return False
        await self._write([encode("end", body)])
        return True

    async def _write(self, frames: Sequence[bytes]) -> None:
        for piece in _pieces(frames):
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await self._response.write(piece)
            except (ConnectionError, TimeoutError):
                raise GoneError from None


def _pieces(frames: Sequence[bytes]) -> Iterator[bytes]:
    """The frames joined into pieces of at most 64 KiB, unless a single frame is larger."""
    piece = bytearray()
    for frame in frames:
        if piece and len(piece) + len(frame) > MAX_WRITE_BYTES:
            yield bytes(piece)
            piece.clear()
        piece += frame
    if piece:
        yield bytes(piece)


def _last_event_id(request: http.Request) -> Id | None:
    text = request.headers.get("Last-Event-ID", "")
    return parse_id(text) if len(text) <= MAX_EVENT_ID_CHARACTERS else None
