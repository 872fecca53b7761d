"""Recordings of calls: what is kept of each, and the callback that tells of it. There is no sound in them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from telephony.simulator.voice.sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from telephony.simulator.call_log import Call
    from telephony.simulator.voice.documents import Verb
    from telephony.simulator.voice.voice_services import VoiceServices

RATE: Final = 8_000
SAMPLE_BYTES: Final = 2
# A longer recording is as silent.
MAX_WAV_SECONDS: Final = 5
EVENTS: Final = frozenset({"in-progress", "completed", "absent"})
TRACKS: Final = frozenset({"inbound", "outbound", "both"})


@dataclass(frozen=True, slots=True)
class RecordingWish:
    """What a request for a call, or a <Record>, says about its recording."""

    callback: str | None = None
    events: frozenset[str] = frozenset({"completed"})
    channels: int = 1
    track: str = "both"


@dataclass(frozen=True, slots=True)
class Recording:
    """A finished recording; `source` is Twilio's word for what made it."""

    sid: str
    created_at: datetime
    seconds: int
    channels: int
    track: str
    source: str


def wish_of(verb: Verb, base: str | None) -> RecordingWish:
    """The wish of a <Record>.

    Raises:
        ScriptError: when its callback is no address.
    """
    name = "recordingStatusCallback"
    events = frozenset(verb.attributes.get(f"{name}Event", "completed").split()) & EVENTS
    return RecordingWish(Source.action(verb, base, {}, name).address if name in verb.attributes else None, events)


def begin(call: Call, wish: RecordingWish, source: str, services: VoiceServices) -> Recording:
    """Begin a recording, and tell of it if the request wants to know."""
    recording = Recording(f"RE{services.ids.nonce()}", services.call_log.clock.now(), 0, wish.channels, wish.track, source)
    _tell(call, wish, recording, "in-progress", services)
    return recording


def keep(call: Call, wish: RecordingWish, begun: Recording, seconds: int, services: VoiceServices) -> Recording:
    """Keep a recording that has ended after so many seconds, and tell of it; one without a second is absent, and not kept."""
    recording = replace(begun, seconds=seconds)
    if seconds == 0:
        _tell(call, wish, recording, "absent", services)
        return recording
    services.call_log.keep_recording(call, recording)
    _tell(call, wish, recording, "completed", services)
    return recording


def address_of(recording: Recording, call: Call, services: VoiceServices) -> str:
    """The address of the sound, without a suffix."""
    return f"{services.address()}/2010-04-01/Accounts/{call.account}/Recordings/{recording.sid}"


def silence(seconds: int) -> Iterable[bytes]:
    """A WAV file of silence: 8,000 samples of 16 bits a second, one channel, in two pieces."""
    size = min(seconds, MAX_WAV_SECONDS) * RATE * SAMPLE_BYTES
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, RATE * SAMPLE_BYTES, SAMPLE_BYTES, SAMPLE_BYTES * 8)
    header = struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + form + struct.pack("<4sI", b"data", size)
    return header, bytes(size)


def _tell(call: Call, wish: RecordingWish, recording: Recording, status: str, services: VoiceServices) -> None:
    if wish.callback is not None and status in wish.events:
        form = _form(call, recording, status) | {"RecordingUrl": address_of(recording, call, services)}
        services.tasks.start(_post(wish.callback, form, call, services))


async def _post(address: str, form: dict[str, str], call: Call, services: VoiceServices) -> None:
    await services.webhooks.post(address, form, call.account)


def _form(call: Call, recording: Recording, status: str) -> dict[str, str]:
    return {
        "AccountSid": call.account,
        "CallSid": call.sid,
        "RecordingSid": recording.sid,
        "RecordingStatus": status,
        "RecordingDuration": str(recording.seconds),
        "RecordingChannels": str(recording.channels),
        "RecordingTrack": recording.track,
        "RecordingStartTime": format_datetime(recording.created_at),
        "RecordingSource": recording.source,
    }
