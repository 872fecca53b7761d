"""Attempts: claims leads together with their slots, and records facts about each attempt.

Claim and record are one SQL function each, called for many businesses at once. Claim returns a verdict for each business, record returns
one for each fact.

On the road of a call: 4, the claim that creates the attempt; and after 7, the record that ends it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from dialer.model import AttemptReason, AttemptState
from sql.attempts.verdicts import RecordVerdict, VerdictCode
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from uuid import UUID

    from asyncpg import Record

    from sql.pool import Pool

TEXT = statements("attempts")
MAX_BUSINESSES_PER_CLAIM = 32
MAX_EXCESS_CALLS = 100


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A request for at most `permits` leads of a business; `epoch` is the one under which its worker owns the partition."""

    business_id: int
    epoch: int
    permits: int


@dataclass(frozen=True, slots=True)
class ClaimedAttempt:
    """An attempt that has been committed: it must be sent at once, or recorded as not_sent."""

    business_id: int
    run_id: int
    job_id: int
    attempt_id: int
    nonce: str
    token: UUID
    phone: str
    from_number: str
    account_sid: str
    machine_detection: str | None = None
    record: bool = False
    machine_detection_async: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a claim returned no more leads for a business; sql/attempts/claim_v1.sql explains the codes."""

    business_id: int
    code: VerdictCode
    put_off_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """An observation about an attempt; fields that it does not concern are None. `duration` is in seconds."""

    business_id: int
    attempt_id: int
    nonce: str
    state: AttemptState
    token: str | None = None
    sid: str | None = None
    outcome: str | None = None
    answered_by: str | None = None
    duration: int | None = None
    sequence: int | None = None
    error_code: int | None = None
    reason: str | None = None
    owner: str | None = None
    epoch: int | None = None
    lag_seconds: float | None = None
    by_person: bool | None = None
    evidence: dict[str, Any] | None = None
    callback: dict[str, Any] | None = None
    # The account that has signed it: it counts only for an attempt of this account.
    account_sid: str | None = None


FACT_FIELDS = tuple(one.name for one in fields(Fact))


@dataclass(frozen=True, slots=True)
class RecordResult:
    """The effect of recording a fact; sql/attempts/record_v1.sql explains the verdicts."""

    business_id: int
    attempt_id: int
    verdict: RecordVerdict
    state: AttemptState | None = None
    run_id: int | None = None
    job_id: int | None = None
    partition: int | None = None
    sid: str | None = None
    hang_up: bool = False
    run_ended: bool = False


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt as recorded at `as_of` (database time); its next check with the provider is due `check_in` seconds later.

    `from_number` is None for a call of an old application: it may have come from any number.
    """

    business_id: int
    attempt_id: int
    run_id: int
    job_id: int
    state: AttemptState
    nonce: str
    token: UUID
    sid: str | None
    phone: str
    from_number: str | None
    account_sid: str
    send_by: datetime
    created_at: datetime
    as_of: datetime
    check_in: float
    checks: int
    hang_up: bool
    partition: int
    evidence: dict[str, Any] | None = field(default=None)


@dataclass(frozen=True, slots=True)
class AttemptContext:
    """The attempt that a callback's address names; `sealed` are the stored credentials of its account, the newest first."""

    account_sid: str
    run_id: int
    job_id: int
    sealed: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ExcessCall:
    """A second call of an attempt, to be hung up, that may not be over."""

    business_id: int
    attempt_id: int
    account_sid: str
    sid: str


class Attempts:
    """The attempts of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def claim(
        self,
        incarnation: UUID,
        token: UUID,
        requests: Sequence[ClaimRequest],
        *,
        send_seconds: float,
        ring_seconds: int,
        max_minutes: int,
        default_account: str,
        committed: Callable[[], None] = lambda: None,
    ) -> tuple[list[ClaimedAttempt], list[Verdict]]:
        """Claim the next leads of at most 32 businesses; `token` is new for each call and marks the attempts it creates.

        `committed` is called when only the flush is left: the rows are free again. No attempt may be sent before the answer.

        `max_minutes` is the longest length of a call, for budgets in money. `default_account` is the sid used for businesses without an
        account of their own.

        Raises:
            DatabaseUnavailableError: when the claim failed or its response was lost; attempts with this token may exist (`lost_claim`).
        """
        async with self._pool.writing() as (connection, flush):
            rows = await connection.fetch(
                TEXT["claim"],
                incarnation,
                token,
                [request.business_id for request in requests],
                [request.epoch for request in requests],
                [request.permits for request in requests],
                send_seconds,
                ring_seconds,
                max_minutes,
                default_account,
            )
            committed()
            taken = [row for row in rows if row["verdict"] == VerdictCode.TAKEN]
            if taken:
                await flush()
        verdicts = [_verdict(row) for row in rows if row["verdict"] != VerdictCode.TAKEN]
        return [_claimed(row, token) for row in taken], verdicts

    async def record(self, facts: Sequence[Fact], committed: Callable[[], None] = lambda: None) -> list[RecordResult]:
        """Record facts, at most one per attempt; the results are in no particular order.

        `committed` is called when only the flush is left: the rows are free again.

        Raises:
            DatabaseUnavailableError: when the statement failed or its response was lost; recording the same facts again is harmless.
        """
        async with self._pool.writing() as (connection, flush):
            rows = await connection.fetch(TEXT["record"], [_without_nones(fact) for fact in facts])
            committed()
            if any(row["verdict"] != RecordVerdict.BUSY for row in rows):
                await flush()
        return [_record_result(row) for row in rows]

    async def open_of_partitions(self, partitions: Sequence[int]) -> list[OpenAttempt]:
        """The open attempts of these partitions' businesses, including those beyond the limit, oldest first."""
        return [_open(row) for row in await self._pool.fetch(TEXT["open_of_partitions"], list(partitions))]

    async def states(self, attempts: Sequence[tuple[int, int]]) -> list[OpenAttempt]:
        """The present state of these attempts, given as (business_id, attempt_id), including those that are over."""
        return [_open(row) for row in await self._pool.fetch(TEXT["states"], [b for b, _ in attempts], [a for _, a in attempts])]

    async def lost_claim(self, business_ids: Sequence[int], token: UUID) -> list[tuple[int, int, str]]:
        """The attempts created by a claim whose response was lost: business_id, attempt_id, nonce. None of them was sent."""
        rows = await self._pool.fetch(TEXT["lost_claim"], list(business_ids), token)
        return [(row["business_id"], row["attempt_id"], row["nonce"].hex) for row in rows]

    async def placing_of_run(self, business_id: int, run_id: int) -> list[tuple[Fact, bool, bool]]:
        """The unconfirmed attempts of a run.

        For each: the fact that would mark it unknown, whether it is unknown already, and whether its `send_by` passed more than 2 s ago.
        """
        rows = await self._pool.fetch(TEXT["placing_of_run"], business_id, run_id)
        unknown = AttemptState.UNKNOWN
        return [
            (
                Fact(business_id, row["attempt_id"], row["nonce"].hex, unknown, reason=AttemptReason.EXPIRED),
                row["state"] == unknown,
                row["past"],
            )
            for row in rows
        ]

    async def postpone_check(self, attempt: OpenAttempt, seconds: float, evidence: dict[str, Any] | None = None) -> None:
        """Schedule the next check of this attempt in `seconds` and store the evidence so far, unless its state has changed."""
        await self._pool.execute(TEXT["check_later"], attempt.business_id, attempt.attempt_id, seconds, evidence, attempt.state)

    async def add_recording(self, business_id: int, attempt_id: int, sid: str, url: str, duration_seconds: int | None) -> None:
        """Store where the recording of a call is; a second report, or one for a deleted attempt, changes nothing."""
        await self._pool.execute(TEXT["add_recording"], business_id, attempt_id, sid, url, duration_seconds)

    async def find_by_reference(self, business_id: int, attempt_id: int, nonce: str) -> AttemptContext | None:
        """The attempt a reference names; None when there is no such attempt or the nonce differs."""
        row = await self._pool.fetchrow(TEXT["lookup"], business_id, attempt_id, nonce)
        if row is None:
            return None
        return AttemptContext(**row)

    async def withdraw(self, business_id: int, attempt_id: int) -> None:
        """Note that this call will be withdrawn from the provider's queue: when it ends, its lead is queued again."""
        await self._pool.execute(TEXT["withdraw"], business_id, attempt_id)

    async def excess_calls(self, partitions: Sequence[int]) -> list[ExcessCall]:
        """The second calls in these partitions that are not known to be over, oldest first, at most 100."""
        return [ExcessCall(**row) for row in await self._pool.fetch(TEXT["excess_calls"], list(partitions), MAX_EXCESS_CALLS)]

    async def excess_over(self, business_id: int, sid: str) -> None:
        """Note that a second call is over."""
        await self._pool.execute(TEXT["excess_over"], business_id, sid)

    async def rivals(self, attempt: OpenAttempt) -> int:
        """The number of other unconfirmed attempts between the same two numbers, across all businesses of the account."""
        count = await self._pool.fetchval(
            TEXT["unbound_rivals"], attempt.attempt_id, attempt.phone, attempt.from_number, attempt.account_sid
        )
        return int(count)

    async def bound(self, sids: Sequence[str]) -> dict[str, int]:
        """The attempt ids by sid; sids that are not bound are left out."""
        return {row["sid"]: row["attempt_id"] for row in await self._pool.fetch(TEXT["bound_sids"], list(sids))}


def _without_nones(fact: Fact) -> dict[str, Any]:
    return {name: value for name in FACT_FIELDS if (value := getattr(fact, name)) is not None}


def _verdict(row: Record) -> Verdict:
    return Verdict(row["business_id"], VerdictCode(row["verdict"]), row["put_off_until"])


def _claimed(row: Record, token: UUID) -> ClaimedAttempt:
    return ClaimedAttempt(
        business_id=row["business_id"],
        run_id=row["run_id"],
        job_id=row["job_id"],
        attempt_id=row["attempt_id"],
        nonce=row["nonce"].hex,
        token=token,
        phone=row["phone"],
        from_number=row["from_number"],
        account_sid=row["account_sid"],
        machine_detection=row["machine_detection"],
        record=row["record"],
        machine_detection_async=row["machine_detection_async"],
    )


def _record_result(row: Record) -> RecordResult:
    return RecordResult(
        business_id=row["business_id"],
        attempt_id=row["attempt_id"],
        verdict=RecordVerdict(row["verdict"]),
        state=AttemptState(row["state"]) if row["state"] else None,
        run_id=row["run_id"],
        job_id=row["job_id"],
        partition=row["partition"],
        sid=row["sid"],
        hang_up=bool(row["hang_up"]),
        run_ended=row["run_ended"],
    )


def _open(row: Record) -> OpenAttempt:
    return OpenAttempt(**{**row, "state": AttemptState(row["state"]), "nonce": row["nonce"].hex})
