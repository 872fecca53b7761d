"""What the person enters at a <Gather>: keys, or words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from telephony.simulator.call_log import Call
    from telephony.simulator.voice.documents import Verb
    from telephony.simulator.voice.line import Line

DEFAULT_TIMEOUT_SECONDS: Final = 5
REACTION_SECONDS: Final = 1.0
NO_LIMIT: Final = 1_000
CONFIDENCE: Final = "0.9"


async def gather(verb: Verb, call: Call, line: Line) -> dict[str, str]:
    """The fields of the request to the `action`: the keys pressed or the words said; none when nothing came in time."""
    listens = verb.attributes.get("input", "dtmf")
    if "speech" in listens and call.plan.speech:
        await asyncio.sleep(REACTION_SECONDS / line.speed)
        return {"SpeechResult": call.plan.speech, "Confidence": CONFIDENCE}
    if "dtmf" not in listens:
        await asyncio.sleep(DEFAULT_TIMEOUT_SECONDS / line.speed)
        return {}
    if call.gathers < len(call.plan.digits):
        await asyncio.sleep(REACTION_SECONDS / line.speed)
        line.press(call.plan.digits[call.gathers])
    call.gathers += 1
    return await _keys(verb, line)


async def _keys(verb: Verb, line: Line) -> dict[str, str]:
    most = verb.number("numDigits", NO_LIMIT)
    finish = verb.attributes.get("finishOnKey", "#")
    timeout = DEFAULT_TIMEOUT_SECONDS if verb.attributes.get("timeout") == "auto" else verb.number("timeout", DEFAULT_TIMEOUT_SECONDS)
    digits = ""
    while len(digits) < most:
        key = await line.key(timeout)
        if key is not None and finish and key in finish:
            return {"Digits": digits, "FinishedOnKey": key} if digits else {}
        if key is None:
            break
        digits += key
    return {"Digits": digits} if digits else {}
