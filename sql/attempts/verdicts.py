"""The verdicts of claim and record, as the two SQL functions return them."""

from __future__ import annotations

from enum import StrEnum


class VerdictCode(StrEnum):
    """Why a claim returned no more leads for a business; sql/attempts/claim_v1.sql decides all but the last two."""

    TAKEN = "taken"
    BUSY = "busy"
    NOT_OWNER = "not_owner"
    UNLISTED = "unlisted"
    STOPPED = "stopped"
    REGISTER_TOO_OLD = "register_too_old"
    FULL = "full"
    GATE = "gate"
    AGAIN = "again"
    PUT_OFF = "put_off"
    EMPTY = "empty"
    # Set by the dispatcher: the claim failed because a server was unavailable (away), or because of this business alone (parked).
    AWAY = "away"
    PARKED = "parked"


class RecordVerdict(StrEnum):
    """The effect of recording a fact; sql/attempts/record_v1.sql decides."""

    APPLIED = "applied"
    KNOWN = "known"
    REFUSED = "refused"
    SECOND = "second"
    STRANGER = "stranger"
    BUSY = "busy"
