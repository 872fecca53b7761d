"""Lists why a number is not called."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """Why a number is not called."""

    MISSING_PHONE = "missing_phone"
    INVALID_PHONE = "invalid_phone"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    EMERGENCY = "emergency"
    SHORT_NUMBER = "short_number"
    PREMIUM = "premium"
    SATELLITE = "satellite"
    EXTENSION = "extension"
    NOT_DIALABLE = "not_dialable"
    UNASSIGNED = "unassigned"
    NOT_ALONE = "not_alone"
    TWO_NUMBERS = "two_numbers"
    AMBIGUOUS = "ambiguous"
    SHORTENED = "shortened"
    MASKED = "masked"
    NOT_TEXT = "not_text"


class RefusedPhoneError(Exception):
    """The number is not called; `reason` says why."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason = reason
