"""What happens in a run, as it happens: server-sent events that resume without gap or repeat.

How a listener begins without gap or repeat: it joins the fan-out first, so that from then on every event waits for it; then it takes the
id N of the newest entry; only then it reads the state. An event is published after its change has been committed, so the state holds
everything up to N. Events up to N that come by the fan-out are dropped, those after N are sent. (The other way round, state first and
N afterwards, an event between the two would be in neither.) N is the `id` of the reset, so that a browser resumes from there.

On the road of a call: after 7, the last step to the screen.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from aiohttp import web as http

from dialer.streams import NOWHERE, AwayError
from sql.pool import AWAY, LOCKED
from web import keys
from web.auth import principal
from web.fanout import CrowdedError, encode, frame, parse_id, topic_of
from web.faults import ApiError, Text
from web.i18n import msgid
from web.runs import run_of
from web.shown import job_json, run_json

if TYPE_CHECKING:
    from sql.runs import Run
    from web.fanout import Id, Listener

routes = http.RouteTableDef()
log = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 15.0
# While Redis is away the whole state is sent this often.
RESET_SECONDS: Final = 2.0
# A browser that takes nothing for this long is gone.
WRITE_SECONDS: Final = 30.0
# More than this is quicker sent as the whole state.
MAX_RESUMED_ENTRIES: Final = 5_000
ENTRIES_PER_READ: Final = 1_000
MAX_EVENT_ID_CHARACTERS: Final = 41
# After these a run may be over.
LAST_EVENTS: Final = frozenset({"run.finished", "run.drained"})
HEARTBEAT: Final = b": alive\n\n"
HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    # nginx would collect the events otherwise.
    "X-Accel-Buffering": "no",
}


@routes.get("/api/outbound/runs/{run_id}/events")
async def events(request: http.Request) -> http.StreamResponse:
    """Send what happens in a run, until it is over."""
    who = principal(request)
    run = await run_of(request, who)
    fanout, gauge = request.app[keys.FANOUT], request.app[keys.METRICS].listeners
    try:
        with fanout.listen(who.business_id, run.run_id) as listener, gauge.track_inprogress():
            return await _send(request, listener)
    except CrowdedError:
        text = Text(msgid("Too many are listening already. Please try again later."))
        raise ApiError(503, "crowded", text, headers={"Retry-After": "10"}) from None


async def _send(request: http.Request, listener: Listener) -> http.StreamResponse:
    response = http.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    try:
        await _Sending(request, response, listener).until_over()
        await response.write_eof()
    except (GoneError, ConnectionError):
        log.debug("a listener has gone")
    return response


class GoneError(Exception):
    """The browser has closed the connection, or takes nothing any more; or the run has been deleted."""


class _Sending:
    """One connection: `position` is the id of what was sent last, None when the whole state is to be sent."""

    def __init__(self, request: http.Request, response: http.StreamResponse, listener: Listener) -> None:
        self._app = request.app
        self._fanout = request.app[keys.FANOUT]
        self._response = response
        self._listener = listener
        self._position: Id | None = _last_event_id(request)
        self._listener.missed = True

    async def until_over(self) -> None:
        """Send until the run is over or the process ends."""
        over = False
        while not over and not self._fanout.stopping:
            try:
                over = await self._step()
            except (*AWAY, *LOCKED) as error:
                # The browser would give up at an error, and come back by itself as long as the stream is open.
                log.warning("the state cannot be read for a listener: %s", type(error).__name__)
                self._listener.missed = True
                await self._write(HEARTBEAT)
                await self._listener.wait(RESET_SECONDS)

    async def _step(self) -> bool:
        """Send what there is to send, and wait for more; True when the run is over and that has been said."""
        if self._fanout.away:
            return await self._by_postgresql_alone()
        if self._listener.missed:
            return await self._begin()
        if await self._listener.wait(HEARTBEAT_SECONDS):
            return await self._pass_on()
        await self._write(HEARTBEAT)
        return await self._end_if_over()

    async def _by_postgresql_alone(self) -> bool:
        if await self._reset(None):
            return True
        self._position = None
        self._listener.missed = True
        await self._listener.wait(RESET_SECONDS)
        return False

    async def _begin(self) -> bool:
        """Come level with the stream: by what was missed, or by the whole state."""
        since, self._position = self._position, None
        self._listener.begin_anew()
        try:
            oldest, newest = await self._app[keys.STREAMS].event_window()
            missed = await self._missed(since, oldest, newest) if since is not None else None
        except AwayError:
            # The fan-out finds out as well, and wakes us when Redis is back.
            return await self._by_postgresql_alone()
        self._position = parse_id(newest)
        if missed is None:
            return await self._reset(newest)
        await self._write(missed)
        return await self._end_if_over()

    async def _missed(self, since: Id, oldest: str, newest: str) -> bytes | None:
        """The events of this run after `since`, up to `newest`; None when they are not all kept, or too many to go through."""
        if since != parse_id(newest) and not (oldest != NOWHERE and parse_id(oldest) <= since <= parse_id(newest)):
            return None
        after, frames = f"{since[0]}-{since[1]}", bytearray()
        async with self._fanout.resuming:
            for _ in range(MAX_RESUMED_ENTRIES // ENTRIES_PER_READ):
                entries = await self._app[keys.STREAMS].events_range(after, newest, ENTRIES_PER_READ)
                for entry in entries:
                    after = entry[0]
                    if topic_of(entry[1]) == self._listener.topic:
                        frames += frame(entry)
                if len(entries) < ENTRIES_PER_READ:
                    return bytes(frames)
        return None

    async def _pass_on(self) -> bool:
        """Send what waits; ends the stream after the last event of the run."""
        taken = [entry for entry in self._listener.take() if self._position is not None and entry[0] > self._position]
        if not taken:
            return False
        self._position = taken[-1][0]
        await self._write(b"".join(entry[2] for entry in taken))
        if any(entry[1] in LAST_EVENTS for entry in taken):
            return await self._end_if_over()
        return False

    async def _reset(self, newest: str | None) -> bool:
        """Send the whole state, and the end as well when the run is over."""
        business_id, run_id = self._listener.topic
        run = await self._run()
        calls = await self._app[keys.JOBS].on_the_line(business_id, run_id)
        body = {"type": "reset", "run_id": run_id, "run": run_json(run), "calls": [job_json(job) for job in calls]}
        self._app[keys.METRICS].resets.inc()
        await self._write(encode("reset", body, newest))
        return await self._end(run)

    async def _end_if_over(self) -> bool:
        return await self._end(await self._run())

    async def _end(self, run: Run) -> bool:
        if not run.status.ended or run.in_progress:
            return False
        await self._write(encode("end", {"type": "end", "run_id": run.run_id, "run": run_json(run)}))
        return True

    async def _run(self) -> Run:
        run = await self._app[keys.RUNS].get(*self._listener.topic)
        if run is None:
            # Runs are never deleted by us; whoever did it has ended this stream too.
            raise GoneError
        return run

    async def _write(self, frames: bytes) -> None:
        if not frames:
            return
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._response.write(frames)
        except (ConnectionError, TimeoutError):
            raise GoneError from None


def _last_event_id(request: http.Request) -> Id | None:
    text = request.headers.get("Last-Event-ID", "")
    if not text or len(text) > MAX_EVENT_ID_CHARACTERS:
        return None
    try:
        return parse_id(text)
    except ValueError:
        return None
