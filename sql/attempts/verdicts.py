"""The verdicts of claim and record, as the two SQL functions return them."""

from __future__ import annotations

from enum import StrEnum


class VerdictCode(StrEnum):
    """Why a claim gave a business no more leads than it did; sql/attempts/claim_v1.sql decides all but the last two."""

    TAKEN = "taken"
    BUSY = "busy"
    NOT_OWNER = "not_owner"
    UNLISTED = "unlisted"
    FULL = "full"
    GATE = "gate"
    AGAIN = "again"
    PUT_OFF = "put_off"
    EMPTY = "empty"
    # From the dispatcher: the claim failed because a server was away, or because of this business alone.
    AWAY = "away"
    PARKED = "parked"


class RecordVerdict(StrEnum):
    """What recording a fact did; sql/attempts/record_v1.sql decides."""

    APPLIED = "applied"
    KNOWN = "known"
    REFUSED = "refused"
    SECOND = "second"
    STRANGER = "stranger"
    BUSY = "busy"
