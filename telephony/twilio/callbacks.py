"""Verifies Twilio's callbacks, and parses them into the states of `dialer/model.py`."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from twilio.request_validator import SIGNATURE_HEADER, SIGNATURE_SETTINGS_HEADER, RequestValidator, get_signature_algorithm

from dialer.model import AttemptState, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import SecretStr

SIGNATURE: Final[str] = SIGNATURE_HEADER
SIGNATURE_SETTINGS: Final[str] = SIGNATURE_SETTINGS_HEADER

# Base64 of HMAC-SHA256 has 44 characters; a longer signature is not worth a comparison.
MAX_SIGNATURE_CHARACTERS: Final = 128
MAX_ADDRESS_CHARACTERS: Final = 4_000
MAX_FIELDS: Final = 100
MAX_FIELD_CHARACTERS: Final = 16_384

MAX_SEQUENCE: Final = 1_000_000
# Twilio ends every call after 24 hours at the latest.
MAX_DURATION_SECONDS: Final = 7 * 86_400
MAX_SIP_CODE: Final = 999
MAX_ERROR_CODE: Final = 999_999
MAX_DIGITS: Final = 9

CALL_SID: Final = re.compile(r"CA[0-9a-fA-F]{32}")
RECORDING_SID: Final = re.compile(r"RE[0-9a-fA-F]{32}")
RECORDING_URL: Final = re.compile(r"https?://[\x21-\x7e]{1,1000}")
ACCOUNT_SID: Final = re.compile(r"AC[0-9a-fA-F]{32}")

# Twilio's call statuses. `initiated` (dialled) and `queued` say only that the call exists.
STATES: Final[Mapping[str, AttemptState]] = {
    "queued": AttemptState.PLACED,
    "initiated": AttemptState.PLACED,
    "ringing": AttemptState.RINGING,
    "in-progress": AttemptState.LIVE,
    "completed": AttemptState.OVER,
    "busy": AttemptState.OVER,
    "no-answer": AttemptState.OVER,
    "failed": AttemptState.OVER,
    "canceled": AttemptState.OVER,
}

ANSWERED_BY: Final = frozenset(
    {"human", "machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other", "fax", "unknown"},
)


@dataclass(frozen=True, slots=True)
class CallbackFact:
    """The content of one callback; `outcome` is set when `state` is over; `sequence` counts from 0 for each call."""

    call_sid: str
    account_sid: str
    status: str
    state: AttemptState
    outcome: Outcome | None
    sequence: int | None
    duration_seconds: int | None
    answered_by: str | None
    sip_code: int | None
    error_code: int | None


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording of a call, as Twilio keeps it: its address needs the credentials of the account."""

    sid: str
    url: str
    duration_seconds: int | None


def standing(status: str) -> tuple[AttemptState, Outcome | None]:
    """The state and outcome for a status of Twilio (of a callback, a 201 or a GET).

    Raises:
        ValueError: when Twilio has no such status.
    """
    state = STATES.get(status)
    if state is None:
        raise _fault(name="CallStatus")
    return state, Outcome(status) if state is AttemptState.OVER else None


def verify(public_url: str, path_and_query: str, form: Mapping[str, str], headers: Mapping[str, str], auth_token: SecretStr) -> bool:
    """True when Twilio signed this request with the account's token.

    `public_url` is the address Twilio was given, without a trailing slash; `path_and_query` is what the request line says, not decoded;
    `form` holds the fields of the body as sent (empty for a GET; a multi-dict keeps repeated ones); `headers` finds names in any case.
    """
    signature = headers.get(SIGNATURE, "")
    # The fragment (`#rc=5&rp=all`) tells Twilio how to retry; it is not part of what is signed.
    address = (public_url.rstrip("/") + path_and_query).partition("#")[0]
    if not 0 < len(signature) <= MAX_SIGNATURE_CHARACTERS or not _bounded(address, form):
        return False
    algorithm = get_signature_algorithm(headers.get(SIGNATURE_SETTINGS, ""))
    validator = RequestValidator(auth_token.get_secret_value())
    try:
        # Mostly what is signed is the address as it is; `validate` computes two more spellings of it.
        if hmac.compare_digest(validator.compute_signature(address, form, algorithm).encode(), signature.encode()):
            return True
        return bool(validator.validate(address, form, signature, algorithm))
    except ValueError:
        # Twilio does not sign an address or a field that cannot be encoded (a lone surrogate, a port out of range).
        return False


def parse(form: Mapping[str, str]) -> CallbackFact:
    """Parse the fields of a status callback or of a request for TwiML (they share these).

    Raises:
        ValueError: naming the field that is missing or not what Twilio sends. A side field (duration, codes) that cannot be read is
            None: it must not cost us the news that the call is over.
    """
    status = form.get("CallStatus", "")
    state, outcome = standing(status)
    answered_by = form.get("AnsweredBy") or None
    return CallbackFact(
        call_sid=_sid(form, "CallSid", CALL_SID),
        account_sid=_sid(form, "AccountSid", ACCOUNT_SID),
        status=status,
        state=state,
        outcome=outcome,
        sequence=_number(form, "SequenceNumber", MAX_SEQUENCE),
        duration_seconds=_number(form, "CallDuration", MAX_DURATION_SECONDS),
        # A new value of Twilio's for who answered must not make us reject the callback that the call is over.
        answered_by=answered_by if answered_by is None or answered_by in ANSWERED_BY else "unknown",
        sip_code=_number(form, "SipResponseCode", MAX_SIP_CODE),
        error_code=_number(form, "ErrorCode", MAX_ERROR_CODE),
    )


def is_recording(form: Mapping[str, str]) -> bool:
    """Whether this is the report of a recording; a status callback of a recorded call names the recording too, with the call's status."""
    return "RecordingSid" in form and "CallStatus" not in form


def parse_recording(form: Mapping[str, str]) -> Recording | None:
    """Parse the report of a recording; None when there is none after all (`absent`: nobody spoke).

    Raises:
        ValueError: naming the field that is missing or not what Twilio sends.
    """
    if form.get("RecordingStatus") == "absent":
        return None
    url = form.get("RecordingUrl", "")
    if not RECORDING_URL.fullmatch(url):
        raise _fault(name="RecordingUrl")
    duration = _number(form, "RecordingDuration", MAX_DURATION_SECONDS)
    return Recording(_sid(form, "RecordingSid", RECORDING_SID), url, duration)


def _bounded(address: str, form: Mapping[str, str]) -> bool:
    return (
        len(address) <= MAX_ADDRESS_CHARACTERS
        and len(form) <= MAX_FIELDS
        and all(len(name) + len(value) <= MAX_FIELD_CHARACTERS for name, value in form.items())
    )


def _sid(form: Mapping[str, str], name: str, pattern: re.Pattern[str]) -> str:
    value = form.get(name, "")
    if not pattern.fullmatch(value):
        raise _fault(name)
    return value


def _number(form: Mapping[str, str], name: str, largest: int) -> int | None:
    text = form.get(name, "")
    readable = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and int(text) <= largest
    return int(text) if readable else None


def _fault(name: str) -> ValueError:
    """Names the field without its content, which may be a phone number."""
    return ValueError(f"{name} is missing or not what Twilio sends")
