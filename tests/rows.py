"""Loads rows for the tests of the database, and recounts them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from dialer.messages import Command, CommandType
from dialer.sealing import Seal
from sql.attempts.attempts import Attempts, ClaimedAttempt, ClaimRequest, Fact
from sql.businesses.businesses import Businesses
from sql.commands.commands import Answer, Commands
from sql.commands.requests import request_by
from sql.runs.new_lead import NewLead
from sql.runs.new_run import NewRun, Request
from sql.runs.runs import Run, Runs
from sql.tokens.tokens import NewToken, Tokens
from sql.users.users import NewUser, Users
from sql.workers.workers import Workers
from telephony.account_credentials import AccountCredentials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dialer.model import AttemptState, Role
    from sql.attempts.attempts import RecordResult, Verdict
    from sql.pool import Pool

# The account of the settings, of businesses without one of their own.
ACCOUNT_SID = "AC" + "0" * 32
# Of every web process and worker in the tests.
SECRET_KEY = "a secret of forty characters - for a test"

COUNTED = """
SELECT count(*) FILTER (WHERE j.status = 'queued' AND NOT r.cancel_requested) AS queued,
       count(*) FILTER (WHERE j.status IN ('dialing', 'calling')) AS in_progress,
       count(*) FILTER (WHERE j.status = 'completed') AS completed,
       count(*) FILTER (WHERE j.status = 'failed') AS failed,
       count(*) FILTER (WHERE j.status = 'cancelled' OR j.status = 'queued' AND r.cancel_requested) AS cancelled,
       count(*) FILTER (WHERE j.status = 'skipped') AS skipped,
       r.queued_count, r.in_progress_count, r.completed_count, r.failed_count, r.cancelled_count, r.skipped_count, r.total_leads
FROM outbound_call_runs r JOIN outbound_call_jobs j ON j.run_id = r.id WHERE r.business_id = $1 AND r.id = $2 GROUP BY r.id
"""


class DatabaseFixture:
    """A worker that owns every partition of an empty database, with the tables' classes."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.attempts = Attempts(pool)
        self.businesses = Businesses(pool)
        self.users = Users(pool)
        self.tokens = Tokens(pool)
        self.commands = Commands(pool)
        self.runs = Runs(pool)
        self.workers = Workers(pool)
        self.incarnation = uuid4()
        self.epochs: dict[int, int] = {}
        self._numbers = itertools.count(1)

    async def open(self) -> DatabaseFixture:
        await self.workers.join(self.incarnation, "test", 3600)
        self.epochs = await self.workers.take_over(self.incarnation, list(range(256)))
        return self

    async def business(self, max_calls: int = 3) -> int:
        return await self.businesses.create(
            name="Shop", caller_id="+12025550100", region="US", timezone="America/New_York", max_calls=max_calls
        )

    async def token(self, business_id: int, role: Role, digest: bytes, name: str = "") -> int:
        """Add a program's key by the SHA-256 of its secret; return its id."""
        token, _ = await self.tokens.create(business_id, NewToken(role, digest, name), request_by("test"))
        return token.token_id

    async def user(self, business_id: int, email: str, role: Role, password_hash: str) -> int:
        """Add a person; return the id."""
        user, _ = await self.users.create(business_id, NewUser(email, role, password_hash), request_by("test"))
        return user.user_id

    async def own_account(
        self, business_id: int, account_sid: str, auth_token: str, *, secret_key: str = SECRET_KEY, pace: float | None = None
    ) -> None:
        """Give a business an account of its own, as `PATCH /api/business` does."""
        sealed = AccountCredentials(auth_token=auth_token).sealed(Seal(secret_key, "account"))
        account = {"account_sid": account_sid, "credentials": "auth_token", "calls_per_second": pace}
        await self.businesses.change(business_id, {"provider_account": account}, "test", sealed=sealed)

    async def run(
        self, business_id: int, phones: Sequence[str] | int, *, concurrency: int = 3, start: bool = True, zones: Sequence[str] = ("UTC",)
    ) -> int:
        numbers = [f"+1202555{next(self._numbers):04}" for _ in range(phones)] if isinstance(phones, int) else phones
        leads = [NewLead(n, phone, f"Lead {n}", zones[n % len(zones)]) for n, phone in enumerate(numbers, start=1)]
        answer, _ = await self.runs.create(
            NewRun(business_id, "run", concurrency, leads, start=start), Request(f"http:{uuid4()}", b"", "test", {})
        )
        return int(answer["run_id"])

    async def claim(
        self, *business_ids: int, permits: int = 3, token: UUID | None = None
    ) -> tuple[list[ClaimedAttempt], dict[int, Verdict]]:
        requests = [ClaimRequest(b, self.epochs[await self.partition(b)], permits) for b in business_ids]
        attempts, verdicts = await self.attempts.claim(
            self.incarnation, token or uuid4(), requests, send_seconds=5, ring_seconds=30, max_minutes=10, default_account=ACCOUNT_SID
        )
        return attempts, {verdict.business_id: verdict for verdict in verdicts}

    async def partition(self, business_id: int) -> int:
        business = await self.businesses.get(business_id)
        assert business
        return business.partition

    async def record(self, attempt: ClaimedAttempt, state: AttemptState, **known: object) -> RecordResult:
        token = known.pop("token", str(attempt.token))
        [result] = await self.attempts.record(
            [Fact(attempt.business_id, attempt.attempt_id, attempt.nonce, state, token=token, **known)]  # type: ignore[arg-type]
        )
        return result

    async def command(self, business_id: int, kind: CommandType, run_id: int, **more: object) -> Answer:
        return await self.commands.apply(Command(business_id, f"http:{uuid4()}", kind, run_id, **more))  # type: ignore[arg-type]

    async def checked_run(self, business_id: int, run_id: int) -> Run:
        """Load a run, and check its counters against its rows and its total, in one statement, since it may be running."""
        counted = await self.pool.fetchrow(COUNTED, business_id, run_id)
        assert counted
        names = [name for name in counted.keys() if not name.endswith("_count") and name != "total_leads"]  # noqa: SIM118 - a Record iterates over values
        assert {name: counted[name] for name in names} == {name: counted[f"{name}_count"] for name in names}
        assert sum(counted[name] for name in names) == counted["total_leads"]
        run = await self.runs.get(business_id, run_id)
        assert run
        return run

    async def inflight(self, business_id: int) -> list[int]:
        found: list[int] = await self.pool.fetchval("SELECT inflight FROM dialer.lanes WHERE business_id = $1", business_id)
        return found
