"""Reads what a request for a call says of machine detection and of its recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from telephony.simulator.http.fields import one_of, optional_address, seconds, truth
from telephony.simulator.voice.recordings import EVENTS, TRACKS, RecordingWish

if TYPE_CHECKING:
    from multidict import MultiMapping

    from telephony.simulator.http.fields import AddressRule

DETECTIONS: Final = ("Enable", "DetectMessageEnd")
DEFAULT_DETECTION_SECONDS: Final = 30
DETECTION_SECONDS: Final = range(3, 60)
# Milliseconds, with Twilio's bounds.
DETECTION_TUNING: Final = {
    "MachineDetectionSpeechThreshold": (2_400, range(1_000, 6_001)),
    "MachineDetectionSpeechEndThreshold": (1_200, range(500, 5_001)),
    "MachineDetectionSilenceTimeout": (5_000, range(2_000, 10_001)),
}
CHANNELS: Final = {"mono": 1, "dual": 2}


@dataclass(frozen=True, slots=True)
class Detection:
    """The detection of machines that a request asks for; `kind` None: none. `beside`: while the script is heard (AsyncAmd)."""

    kind: str | None
    beside: bool
    callback: str | None
    timeout_seconds: int


def read_detection(form: MultiMapping[str], rule: AddressRule) -> Detection:
    """Read the parameters of machine detection.

    Raises:
        RefusalError: naming the parameter that is wrong.
    """
    for name, (default, bounds) in DETECTION_TUNING.items():
        seconds(form, name, default, bounds)
    return Detection(
        kind=one_of(form, "MachineDetection", ("", *DETECTIONS)) or None,
        beside=truth(form, "AsyncAmd"),
        callback=optional_address(form, "AsyncAmdStatusCallback", rule),
        timeout_seconds=seconds(form, "MachineDetectionTimeout", DEFAULT_DETECTION_SECONDS, DETECTION_SECONDS),
    )


def read_recording(form: MultiMapping[str], rule: AddressRule) -> RecordingWish | None:
    """Read the parameters of a recording; None without `Record`.

    Raises:
        RefusalError: naming the parameter that is wrong.
    """
    callback = optional_address(form, "RecordingStatusCallback", rule)
    channels = one_of(form, "RecordingChannels", ("mono", *CHANNELS))
    track = one_of(form, "RecordingTrack", ("both", *TRACKS))
    events = frozenset(word for text in form.getall("RecordingStatusCallbackEvent", []) for word in text.split())
    if not events <= EVENTS:
        one_of({"RecordingStatusCallbackEvent": min(events - EVENTS)}, "RecordingStatusCallbackEvent", tuple(sorted(EVENTS)))
    if not truth(form, "Record"):
        return None
    return RecordingWish(callback, events or frozenset({"completed"}), CHANNELS[channels], track)
