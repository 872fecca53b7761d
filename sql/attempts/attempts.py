"""The intent log: take leads with their slots (claim), and learn what became of each attempt.

Both are one server-side function for many businesses at once; each caller gets a verdict for each business and each fact.

On the road of a call: 4, the claim that creates the attempt; and after 7, the record that ends it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from dialer.model import AttemptState
from sql.pool import to_disk
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from asyncpg import Record

    from sql.pool import Pool

TEXT = statements("attempts")
MAX_BUSINESSES_PER_CLAIM = 32
MAX_EXCESS_CALLS = 100


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A business wants leads: at most `permits` of them, under the `epoch` its worker owns its partition by."""

    business_id: int
    epoch: int
    permits: int


@dataclass(frozen=True, slots=True)
class ClaimedAttempt:
    """An attempt that has been committed and must be sent at once, or given back as not_sent."""

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


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a business got no more than it got; the words are explained in functions/claim_v1.sql."""

    business_id: int
    code: str
    put_off_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """Something learned of an attempt; the fields not known are None. `duration` is in seconds."""

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


@dataclass(frozen=True, slots=True)
class RecordResult:
    """What a fact did; the verdicts are explained in sql/attempts/record_v1.sql."""

    business_id: int
    attempt_id: int
    verdict: str
    state: AttemptState | None = None
    run_id: int | None = None
    job_id: int | None = None
    partition: int | None = None
    sid: str | None = None
    hang_up: bool = False
    run_ended: bool = False


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt as it stood in the log at `as_of`, by the database's clock; the provider is to be asked `check_in` seconds after that."""

    business_id: int
    attempt_id: int
    run_id: int
    job_id: int
    state: AttemptState
    nonce: str
    token: UUID
    sid: str | None
    phone: str
    from_number: str
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
    """What an address Twilio called refers to; `auth_token_sealed` is None unless the account is the business's own, still."""

    state: AttemptState
    hang_up: bool
    excess: bool
    cancel_requested: bool
    sid: str | None
    account_sid: str
    auth_token_sealed: bytes | None
    partition: int


@dataclass(frozen=True, slots=True)
class ExcessCall:
    """A second call of an attempt that is not known to be over: it is to be hung up."""

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
        self, incarnation: UUID, token: UUID, asks: Sequence[ClaimRequest], *, send_seconds: float, ring_seconds: int, default_account: str
    ) -> tuple[list[ClaimedAttempt], list[Verdict]]:
        """Take the next leads of at most 32 businesses; `token` is new for each call and marks what it created.

        `default_account` makes the calls of businesses without an account of their own.

        Raises:
            DatabaseUnavailableError: when it did not come through; rows with this token may exist all the same (`lost_claim`).
        """
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(
                TEXT["claim"],
                incarnation,
                token,
                [ask.business_id for ask in asks],
                [ask.epoch for ask in asks],
                [ask.permits for ask in asks],
                send_seconds,
                ring_seconds,
                default_account,
            )
            if any(row["verdict"] == "taken" for row in rows):
                await to_disk(connection)
        intents = [_intent(row, token) for row in rows if row["verdict"] == "taken"]
        verdicts = [Verdict(row["business_id"], row["verdict"], row["put_off_until"]) for row in rows if row["verdict"] != "taken"]
        return intents, verdicts

    async def record(self, facts: Sequence[Fact]) -> list[RecordResult]:
        """Apply facts, at most one an attempt; the answers are in no particular order.

        Raises:
            DatabaseUnavailableError: when it did not come through; bringing the same facts again is harmless.
        """
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(TEXT["record"], [_without_nones(fact) for fact in facts])
            if any(row["verdict"] != "busy" for row in rows):
                await to_disk(connection)
        return [_record_result(row) for row in rows]

    async def open_of_partitions(self, partitions: Sequence[int]) -> list[OpenAttempt]:
        """Every attempt not known to be over of the businesses of these partitions, those beyond the limit too, oldest first."""
        return [_open(row) for row in await self._pool.fetch(TEXT["open_of_partitions"], list(partitions))]

    async def states(self, attempts: Sequence[tuple[int, int]]) -> list[OpenAttempt]:
        """These attempts, (business_id, attempt_id) each, as they stand now; over ones too."""
        return [_open(row) for row in await self._pool.fetch(TEXT["states"], [b for b, _ in attempts], [a for _, a in attempts])]

    async def lost_claim(self, business_ids: Sequence[int], token: UUID) -> list[tuple[int, int, str]]:
        """What a claim whose answer was lost has created: business_id, attempt_id, nonce. Nothing of it was ever sent."""
        rows = await self._pool.fetch(TEXT["lost_claim"], list(business_ids), token)
        return [(row["business_id"], row["attempt_id"], row["nonce"].hex) for row in rows]

    async def placing_of_run(self, business_id: int, run_id: int) -> list[tuple[Fact, bool, bool]]:
        """The attempts of a run nobody has confirmed: each as the fact that it is unknown, whether it is so already, and past send_by."""
        rows = await self._pool.fetch(TEXT["placing_of_run"], business_id, run_id)
        unknown = AttemptState.UNKNOWN
        return [
            (Fact(business_id, row["attempt_id"], row["nonce"].hex, unknown, reason="expired"), row["state"] == unknown, row["past"])
            for row in rows
        ]

    async def postpone_check(self, attempt: OpenAttempt, seconds: float, evidence: dict[str, Any] | None = None) -> None:
        """Ask the provider about this attempt again in `seconds`, unless its state has changed meanwhile; keep the evidence seen so far."""
        await self._pool.execute(TEXT["look_later"], attempt.business_id, attempt.attempt_id, seconds, evidence, attempt.state)

    async def find_by_reference(self, business_id: int, attempt_id: int, nonce: str) -> AttemptContext | None:
        """What a reference in an address stands for; None when there is no such attempt or its nonce is another."""
        row = await self._pool.fetchrow(TEXT["lookup"], business_id, attempt_id, nonce)
        if row is None:
            return None
        return AttemptContext(**{**row, "state": AttemptState(row["state"])})

    async def withdraw(self, business_id: int, attempt_id: int) -> None:
        """Note, before asking for it, that we take this call back out of the provider's queue: its lead is then queued again."""
        await self._pool.execute(TEXT["withdraw"], business_id, attempt_id)

    async def excess_calls(self, partitions: Sequence[int]) -> list[ExcessCall]:
        """The second calls of attempts of these partitions that are not known to be over, the oldest first, at most 100."""
        return [ExcessCall(**row) for row in await self._pool.fetch(TEXT["excess_calls"], list(partitions), MAX_EXCESS_CALLS)]

    async def excess_over(self, business_id: int, sid: str) -> None:
        """Note that a second call is over."""
        await self._pool.execute(TEXT["excess_over"], business_id, sid)

    async def rivals(self, attempt: OpenAttempt) -> int:
        """How many other attempts to the same number from the same number wait for proof, over all businesses of the account."""
        found = await self._pool.fetchval(
            TEXT["unbound_rivals"], attempt.attempt_id, attempt.phone, attempt.from_number, attempt.account_sid
        )
        return int(found)

    async def bound(self, sids: Sequence[str]) -> dict[str, int]:
        """Which of these sids belong to an attempt, and to which."""
        return {row["sid"]: row["attempt_id"] for row in await self._pool.fetch(TEXT["bound_sids"], list(sids))}


def _without_nones(fact: Fact) -> dict[str, Any]:
    return {key: value for key, value in asdict(fact).items() if value is not None}


def _intent(row: Record, token: UUID) -> ClaimedAttempt:
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
    )


def _record_result(row: Record) -> RecordResult:
    return RecordResult(**{**row, "state": AttemptState(row["state"]) if row["state"] else None, "hang_up": bool(row["hang_up"])})


def _open(row: Record) -> OpenAttempt:
    names = (
        "business_id",
        "attempt_id",
        "run_id",
        "job_id",
        "token",
        "sid",
        "phone",
        "from_number",
        "account_sid",
        "send_by",
        "created_at",
    )
    more = ("as_of", "check_in", "checks", "hang_up", "partition", "evidence")
    return OpenAttempt(state=AttemptState(row["state"]), nonce=row["nonce"].hex, **{name: row[name] for name in (*names, *more)})
