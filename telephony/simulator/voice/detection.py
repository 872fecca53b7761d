"""The detection of answering machines: before the script is requested, or beside it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from telephony.simulator.call_log import Call
    from telephony.simulator.voice.voice_services import VoiceServices

# Simulated seconds until a person has said hello, or a machine is known for one by its first words.
HUMAN_SECONDS: Final = 0.5
MACHINE_SECONDS: Final = 1.5


async def detect(call: Call, services: VoiceServices) -> None:
    """Find out who answered and set `answered_by`."""
    seconds, answered_by = _finding(call)
    await asyncio.sleep(seconds / services.speed)
    _set(call, answered_by, services)


async def detect_beside(call: Call, services: VoiceServices, began: asyncio.Event) -> None:
    """Find out who answered while the script is heard, and tell the address that the request named for it.

    Not before the script has begun: a request takes real time, a greeting scaled time, and only at Twilio's speed is a greeting the longer.
    """
    seconds, answered_by = _finding(call)
    await asyncio.sleep(seconds / services.speed)
    await began.wait()
    _set(call, answered_by, services)
    if call.over or call.detection_callback is None:
        return
    form = {
        "CallSid": call.sid,
        "AccountSid": call.account,
        "AnsweredBy": call.answered_by or "unknown",
        "MachineDetectionDuration": str(round(seconds * 1000)),
    }
    await services.webhooks.post(call.detection_callback, form, call.account)


def _set(call: Call, answered_by: str, services: VoiceServices) -> None:
    if not call.over:
        call.answered_by = answered_by
        services.call_log.notify()


def _finding(call: Call) -> tuple[float, str]:
    """After how many seconds what is known; a greeting that is longer than the detection may last leaves it unknown."""
    plan = call.plan
    if plan.answered_by != "machine":
        return (HUMAN_SECONDS if plan.answered_by == "human" else MACHINE_SECONDS), plan.answered_by
    if call.machine_detection == "Enable":
        return MACHINE_SECONDS, "machine_start"
    if plan.greeting_seconds > call.detection_timeout_seconds:
        return call.detection_timeout_seconds, "unknown"
    return plan.greeting_seconds, f"machine_end_{plan.greeting_end}"
