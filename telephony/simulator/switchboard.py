"""Moves each call from queued to its end, in scaled time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from telephony.simulator.call_log import INBOUND
from telephony.simulator.voice import detection, recordings
from telephony.simulator.voice.hearing import Hearing
from telephony.simulator.voice.line import Line
from telephony.simulator.voice.sources import Source

if TYPE_CHECKING:
    from telephony.simulator.call_log import Call
    from telephony.simulator.deliveries import Deliveries
    from telephony.simulator.voice.voice_services import VoiceServices


class Switchboard:
    """Every call that is not over, one task per call."""

    def __init__(self, voice: VoiceServices, deliveries: Deliveries) -> None:
        self._voice = voice
        self._call_log = voice.call_log
        self._deliveries = deliveries
        self._lines: dict[str, Line] = {}
        # How many calls each account has now.
        self.live: Counter[str] = Counter()

    def connect(self, call: Call, turn_after: float = 0.0) -> None:
        """Start a call; its account's turn comes after so many real seconds."""
        line = self._lines[call.sid] = Line(self._voice.speed)
        self.live[call.account] += 1
        self._voice.tasks.start(self._run(call, line, turn_after))

    def hang_up(self, call: Call) -> None:
        """End a call from our side, whatever its status."""
        line = self._lines.get(call.sid)
        if line is not None:
            line.hang_up()

    def replace_script(self, call: Call, source: Source) -> None:
        """Let a live call go on with another script."""
        line = self._lines.get(call.sid)
        if line is not None:
            line.replace(source)

    def press(self, call: Call, keys: str) -> bool:
        """Press keys on a call; False when it is over."""
        line = self._lines.get(call.sid)
        if line is not None:
            line.press(keys)
        return line is not None

    def clear(self) -> None:
        """Drop every line; their tasks are cancelled by their owner."""
        self._lines.clear()
        self.live.clear()

    async def _run(self, call: Call, line: Line, turn_after: float) -> None:
        status = await self._queue(call, line, turn_after) or await self._course(call, line)
        if self._lines.pop(call.sid, None) is not None:
            self.live[call.account] -= 1
        self._call_log.move(call, status)
        self._deliveries.send(call, "completed", status)

    async def _queue(self, call: Call, line: Line, turn_after: float) -> str | None:
        """Wait for the account's turn, then as long as the plan says; the status when the call ends there."""
        if turn_after > 0 and await line.wait_for(asyncio.sleep(turn_after)):
            return "canceled"
        call.queue_milliseconds = round(turn_after * 1000)
        if await line.wait(call.plan.queue_seconds):
            return "canceled"
        return None

    async def _course(self, call: Call, line: Line) -> str:
        plan = call.plan
        call.started_at = self._call_log.clock.now()
        if call.direction == INBOUND:
            await self._conversation(call, line)
            return "completed"
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
        self._call_log.move(call, "in-progress")
        self._deliveries.send(call, "answered", "in-progress")
        wish = call.recording_wish
        begun = recordings.begin(call, wish, "OutboundAPI", self._voice) if wish else None
        hearing = Hearing(call, line, self._voice)
        await line.wait_for(self._first(call, hearing), call.time_limit_seconds)
        while (source := line.replacement()) is not None:
            spent = (loop.time() - start) * self._voice.speed
            await line.wait_for(hearing.hear(source), call.time_limit_seconds - spent)
        call.duration_seconds = min(round((loop.time() - start) * self._voice.speed), call.time_limit_seconds)
        if wish and begun:
            recordings.keep(call, wish, begun, call.duration_seconds, self._voice)

    async def _first(self, call: Call, hearing: Hearing) -> None:
        """The first script; unless it is detected beside the script, the call waits until it is known who answered."""
        if call.machine_detection is not None and call.detection_beside:
            self._voice.tasks.start(detection.detect_beside(call, self._voice, hearing.began))
        elif call.machine_detection is not None:
            await detection.detect(call, self._voice)
        await hearing.hear(Source(call.url, call.twiml or "", status="ringing" if call.direction == INBOUND else "in-progress"))
