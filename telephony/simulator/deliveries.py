"""Sends the status callbacks of each call, in order, unless a fault changes that."""

from __future__ import annotations

import asyncio
from collections import deque
from email.utils import format_datetime
from math import ceil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dialer.clock import Clock
    from telephony.simulator.background_tasks import BackgroundTasks
    from telephony.simulator.call_log import Call, CallLog
    from telephony.simulator.faults import Faults
    from telephony.simulator.webhooks import Webhooks

# A call has four callbacks at most, each at most twice.
SIP_CODES: Final[Mapping[str, int]] = {"completed": 200, "busy": 486, "no-answer": 487, "canceled": 487, "failed": 404}
SECONDS_PER_MINUTE: Final = 60


class Deliveries:
    """One queue per call, sent by one task while it is not empty, so that a slow receiver delays only that call's callbacks."""

    def __init__(self, webhooks: Webhooks, tasks: BackgroundTasks, call_log: CallLog, clock: Clock, seed: int) -> None:
        self.faults: Faults
        self._webhooks = webhooks
        self._tasks = tasks
        self._call_log = call_log
        self._clock = clock
        self._seed = seed
        self._waiting: dict[str, deque[dict[str, str]]] = {}

    def clear(self) -> None:
        """Drop the callbacks that have not been sent."""
        self._waiting.clear()

    def send(self, call: Call, event: str, status: str) -> None:
        """Send a callback for `event` if the request subscribed to it."""
        if call.status_callback is None or event not in call.events:
            return
        form = self._form(call, status)
        call.sequence += 1
        if self._strikes("callback_drop", call, event):
            self._count("dropped")
        elif self._strikes("callback_reorder", call, event):
            self._tasks.start(self._late(call, form))
        else:
            times = 2 if self._strikes("callback_duplicate", call, event) else 1
            self._enqueue(call, [form] * times)

    def _enqueue(self, call: Call, forms: list[dict[str, str]]) -> None:
        queue = self._waiting.get(call.sid)
        if queue is not None:
            queue.extend(forms)
            return
        self._waiting[call.sid] = deque(forms)
        self._tasks.start(self._send_all(call))

    async def _send_all(self, call: Call) -> None:
        queue = self._waiting[call.sid]
        while queue:
            form = queue.popleft()
            if self._strikes("callback_delay", call, form["SequenceNumber"]):
                await asyncio.sleep(self.faults.callback_delay_seconds)
            await self._post(call, form)
        # After a reset there may be another queue for this sid.
        if self._waiting.get(call.sid) is queue:
            del self._waiting[call.sid]

    async def _late(self, call: Call, form: dict[str, str]) -> None:
        await asyncio.sleep(self.faults.callback_delay_seconds)
        await self._post(call, form)

    async def _post(self, call: Call, form: dict[str, str]) -> None:
        if call.status_callback is not None:
            answer = await self._webhooks.post(call.status_callback, form, call.account)
            call.callback_seconds.append(answer.seconds)
            self._count("failed" if answer.failure else "delivered")

    def _count(self, result: str) -> None:
        self._call_log.callbacks[result] += 1
        self._call_log.notify()

    def _strikes(self, fault: str, call: Call, event: str) -> bool:
        return self.faults.hits(fault, self._seed, call.to, call.opened, event)

    def _form(self, call: Call, status: str) -> dict[str, str]:
        form = fields(call, status)
        form |= {
            "Timestamp": format_datetime(self._clock.now()),
            "SequenceNumber": str(call.sequence),
            "CallbackSource": "call-progress-events",
        }
        if call.over:
            duration = call.duration_seconds or 0
            form |= {
                "CallDuration": str(duration),
                "Duration": str(ceil(duration / SECONDS_PER_MINUTE)),
                "SipResponseCode": str(SIP_CODES[status]),
            }
        if status == "failed" and call.plan.error_code is not None:
            form["ErrorCode"] = str(call.plan.error_code)
        return form


def fields(call: Call, status: str) -> dict[str, str]:
    """The fields that every request about a call carries."""
    form = {
        "CallSid": call.sid,
        "AccountSid": call.account,
        "From": call.from_,
        "To": call.to,
        "Caller": call.from_,
        "Called": call.to,
        "CallStatus": status,
        "Direction": call.direction,
        "ApiVersion": "2010-04-01",
    }
    if call.answered_by is not None:
        form["AnsweredBy"] = call.answered_by
    return form
