"""Test calls: each is noted before it is placed, at most one at a time for a business."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sql.audit.audit import CURRENT_ADDRESS
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sql.pool import Pool

TEXT = statements("test_calls")


class TestCallRefusedError(Exception):
    """No test call now; the only argument says why: `stopped`, `do_not_call`, `in_progress` or `id_reused`."""


@dataclass(frozen=True, slots=True)
class TestCallRequest:
    """A stored test call; `is_repeated` when an earlier request with the same id made it, which left it in this `status`."""

    test_call_id: int
    nonce: str
    status: str
    is_repeated: bool


@dataclass(frozen=True, slots=True)
class NewTestCall:
    """A test call to be placed: numbers in E.164; `call` is what it says, as JSON."""

    business_id: int
    phone: str = field(repr=False)
    from_number: str
    account_sid: str
    call: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TestCall:
    """A test call that was placed; `sealed` are the stored credentials of its account, the newest first."""

    account_sid: str
    from_number: str
    phone: str = field(repr=False)
    call: dict[str, Any] = field(repr=False)
    sealed: Sequence[str] = field(repr=False)


class TestCalls:
    """The test calls of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def request(self, new: NewTestCall, actor: str, request_id: str) -> TestCallRequest:
        """Store a test call before it is placed; a repeated request gets the call that it made.

        Raises:
            TestCallRefusedError: when there may be none now.
            DatabaseUnavailableError: when PostgreSQL is unavailable.
        """
        values = new.business_id, new.phone, new.from_number, new.account_sid, new.call, actor, request_id, CURRENT_ADDRESS.get()
        [row] = await self._pool.fetch(TEXT["request"], *values)
        if row["code"] not in {None, "repeated"}:
            raise TestCallRefusedError(row["code"])
        return TestCallRequest(row["test_call_id"], row["nonce"].hex, row["status"], is_repeated=row["code"] == "repeated")

    async def find(self, business_id: int, test_call_id: int, nonce: str) -> TestCall | None:
        """The test call that an address names; None when there is none."""
        row = await self._pool.fetchrow(TEXT["find"], business_id, test_call_id, nonce)
        return TestCall(**row) if row else None

    async def note(self, business_id: int, test_call_id: int, status: str, *, is_over: bool) -> None:
        """Note how a test call stands; the next one may be placed when it is over."""
        await self._pool.execute(TEXT["note"], business_id, test_call_id, status, is_over)
