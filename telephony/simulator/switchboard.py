"""Moves each call from queued to its end, in scaled time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from telephony.simulator.deliveries import fields

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from telephony.simulator.background_tasks import BackgroundTasks
    from telephony.simulator.call_log import Call, CallLog
    from telephony.simulator.deliveries import Deliveries
    from telephony.simulator.webhooks import Webhooks

HANGUP_SECONDS: Final = 0.3
# Without a script Twilio says "an application error has occurred" and hangs up.
ERROR_SECONDS: Final = 4.0


class Line:
    """The waits of one call, which a hang-up cuts short."""

    def __init__(self, speed: float) -> None:
        self.hung_up = False
        self._speed = speed
        self._scope: asyncio.Timeout | None = None

    def hang_up(self) -> None:
        """End the current wait, and every later one immediately."""
        if self._scope is not None and not self.hung_up:
            self._scope.reschedule(asyncio.get_running_loop().time())
        self.hung_up = True

    async def wait(self, seconds: float) -> bool:
        """Wait so many simulated seconds; True when the call was hung up before or meanwhile."""
        return await self.wait_for(asyncio.sleep(seconds / self._speed))

    async def wait_for(self, work: Awaitable[object]) -> bool:
        """Wait for `work`, or until the call is hung up; True when it was."""
        try:
            async with asyncio.timeout(0 if self.hung_up else None) as self._scope:
                await work
        except TimeoutError:
            if not self.hung_up:
                raise
        finally:
            self._scope = None
        return self.hung_up


class Switchboard:
    """Every call that is not over, one task per call."""

    def __init__(self, call_log: CallLog, deliveries: Deliveries, webhooks: Webhooks, tasks: BackgroundTasks, speed: float) -> None:
        self._call_log = call_log
        self._deliveries = deliveries
        self._webhooks = webhooks
        self._tasks = tasks
        self._speed = speed
        self._lines: dict[str, Line] = {}

    def connect(self, call: Call) -> None:
        """Start a call."""
        line = self._lines[call.sid] = Line(self._speed)
        self._tasks.start(self._run(call, line))

    def hang_up(self, call: Call) -> None:
        """End a call from our side, whatever its status."""
        line = self._lines.get(call.sid)
        if line is not None:
            line.hang_up()

    def clear(self) -> None:
        """Drop every line; their tasks are cancelled by their owner."""
        self._lines.clear()

    async def _run(self, call: Call, line: Line) -> None:
        status = await self._course(call, line)
        self._lines.pop(call.sid, None)
        self._call_log.move(call, status)
        self._deliveries.send(call, "completed", status)

    async def _course(self, call: Call, line: Line) -> str:
        plan = call.plan
        if await line.wait(plan.queue_seconds):
            return "canceled"
        call.started_at = self._call_log.clock.now()
        self._deliveries.send(call, "initiated", "initiated")
        if await line.wait(plan.dial_seconds):
            return "canceled"
        if plan.ends is not None:
            return plan.ends
        self._call_log.move(call, "ringing")
        self._deliveries.send(call, "ringing", "ringing")
        if await line.wait(min(plan.ring_seconds, call.ring_timeout_seconds)):
            return "canceled"
        if plan.ring_seconds >= call.ring_timeout_seconds:
            return "no-answer"
        await self._conversation(call, line)
        return "completed"

    async def _conversation(self, call: Call, line: Line) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        call.answered_by = _answered_by(call)
        self._call_log.move(call, "in-progress")
        self._deliveries.send(call, "answered", "in-progress")
        script = Script()
        await line.wait_for(script.fetch(call, self._webhooks))
        spent = (loop.time() - start) * self._speed
        await line.wait(max(0.0, min(script.seconds, call.time_limit_seconds - spent)))
        call.duration_seconds = min(round((loop.time() - start) * self._speed), call.time_limit_seconds)


class Script:
    """The script of a call, as far as it decides how long the call lasts; `seconds` are simulated."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def fetch(self, call: Call, webhooks: Webhooks) -> None:
        """Fetch the script from the address of the request, unless the request brought one."""
        text: bytes | None = (call.twiml or "").encode()
        if call.url is not None:
            answer = await webhooks.post(call.url, fields(call, "in-progress"), call.account)
            text = None if answer.failure else answer.body
        self.seconds = _length(text, call.plan.talk_seconds)


def _length(twiml: bytes | None, talk_seconds: float) -> float:
    """The seconds a call with this script lasts: all of it, unless it is no script or begins with a hang-up."""
    # No document type: entities could make a small answer huge.
    if twiml is None or b"<!DOCTYPE" in twiml:
        return ERROR_SECONDS
    try:
        response = ET.fromstring(twiml)  # noqa: S314 - entities are refused above
    except ET.ParseError:
        return ERROR_SECONDS
    verbs = [verb.tag for verb in response]
    return HANGUP_SECONDS if not verbs or verbs[0] in {"Hangup", "Reject"} else talk_seconds


def _answered_by(call: Call) -> str | None:
    """Twilio's `AnsweredBy`, when the request asked for machine detection."""
    if call.machine_detection is None or call.plan.answered_by == "human":
        return None if call.machine_detection is None else "human"
    return "machine_start" if call.machine_detection == "Enable" else "machine_end_beep"
