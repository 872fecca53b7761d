"""The called legs of a <Dial>: each rings as the scenario of its number says, and the first to answer is connected."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from telephony.simulator.scenarios import Plan
    from telephony.simulator.voice.documents import Verb
    from telephony.simulator.voice.voice_services import VoiceServices

NUMBER: Final = re.compile(r"\+?[0-9 ().-]{3,24}")
INVALID_NUMBER: Final = 13223
DEFAULT_RING_SECONDS: Final = 30
DEFAULT_TIME_LIMIT_SECONDS: Final = 4 * 3600
CALLED: Final = frozenset({"Number", "Sip", "Client", "WhatsApp", "Sim", "Application"})


@dataclass(slots=True)
class Leg:
    """One called leg; its result is that of Twilio's `DialCallStatus`. It stands in the entry of its <Dial> as it is now."""

    sid: str
    to: str
    plan: Plan
    callable: bool
    entry: dict[str, Any]

    @property
    def status(self) -> str:
        """The status now."""
        return str(self.entry["status"])

    def form(self) -> dict[str, str]:
        """The fields of the request to the `action` of the <Dial>."""
        answered = self.status == "completed"
        form = {"DialCallSid": self.sid, "DialCallStatus": self.status, "DialBridged": "true" if answered else "false"}
        return form | {"DialCallDuration": str(self.entry["duration"])} if answered else form


def legs_of(verb: Verb, services: VoiceServices) -> list[Leg]:
    """The legs of a <Dial>: of its elements, or of its text."""
    called = [child for child in verb.children if child.name in CALLED] or ([verb] if verb.text else [])
    return [_leg(child, services) for child in called]


def _leg(verb: Verb, services: VoiceServices) -> Leg:
    """One leg. A number must be one; a SIP address or a client's name is not checked further."""
    to = verb.text
    is_callable = verb.name not in {"Number", "Dial"} or NUMBER.fullmatch(to) is not None
    return Leg(f"CA{services.ids.nonce()}", to, services.course(to), is_callable, {"to": to, "status": "initiated"})


async def dial(verb: Verb, legs: list[Leg], services: VoiceServices) -> Leg:
    """Ring all legs at once; talk to the first that answers, until it hangs up. Else the first leg tells how it went."""
    timeout = verb.number("timeout", DEFAULT_RING_SECONDS)
    for leg in legs:
        leg.entry["status"] = "ringing"
    answering = min((leg for leg in legs if _answers(leg, timeout)), key=_answered_after, default=None)
    if answering is None:
        await asyncio.sleep(max(min(_answered_after(leg), timeout) for leg in legs) / services.speed)
    else:
        await asyncio.sleep(_answered_after(answering) / services.speed)
    for leg in legs:
        leg.entry["status"] = _unanswered(leg) if answering is None else "canceled"
    if answering is not None:
        await _talk(answering, verb.number("timeLimit", DEFAULT_TIME_LIMIT_SECONDS), services)
    return answering or legs[0]


async def _talk(leg: Leg, limit: int, services: VoiceServices) -> None:
    seconds = min(leg.plan.talk_seconds, limit)
    loop = asyncio.get_running_loop()
    start = loop.time()
    leg.entry["status"] = "in-progress"
    services.call_log.notify()
    try:
        await asyncio.sleep(seconds / services.speed)
    finally:
        # It may have been hung up meanwhile.
        leg.entry |= {"status": "completed", "duration": round(min(seconds, (loop.time() - start) * services.speed))}


def _answers(leg: Leg, timeout: int) -> bool:
    return leg.callable and leg.plan.ends is None and _answered_after(leg) < timeout


def _answered_after(leg: Leg) -> float:
    return leg.plan.dial_seconds if leg.plan.ends is not None or not leg.callable else leg.plan.dial_seconds + leg.plan.ring_seconds


def _unanswered(leg: Leg) -> str:
    if not leg.callable:
        leg.entry["error_code"] = INVALID_NUMBER
        return "failed"
    return leg.plan.ends or "no-answer"
