"""Stops and resumes all dialling, of a business or of the installation: after the answer to a stop no lead is taken."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dialer.messages import KEEP_HTTP_SECONDS
from sql.audit.audit import CURRENT_ADDRESS
from sql.statements import statements

if TYPE_CHECKING:
    from datetime import datetime

    from sql.pool import Pool

TEXT = statements("dialling")
# One statement locks so many lanes, for a moment.
LANES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class DiallingRequest:
    """Stop the dialling of a business, or with `stop` False resume it; `id` is from the Idempotency-Key, or new."""

    business_id: int
    stop: bool
    reason: str | None
    requested_by: str
    id: str

    @property
    def type(self) -> str:
        """Its name in the inbox and in the audit log."""
        return "business.stop" if self.stop else "business.resume"

    @property
    def digest(self) -> bytes:
        """SHA-256 of the content: the same id with another digest is another request."""
        return hashlib.sha256(f"{self.type}|{self.reason}".encode()).digest()


@dataclass(frozen=True, slots=True)
class DiallingState:
    """Whether dialling is stopped: since when, why, and how many calls were being placed or live at that moment."""

    stopped: bool
    since: datetime | str | None
    reason: str | None
    in_progress: int


@dataclass(frozen=True, slots=True)
class DiallingAnswer:
    """The answer to a request: `code` is id_reused or empty; `run_id` is a running run, for the hint to its worker."""

    code: str
    state: DiallingState | None = None
    partition: int | None = None
    run_id: int | None = None


class Dialling:
    """The stops of all businesses and of the installation, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def change(self, request: DiallingRequest) -> DiallingAnswer:
        """Stop or resume the dialling of one business.

        Raises:
            DatabaseUnavailableError: when it failed or its answer was lost; retrying with the same id is harmless.
        """
        answer = await self._pool.fetchval(
            TEXT["stop_business"],
            request.business_id,
            request.id,
            request.digest,
            request.type,
            request.reason,
            request.requested_by,
            KEEP_HTTP_SECONDS,
            CURRENT_ADDRESS.get(),
        )
        if answer["code"]:
            return DiallingAnswer(answer["code"])
        state = DiallingState(answer["stopped"], answer["since"], answer["reason"], answer["in_progress"])
        return DiallingAnswer("", state, answer["partition"], answer["run_id"])

    async def change_all(self, *, stop: bool, reason: str | None, requested_by: str) -> DiallingState:
        """Stop or resume the dialling of the installation; a stop returns when no claim that has not seen it is in progress.

        Raises:
            RowLockedError: when another session holds a lane: the stop is stored, and may be repeated.
        """
        kind = "installation.stop" if stop else "installation.resume"
        [row] = await self._pool.fetch(TEXT["stop_installation"], kind, reason, requested_by, CURRENT_ADDRESS.get())
        return DiallingState(row["since"] is not None, row["since"], row["reason"], await self._pass_lanes())

    async def _pass_lanes(self) -> int:
        """Lock every lane once, in small transactions; return how many calls are in progress."""
        last, in_progress = 0, 0
        while True:
            [row] = await self._pool.fetch(TEXT["pass_lanes"], last, LANES_AT_ONCE)
            if row["last"] is None:
                return in_progress
            last, in_progress = row["last"], in_progress + row["in_progress"]
