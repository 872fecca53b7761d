"""Checks the parameters of a request for a call, about as Twilio does.

21201, 21205, 21211 to 21213 and 21218 are Twilio's codes for calls; 21609 it documents for messages, 21626 and 20001 stand for what it
calls a warning or gives no code of its own. Do not depend on one of these codes without checking the real API.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from telephony.simulator.http.call_options import Detection, read_detection, read_recording
from telephony.simulator.http.fields import is_address, one_of, optional_address, seconds
from telephony.simulator.http.rest_errors import RefusalError, invalid

if TYPE_CHECKING:
    from multidict import MultiDictProxy

    from telephony.simulator.http.fields import AddressRule
    from telephony.simulator.voice.recordings import RecordingWish

NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
EVENTS: Final = frozenset({"initiated", "ringing", "answered", "completed"})
MAX_TWIML_CHARACTERS: Final = 4_000
DEFAULT_RING_SECONDS: Final = 60
RING_SECONDS: Final = range(1, 601)
DEFAULT_TIME_LIMIT_SECONDS: Final = 4 * 3600
TIME_LIMIT_SECONDS: Final = range(1, 24 * 3600 + 1)
# The simulator sends its own requests by POST only, except for scripts.
POSTS: Final = ("StatusCallbackMethod", "AsyncAmdStatusCallbackMethod", "RecordingStatusCallbackMethod", "FallbackMethod", "Method")


@dataclass(frozen=True, slots=True)
class Script:
    """Where the script of a call comes from: an address, or the request itself."""

    url: str | None
    twiml: str | None


@dataclass(frozen=True, slots=True)
class CallParameters:
    """A valid request for a call."""

    to: str
    from_: str
    script: Script
    fallback_url: str | None
    status_callback: str | None
    events: frozenset[str]
    ring_timeout_seconds: int
    time_limit_seconds: int
    detection: Detection
    recording: RecordingWish | None


def read_parameters(form: MultiDictProxy[str], rule: AddressRule) -> CallParameters:
    """Read a request for a call.

    Raises:
        RefusalError: with Twilio's code for the first error found.
    """
    to, from_ = _to(form), _from(form)
    script = read_script(form, rule)
    for name in POSTS:
        one_of(form, name, ("POST",))
    return CallParameters(
        to=to,
        from_=from_,
        script=script,
        fallback_url=optional_address(form, "FallbackUrl", rule),
        status_callback=optional_address(form, "StatusCallback", rule),
        events=_events(form),
        ring_timeout_seconds=seconds(form, "Timeout", DEFAULT_RING_SECONDS, RING_SECONDS),
        time_limit_seconds=seconds(form, "TimeLimit", DEFAULT_TIME_LIMIT_SECONDS, TIME_LIMIT_SECONDS),
        detection=read_detection(form, rule),
        recording=read_recording(form, rule),
    )


def read_script(form: MultiDictProxy[str], rule: AddressRule) -> Script:
    """Read `Url` or `Twiml`.

    Raises:
        RefusalError: when there is neither, or it is not what Twilio takes.
    """
    url, twiml = form.get("Url", ""), form.get("Twiml", "")
    if url:
        if not is_address(url, rule):
            raise RefusalError(400, 21205, "Url is not a valid URL")
        return Script(url, None)
    if not twiml and form.get("ApplicationSid"):
        raise RefusalError(400, 21218, "Invalid ApplicationSid")
    if not twiml:
        raise RefusalError(400, 21205, "Url parameter is required.")
    if len(twiml) > MAX_TWIML_CHARACTERS:
        raise invalid(name="Twiml", why=f"more than {MAX_TWIML_CHARACTERS} characters")
    return Script(None, twiml)


def _to(form: MultiDictProxy[str]) -> str:
    to = form.get("To", "")
    if not to:
        raise RefusalError(400, 21201, "No 'To' number is specified")
    if not NUMBER.fullmatch(to):
        raise RefusalError(400, 21211, f"The phone number you are attempting to call, {to[:32]}, is not valid.")
    return to


def _from(form: MultiDictProxy[str]) -> str:
    from_ = form.get("From", "")
    if not from_:
        raise RefusalError(400, 21213, "No 'From' number is specified")
    if not NUMBER.fullmatch(from_):
        raise RefusalError(400, 21212, f"The source phone number provided, {from_[:32]}, is not valid.")
    return from_


def _events(form: MultiDictProxy[str]) -> frozenset[str]:
    events = frozenset(form.getall("StatusCallbackEvent", []))
    if not events <= EVENTS:
        raise RefusalError(400, 21626, "StatusCallbackEvent knows initiated, ringing, answered and completed")
    return events or frozenset({"completed"})
