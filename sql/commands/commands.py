"""The inbox: every command is stored, decided once in PostgreSQL, and answered; a repeat gets the first answer again."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dialer.messages import CommandType, RunChanged
from sql.adoption.old_runs import OldRuns
from sql.audit.audit import CURRENT_ADDRESS
from sql.errors import DatabaseUnavailableError
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dialer.messages import Command
    from sql.pool import Pool

TEXT = statements("commands")
log = logging.getLogger(__name__)
MAX_WAITING_BUSINESSES = 100
# One statement decides these, with the business's lane locked.
MAX_APPLIED_AT_ONCE = 25
# The run is one of the old application, and its leads are not read yet: nothing was decided.
INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a command.

    `code` says why it was rejected: not_found, invalid_state, in_progress, id_reused, busy or internal; `shown` is the HTTP answer to the
    first request with the same Idempotency-Key.
    """

    accepted: bool
    code: str = ""
    duplicate: bool = False
    foreign: bool = False
    run_id: int | None = None
    status: str | None = None
    cancel_requested: bool = False
    in_progress: int = 0
    already_ended: bool = False
    cancelled_jobs: int = 0
    job_id: int | None = None
    job_status: str | None = None
    partition: int | None = None
    shown: dict[str, Any] | None = None

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Answer:
        """Parse an answer as PostgreSQL wrote it; nulls become the defaults."""
        return cls(**{name: value for name, value in answer.items() if name in cls.__slots__ and value is not None})


@dataclass(frozen=True, slots=True)
class MalformedCommand:
    """An entry of dialer:commands that is not a valid command, with the reason; it is answered and kept."""

    entry: str
    reason: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class AppliedCommand:
    """A decided command, with the hint for the owner of its business."""

    hint: RunChanged
    answer: Answer


class Commands:
    """The commands of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool, default_account: str = "") -> None:
        """Use `pool`, which the caller closes; `default_account` is that of businesses without one of their own."""
        self._pool = pool
        self._old_runs = OldRuns(pool, default_account)

    async def apply(self, command: Command) -> Answer:
        """Decide a command that came over HTTP; a run of the old application is completed first.

        Raises:
            DatabaseUnavailableError: when it failed or its answer was lost; retrying with the same id is harmless.
        """
        answer = await self._apply(command)
        if answer.code != INCOMPLETE:
            return answer
        await self._old_runs.complete(command.business_id, command.run_id)
        return replace(await self._apply(command), duplicate=answer.duplicate)

    async def _apply(self, command: Command) -> Answer:
        answer = await self._pool.fetchval(
            TEXT["command"],
            command.business_id,
            command.id,
            command.digest,
            command.type,
            command.run_id,
            command.job_id,
            command.hang_up,
            command.requested_by,
            command.keep_seconds,
            CURRENT_ADDRESS.get(),
        )
        return Answer.of(answer)

    async def start_due(self, command: Command, at: int) -> Answer:
        """Start a pending run whose time, `at` in epoch seconds, has come and has not been changed.

        A rejected one is not remembered: `busy` when another session holds the run, else not_found or invalid_state.

        Raises:
            DatabaseUnavailableError: when it failed or its answer was lost; retrying with the same id is harmless.
        """
        values = command.business_id, command.id, command.digest, command.run_id, at, command.requested_by, command.keep_seconds
        return Answer.of(await self._pool.fetchval(TEXT["start_due"], *values))

    async def remember(self, business_id: int, command_id: str, shown: dict[str, Any]) -> None:
        """Store the HTTP answer to a command, for repeats of it."""
        await self._pool.execute(TEXT["remember"], business_id, command_id, shown)

    async def position(self) -> str:
        """The last entry of dialer:commands that is in the inbox."""
        return str(await self._pool.fetchval(TEXT["position"]))

    async def receive(self, start: str, end: str, entries: Sequence[Command | MalformedCommand]) -> bool:
        """Move the entries read after `start`, up to `end`, into the inbox; False when another reader has moved the position."""
        return bool(await self._pool.fetchval(TEXT["receive"], start, end, [_row(entry) for entry in entries]))

    async def waiting(self, but: Sequence[int] = ()) -> list[int]:
        """At most 100 businesses with undecided commands, except those in `but`; the longest waiting first."""
        return [row["business_id"] for row in await self._pool.fetch(TEXT["waiting"], MAX_WAITING_BUSINESSES, list(but))]

    async def apply_received(self, business_id: int) -> tuple[list[AppliedCommand], bool]:
        """Decide at most 25 commands of one business, in order; the second is True when its lane or a run is locked: ask again later."""
        rows = await self._pool.fetch(TEXT["apply_received"], business_id, MAX_APPLIED_AT_ONCE)
        for row in rows:
            if row["type"] == INCOMPLETE:
                await self._complete(business_id, row["run_id"])
        applied = [
            AppliedCommand(
                RunChanged(business_id, row["run_id"], CommandType(row["type"]), row["job_id"], row["hang_up"]), Answer.of(row["answer"])
            )
            for row in rows
            if row["type"] not in {"busy", INCOMPLETE}
        ]
        return applied, len(applied) < len(rows)

    async def _complete(self, business_id: int, run_id: int) -> None:
        try:
            await self._old_runs.complete(business_id, run_id)
        except DatabaseUnavailableError:
            raise
        except Exception:
            log.exception("run %d of business %d cannot be completed; its start is rejected", run_id, business_id)
            await self._pool.execute(TEXT["reject_incomplete"], business_id, run_id)

    async def forget(self, limit: int) -> int:
        """Delete expired commands, callbacks after 90 days, and numbers of replaced do-not-call registers, at most `limit` of each.

        Returns the largest count; `limit` means that there is more to delete.
        """
        return int(await self._pool.fetchval(TEXT["forget"], limit))


def _row(entry: Command | MalformedCommand) -> dict[str, Any]:
    if isinstance(entry, MalformedCommand):
        return {"malformed": entry.reason, "entry": entry.entry, "fields": entry.fields, "id": entry.fields.get("id")}
    return {
        "business_id": entry.business_id,
        "id": entry.id,
        # bytea as text.
        "digest": f"\\x{entry.digest.hex()}",
        "type": entry.type,
        "run_id": entry.run_id,
        "job_id": entry.job_id,
        "hang_up": entry.hang_up,
        "requested_by": entry.requested_by,
        "entry": entry.entry,
        "keep_seconds": entry.keep_seconds,
    }
