"""Checks the parameters of a request for a call, about as Twilio does.

21201, 21205, 21211 to 21213 are Twilio's codes for calls; 21609 it documents for messages, 21626 and 20001 stand for what it calls a
warning or gives no code of its own. Do not depend on one of these codes without checking the real API.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from telephony.simulator.http.rest_errors import RefusalError, invalid

if TYPE_CHECKING:
    from multidict import MultiDictProxy

NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
EVENTS: Final = frozenset({"initiated", "ringing", "answered", "completed"})
DETECTIONS: Final = frozenset({"Enable", "DetectMessageEnd"})
MAX_TWIML_CHARACTERS: Final = 4_000
MAX_ADDRESS_CHARACTERS: Final = 4_000
DEFAULT_RING_SECONDS: Final = 60
MAX_RING_SECONDS: Final = 600
DEFAULT_TIME_LIMIT_SECONDS: Final = 4 * 3600
MAX_TIME_LIMIT_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class CallParameters:
    """A valid request for a call."""

    to: str
    from_: str
    url: str | None
    twiml: str | None
    status_callback: str | None
    events: frozenset[str]
    ring_timeout_seconds: int
    time_limit_seconds: int
    machine_detection: str | None


def read_parameters(form: MultiDictProxy[str]) -> CallParameters:
    """Read a request for a call.

    Raises:
        RefusalError: with Twilio's code for the first error found.
    """
    to, from_ = _to(form), _from(form)
    url, twiml = _script(form)
    for name in ("Method", "StatusCallbackMethod"):
        if form.get(name, "POST") != "POST":
            raise invalid(name, "this stand-in only sends POST")
    return CallParameters(
        to=to,
        from_=from_,
        url=url,
        twiml=twiml,
        status_callback=_status_callback(form),
        events=_events(form),
        ring_timeout_seconds=_seconds(form, "Timeout", DEFAULT_RING_SECONDS, MAX_RING_SECONDS),
        time_limit_seconds=_seconds(form, "TimeLimit", DEFAULT_TIME_LIMIT_SECONDS, MAX_TIME_LIMIT_SECONDS),
        machine_detection=_detection(form),
    )


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


def _script(form: MultiDictProxy[str]) -> tuple[str | None, str | None]:
    url, twiml = form.get("Url", ""), form.get("Twiml", "")
    if url:
        if not _is_address(url):
            raise RefusalError(400, 21205, "Url is not a valid URL")
        return url, None
    if not twiml:
        raise RefusalError(400, 21205, "Url parameter is required.")
    if len(twiml) > MAX_TWIML_CHARACTERS:
        raise invalid(name="Twiml", why=f"more than {MAX_TWIML_CHARACTERS} characters")
    return None, twiml


def _status_callback(form: MultiDictProxy[str]) -> str | None:
    address = form.get("StatusCallback", "")
    if address and not _is_address(address):
        raise RefusalError(400, 21609, "The StatusCallback URL is not a valid URL")
    return address or None


def _events(form: MultiDictProxy[str]) -> frozenset[str]:
    events = frozenset(form.getall("StatusCallbackEvent", []))
    if not events <= EVENTS:
        raise RefusalError(400, 21626, "StatusCallbackEvent knows initiated, ringing, answered and completed")
    return events or frozenset({"completed"})


def _detection(form: MultiDictProxy[str]) -> str | None:
    detection = form.get("MachineDetection", "")
    if detection and detection not in DETECTIONS:
        raise invalid(name="MachineDetection", why="Enable or DetectMessageEnd")
    return detection or None


def _seconds(form: MultiDictProxy[str], name: str, default: int, most: int) -> int:
    text = form.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise invalid(name, f"1 to {most} seconds")
    return int(text)


def _is_address(text: str) -> bool:
    """Say whether Twilio would take this address: http or https, a host without underscore, nothing that needs encoding first."""
    if len(text) > MAX_ADDRESS_CHARACTERS or not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(host) and "_" not in host and port != 0
