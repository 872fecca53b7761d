"""What happens in a run, or in all runs of a business, as it happens: server-sent events that resume without gap or repeat.

How a listener begins without gap or repeat: it joins the fan-out first, so that from then on every event waits for it; then it takes the
id N of the newest entry; only then it reads the state. An event is published after its change has been committed, so the state holds
everything up to N. Events up to N that come by the fan-out are dropped, those after N are sent. (The other way round, state first and
N afterwards, an event between the two would be in neither.) N is the `id` of the reset, so that a browser resumes from there.

On the road of a call: 8, the last: the change reaches the browser.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from aiohttp import web as http

from dialer.streams.client import NOWHERE, RedisUnavailableError
from web.access.auth import principal
from web.access.standing import RECHECK_SECONDS, still_allowed
from web.api.runs import run_of
from web.events.fanout import CrowdedError
from web.events.frames import encode, parse_id, read_entry, run_of_entry
from web.events.states import UnreadableError
from web.events.subjects import Subject, WholeBusiness, WholeRun
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
# While Redis is away the whole state is sent this often.
RESET_SECONDS: Final = 2.0
# A state this old will do then: the listeners of a business share one reading a round.
SHARED_SECONDS: Final = 1.5
# A browser that takes nothing for this long is gone.
WRITE_SECONDS: Final = 30.0
# What is handed to a connection at once; its own buffer takes about as much.
MAX_WRITE_BYTES: Final = 64 * 1024
# Beyond this, sending the whole state is cheaper than replaying.
MAX_RESUMED_ENTRIES: Final = 1_000
MAX_RESUMED_BYTES: Final = 1024 * 1024
# Reading this many takes a few milliseconds, in which the process does nothing else.
ENTRIES_PER_READ: Final = 250
MAX_EVENT_ID_CHARACTERS: Final = 41
# After these a run may be over.
LAST_EVENTS: Final = frozenset({"run.finished", "run.drained"})
HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    # nginx would collect the events otherwise.
    "X-Accel-Buffering": "no",
}


@routes.get("/api/outbound/events")
async def events_of_business(request: http.Request) -> http.StreamResponse:
    """Send what happens in all runs of the business: one stream is enough for a browser, whatever it shows."""
    who = principal(request)
    reader = request.query.get("reader")
    if reader is not None and reader != who.actor:
        # A page of somebody who has signed out must not be fed with what the next one may see.
        raise ApiError(409, "other_reader", Text(msgid("Somebody else has signed in here since this page was opened.")))
    return await _listen(request, who, WholeBusiness())


@routes.get("/api/outbound/runs/{run_id}/events")
async def events_of_run(request: http.Request) -> http.StreamResponse:
    """Send what happens in a run, until it is over."""
    who = principal(request)
    run = await run_of(request, who)
    return await _listen(request, who, WholeRun(run.run_id))


async def _listen(request: http.Request, who: Principal, subject: Subject) -> http.StreamResponse:
    fanout, gauge = request.app[keys.FANOUT], request.app[keys.METRICS].listeners
    try:
        with fanout.listen(who.business_id, subject.run_id, who.actor) as listener, gauge.track_inprogress():
            return await _send(request, who, subject, listener)
    except CrowdedError:
        text = Text(msgid("Too many are listening already. Please try again later."))
        raise ApiError(503, "crowded", text, headers={"Retry-After": "10"}) from None


async def _send(request: http.Request, who: Principal, subject: Subject, listener: Listener) -> http.StreamResponse:
    response = http.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    try:
        await _Sending(request, response, who, subject, listener).until_over()
        await response.write_eof()
    except (GoneError, ConnectionError):
        log.debug("a listener has gone")
        # What it has not taken would otherwise be waited for without end.
        if request.transport is not None:
            request.transport.abort()
    return response


class GoneError(Exception):
    """The browser has closed the connection, or takes nothing any more; or the run has been deleted."""


class _Sending:
    """One connection: `position` is the id of what was sent last, None when the whole state is to be sent."""

    def __init__(self, request: http.Request, response: http.StreamResponse, who: Principal, subject: Subject, listener: Listener) -> None:
        self._app = request.app
        self._fanout = request.app[keys.FANOUT]
        self._states = request.app[keys.LIVE_STATES].of(who.business_id)
        self._standing = request.app[keys.STANDING].of(request)
        self._response = response
        self._who = who
        self._subject = subject
        self._listener = listener
        self._position: Id | None = _last_event_id(request)
        self._listener.missed = True
        self._checked_at = asyncio.get_running_loop().time()

    async def until_over(self) -> None:
        """Send until the run is over, the reader is signed out or the process ends."""
        over = False
        while not over and not self._fanout.stopping and await self._may_go_on():
            try:
                over = await self._step()
            except UnreadableError as error:
                # The browser would give up at an error, and come back by itself as long as the stream is open.
                log.warning("the state cannot be read for a listener: %s", error)
                self._listener.missed = True
                await self._write([self._subject.heartbeat])
                await self._listener.wait(RESET_SECONDS)

    async def _may_go_on(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._checked_at < RECHECK_SECONDS:
            return True
        self._checked_at = now
        return await still_allowed(self._standing, self._who)

    async def _step(self) -> bool:
        """Send what there is to send, and wait for more; True when the run is over and that has been said."""
        if self._fanout.away:
            return await self._by_postgresql_alone()
        if self._listener.missed:
            return await self._begin()
        if await self._listener.wait(HEARTBEAT_SECONDS):
            return await self._pass_on()
        await self._write([self._subject.heartbeat])
        return await self._end_if_over(await self._states.recent(HEARTBEAT_SECONDS))

    async def _by_postgresql_alone(self) -> bool:
        self._position = None
        self._listener.missed = True
        if await self._reset(await self._states.recent(SHARED_SECONDS), live=False):
            return True
        await self._listener.wait(RESET_SECONDS)
        return False

    async def _begin(self) -> bool:
        """Come level with the stream: by what was missed, or by the whole state."""
        since, self._position = self._position, None
        self._listener.begin_anew()
        if since is not None and (missed := await self._missed(since)) is not None:
            newest, frames = missed
            self._position = newest
            await self._write(frames)
            return await self._end_if_over(await self._states.fresh())
        state = await self._states.fresh()
        if state.newest is None:
            # The fan-out finds out as well, and wakes us when Redis is back.
            return await self._by_postgresql_alone()
        self._position = parse_id(state.newest)
        return await self._reset(state, live=True)

    async def _missed(self, since: Id) -> tuple[Id, list[bytes]] | None:
        """The newest entry's id and the events after `since` up to it; None when they are not all kept, too many, or out of reach."""
        try:
            async with self._fanout.resuming(self._who.business_id):
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
        # The stream only grows: nobody else need find out.
        self._fanout.too_old = max(self._fanout.too_old, since)
        return None

    def _concerns(self, about: tuple[int, int] | None) -> bool:
        return about is not None and about[0] == self._who.business_id and self._subject.run_id in {None, about[1]}

    async def _pass_on(self) -> bool:
        """Send what waits; ends the stream after the last event of the run."""
        taken = [event for event in self._listener.take() if self._position is not None and event.id > self._position]
        if not taken:
            return False
        self._position = taken[-1].id
        await self._write([event.frame for event in taken])
        if self._subject.ends and any(event.type in LAST_EVENTS for event in taken):
            return await self._end_if_over(await self._states.fresh())
        return False

    async def _reset(self, state: BusinessState, *, live: bool) -> bool:
        """Send the whole state, and the end as well when the run is over."""
        body = self._subject.reset(state, live=live)
        if body is None:
            # Runs are never deleted by us; whoever did it has ended this stream too.
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
    """The frames joined, as many at a time as may be handed to a connection at once."""
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
