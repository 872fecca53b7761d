"""The statuses of runs, jobs and attempts, and which changes between them are legal.

Pure: no I/O, no clock. On the road of a call: every other file speaks in these words.
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
    """What is known of one try to place a call; docs/protocol.md section 1."""

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
    """How an attempt ended, in Twilio's words where Twilio has one; `lost`: the provider knows the call no more."""

    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"
    CANCELED = "canceled"
    REFUSED = "refused"
    LOST = "lost"


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
    """The name of an attempt in the addresses Twilio calls back: never the id alone, which a restored backup would give out again."""

    business_id: int
    attempt_id: int
    nonce: str

    def __str__(self) -> str:
        """The text that goes into an address: `business-attempt-nonce`."""
        return f"{self.business_id}-{self.attempt_id}-{self.nonce}"

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read back what `str` wrote.

        Raises:
            ValueError: when `text` is not such a reference.
        """
        business_id, attempt_id, nonce = text.split("-")
        if len(nonce) != NONCE_DIGITS or not set(nonce) <= set("0123456789abcdef"):
            message = "nonce"
            raise ValueError(message)
        return cls(_bounded(business_id), _bounded(attempt_id), nonce)


NONCE_DIGITS = 32
BIGINT_MAX = 2**63 - 1


def _bounded(digits: str) -> int:
    if not digits.isascii() or not digits.isdigit() or int(digits[:20]) > BIGINT_MAX:
        raise ValueError(digits[:20])
    return int(digits)
