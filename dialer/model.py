"""The statuses of runs, jobs and attempts, and which changes between them are legal.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RunStatus(StrEnum):
    """Where a run stands; `outbound_call_runs.status`."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """True when the status never changes again."""
        return self in ENDED_RUNS


ENDED_RUNS = frozenset({RunStatus.COMPLETED, RunStatus.CANCELLED, RunStatus.STOPPED, RunStatus.FAILED})


class JobStatus(StrEnum):
    """Where a lead stands in its run; `outbound_call_jobs.status`."""

    QUEUED = "queued"
    DIALING = "dialing"
    CALLING = "calling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def in_progress(self) -> bool:
        """True while a call of this lead may be on the line."""
        return self in (JobStatus.DIALING, JobStatus.CALLING)


class AttemptState(StrEnum):
    """The state of one attempt to place a call; docs/protocol.md section 1."""

    PLACING = "placing"
    UNKNOWN = "unknown"
    PLACED = "placed"
    RINGING = "ringing"
    LIVE = "live"
    NOT_PLACED = "not_placed"
    NOT_SENT = "not_sent"
    OVER = "over"

    @property
    def rank(self) -> int:
        """How much is known, 1 to 9: a fact never lowers it."""
        return RANK[self]

    @property
    def open(self) -> bool:
        """True while the attempt holds its slot and its lead."""
        return self.rank <= RANK[AttemptState.LIVE]


RANK = {
    AttemptState.PLACING: 1,
    AttemptState.UNKNOWN: 2,
    AttemptState.PLACED: 3,
    AttemptState.RINGING: 4,
    AttemptState.LIVE: 5,
    AttemptState.NOT_PLACED: 8,
    AttemptState.NOT_SENT: 9,
    AttemptState.OVER: 9,
}


class Outcome(StrEnum):
    """How an attempt ended, by Twilio's names where there is one; `lost`: the provider no longer knows the call."""

    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"
    CANCELED = "canceled"
    REFUSED = "refused"
    LOST = "lost"


class PauseKind(StrEnum):
    """Why a run paused itself: the `kind` of `outbound_call_runs.last_error_cause`, whose other fields are in docs/schema.md."""

    ACCOUNT_REFUSED = "account_refused"
    LEADS_REFUSED = "leads_refused"
    FOREIGN_ANSWERS = "foreign_answers"
    NO_ANSWERS = "no_answers"
    BUDGET = "budget"
    BUDGET_AMOUNT = "budget_amount"
    LOST_START = "lost_start"
    ADOPTED = "adopted"


class AttemptReason(StrEnum):
    """Why an attempt stands as it does, where the reason is our own and not the provider's; `attempts.reason`, English for other programs.

    The web process makes sentences of these in the reader's language.
    """

    WITHDRAWN = "withdrawn"
    NO_CREDENTIALS = "the credentials of the account are not known"
    TOO_LATE = "the deadline had passed"
    DEADLINE = "deadline"
    CLIENT_FAULT = "error"
    EXPIRED = "expired"
    NO_RESULT = "its worker did not record the result of its POST"
    NO_CALL_NAMED = "the answer names no call"
    NOT_KNOWN = "the provider does not have this call"
    NOT_LISTED = "the provider lists no such call"
    # Written by sql/attempts/record_v1.sql and sql/timelines/timeline_v1.sql.
    ANOTHER_CALL = "the provider answered with the call of another attempt"
    FORGOTTEN = "found at the provider: the database had forgotten it"
    # Written by sql/adoption/complete_v1.sql.
    OLD_CALL = "called by the old application"


JOB_AFTER = {
    Outcome.COMPLETED: JobStatus.COMPLETED,
    Outcome.BUSY: JobStatus.FAILED,
    Outcome.NO_ANSWER: JobStatus.FAILED,
    Outcome.FAILED: JobStatus.FAILED,
    Outcome.REFUSED: JobStatus.FAILED,
    Outcome.LOST: JobStatus.FAILED,
    Outcome.CANCELED: JobStatus.CANCELLED,
}


class Role(StrEnum):
    """What a user or a token may do in its business; each includes the ones before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def allows(self, needed: Role) -> bool:
        """True when this role includes `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of an attempt in callback addresses: never the id alone, which a restored backup would assign again."""

    business_id: int
    attempt_id: int
    nonce: str

    def __str__(self) -> str:
        """The text that goes into an address: `business-attempt-nonce`."""
        return f"{self.business_id}-{self.attempt_id}-{self.nonce}"

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse a reference as `str` writes it.

        Raises:
            ValueError: when `text` is not a reference.
        """
        business_id, attempt_id, nonce = text.split("-")
        if len(nonce) != NONCE_DIGITS or not set(nonce) <= set("0123456789abcdef"):
            message = "nonce"
            raise ValueError(message)
        return cls(bounded_id(business_id, INTEGER_MAX), bounded_id(attempt_id, BIGINT_MAX), nonce)


NONCE_DIGITS = 32
# What PostgreSQL's integer and bigint hold.
INTEGER_MAX = 2**31 - 1
BIGINT_MAX = 2**63 - 1


def bounded_id(text: str, largest: int) -> int:
    """Parse an id from 1 to `largest`: every id from outside is parsed here.

    Raises:
        ValueError: when it is not one.
    """
    if not text.isascii() or not text.isdigit() or len(text) > len(str(largest)) or not 0 < int(text) <= largest:
        message = f"must be a number from 1 to {largest}"
        raise ValueError(message)
    return int(text)
