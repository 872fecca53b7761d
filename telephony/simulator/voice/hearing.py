"""The walk through the scripts of one call: what the person hears, presses and is connected to.

What is said and played takes no time of its own: the first document that says something fills the conversation, which lasts as long as its
scenario says. Pauses, the wait for keys, recordings and called legs take their share of it. Everything heard stands in the call log.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from telephony.simulator.voice import keypad, recordings
from telephony.simulator.voice.documents import NOT_TWIML, ScriptError, parse
from telephony.simulator.voice.legs import dial, legs_of
from telephony.simulator.voice.sources import Source

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from telephony.simulator.call_log import Call
    from telephony.simulator.voice.documents import Verb
    from telephony.simulator.voice.line import Line
    from telephony.simulator.voice.voice_services import VoiceServices

HANGUP_SECONDS: Final = 0.3
# Without a script Twilio says "an application error has occurred" and hangs up.
ERROR_SECONDS: Final = 4.0
MAX_DOCUMENTS: Final = 100
ROUNDING_SECONDS: Final = 0.05
SPEAKING_SECONDS: Final = 3
DEFAULT_RECORD_SECONDS: Final = 3600
# Nothing is heard of these.
SILENT: Final = frozenset({"Hangup", "Reject", "Redirect"})
END: Final = Source()


class Hearing:
    """What is heard on one call."""

    def __init__(self, call: Call, line: Line, services: VoiceServices) -> None:
        self._call = call
        self._line = line
        self._services = services
        self._start = asyncio.get_running_loop().time()
        # How many documents have been heard since the first that says something, or does more than lead on.
        self._spoken = 0
        self._failed = False
        self._spent = 0.0
        # Set when the first document has come, or will not come.
        self.began = asyncio.Event()
        self._verbs: dict[str, Callable[[Verb, dict[str, Any], str | None], Awaitable[Source | None]]] = {
            "Pause": self._pause,
            "Gather": self._gather,
            "Dial": self._dial,
            "Connect": self._end,
            "Record": self._record,
            "Redirect": self._redirect,
            "Hangup": self._end,
            "Reject": self._end,
        }

    async def hear(self, source: Source) -> None:
        """Hear a script and those that follow it, then wait until the conversation is over."""
        self._failed = False
        documents = 0
        while source is not END:
            source = await self._script(source) if documents < MAX_DOCUMENTS else self._endless()
            documents += 1
        await self._sleep(self._rest())

    def _rest(self) -> float:
        """The seconds until the end of a call whose script has ended."""
        if self._failed:
            return ERROR_SECONDS
        # The first document that says something fills the conversation, however short its text; a later one ends with its last verb.
        return max(0.0, self._call.plan.talk_seconds - self._spent) if self._spoken == 1 else HANGUP_SECONDS

    async def _script(self, source: Source) -> Source:
        try:
            return await self._document(parse(await self._read(source)), source.address)
        except ScriptError as error:
            self._note_error(error)
            return self._fallback(error, source)

    async def _read(self, source: Source) -> bytes:
        try:
            return await source.read(self._call, self._services.webhooks)
        finally:
            self.began.set()

    async def _document(self, verbs: Sequence[Verb], base: str | None) -> Source:
        self._spoken += self._spoken > 0 or any(verb.name not in SILENT for verb in verbs)
        for verb in verbs:
            entry = self._note(verb.entry())
            following = await self._handle(verb, entry, base)
            if following is not None:
                return following
        return END

    async def _handle(self, verb: Verb, entry: dict[str, Any], base: str | None) -> Source | None:
        """What a verb does; the time it takes is part of the conversation."""
        handler = self._verbs.get(verb.name)
        if handler is None:
            return None
        loop = asyncio.get_running_loop()
        start = loop.time()
        following = await handler(verb, entry, base)
        self._spent += (loop.time() - start) * self._services.speed
        return following

    def _endless(self) -> Source:
        self._note_error(ScriptError(NOT_TWIML, f"more than {MAX_DOCUMENTS} documents after another"))
        self._failed = True
        return END

    def _fallback(self, error: ScriptError, source: Source) -> Source:
        address, self._call.fallback_url = self._call.fallback_url, None
        if address is None:
            self._failed = True
            return END
        return Source(address, form={"ErrorCode": str(error.code), "ErrorUrl": source.address or ""})

    def _note(self, entry: dict[str, Any]) -> dict[str, Any]:
        if self._over_greeting():
            entry["over_greeting"] = True
        self._call.heard.append(entry)
        self._services.call_log.notify()
        return entry

    def _over_greeting(self) -> bool:
        """True while a machine is still greeting: what is said now is not on its tape."""
        if self._call.plan.answered_by != "machine":
            return False
        since = (asyncio.get_running_loop().time() - self._start) * self._services.speed
        return since < self._call.plan.greeting_seconds - ROUNDING_SECONDS

    def _note_error(self, error: ScriptError) -> None:
        self._call.script_error = error.code
        self._note({"error": error.code, "message": error.why})

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._services.speed)

    async def _pause(self, verb: Verb, _entry: dict[str, Any], _base: str | None) -> None:
        await self._sleep(verb.number("length", 1))

    async def _gather(self, verb: Verb, entry: dict[str, Any], base: str | None) -> Source | None:
        form = await keypad.gather(verb, self._call, self._line)
        entry |= {"pressed": form["Digits"]} if form.get("Digits") else {}
        entry |= {"said": form["SpeechResult"]} if "SpeechResult" in form else {}
        self._services.call_log.notify()
        if not form and verb.attributes.get("actionOnEmptyResult") != "true":
            return None
        return Source.action(verb, base, form or {"Digits": ""})

    async def _dial(self, verb: Verb, entry: dict[str, Any], base: str | None) -> Source | None:
        legs = legs_of(verb, self._services)
        entry["legs"] = [leg.entry for leg in legs]
        if not legs:
            # A conference or a queue: the person stays in it.
            return END
        leg = await dial(verb, legs, self._services)
        return Source.action(verb, base, leg.form()) if "action" in verb.attributes else None

    async def _record(self, verb: Verb, entry: dict[str, Any], base: str | None) -> Source:
        seconds = min(verb.number("maxLength", DEFAULT_RECORD_SECONDS), SPEAKING_SECONDS)
        wish = recordings.wish_of(verb, base)
        begun = recordings.begin(self._call, wish, "RecordVerb", self._services)
        await self._sleep(seconds)
        recording = recordings.keep(self._call, wish, begun, seconds, self._services)
        entry["recording"] = recording.sid
        form = {"RecordingUrl": recordings.address_of(recording, self._call, self._services), "RecordingDuration": str(seconds)}
        return Source.action(verb, base, {**form, "RecordingSid": recording.sid, "Digits": "hangup"})

    async def _redirect(self, verb: Verb, _entry: dict[str, Any], base: str | None) -> Source:
        return Source.at(verb.text, base, verb.attributes.get("method", "POST"))

    async def _end(self, _verb: Verb, _entry: dict[str, Any], _base: str | None) -> Source:
        """The script ends here: a hang-up, or a stream that lasts as long as the conversation."""
        return END
