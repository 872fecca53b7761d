"""Submits a command: it is decided in PostgreSQL, then the owner of the business is notified; the request does not wait for the owner.

Cancel and stop need neither Redis nor a worker: the decision is stored in PostgreSQL when `submit` returns, and the notice to the owner is
only a hint. While a run's row is locked, the command is retried after growing pauses, during which it holds no connection.

On the road of a call: 1, the button, whether pressed on a page or over the API. The owner of the business gets a hint.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dialer.messages import Command, CommandType, RunChanged
from dialer.model import Role
from sql.errors import RowLockedError
from web.access.auth import require_principal
from web.operations.idempotency import request_id
from web.operations.jobs import job_not_found
from web.operations.runs import refused_in_state, run_not_found
from web.server import errors, keys
from web.server.errors import ApiError, Text
from web.server.i18n import msgid
from web.server.tracing.request_spans import trace_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web as http

    from sql.commands.commands import Answer
    from web.access.auth import Principal

# For how long to retry. Each try waits briefly for the row (sql/commands/queries.sql), and has a connection only while it waits.
PATIENCE_SECONDS: Final = 6.0
FIRST_PAUSE_SECONDS: Final = 0.02
MAX_PAUSE_SECONDS: Final = 0.5
# How many commands of one business may be in progress, for example waiting for a locked run; further ones are rejected at once.
MAX_PENDING_PER_BUSINESS: Final = 32


async def submit(
    request: http.Request, kind: CommandType, run_id: int, *, job_id: int | None = None, hang_up: bool = False, wait: bool = False
) -> Answer:
    """Apply a command of the signed-in operator, and notify the owner; `wait` is only stored with the command: the caller has to wait.

    Raises:
        ApiError: 401, 403, 404, 409 or 503.
    """
    principal = require_principal(request, Role.OPERATOR)
    command = Command(principal.business_id, request_id(request), kind, run_id, job_id, hang_up, principal.actor, wait=wait)
    began = request.app[keys.CLOCK].now()
    answer = await decide(request.app, command)
    # A run that this business does not have has no trace.
    if not answer.duplicate and answer.code != "not_found":
        trace_command(request, kind, (command.business_id, run_id), began, rejected=answer.code)
    request.app[keys.METRICS].commands.labels(kind, answer.code or "accepted").inc()
    request.app[keys.RELAY].kick()
    if not answer.accepted:
        raise await _rejection(request, principal, command, answer)
    return answer


async def decide(app: http.Application, command: Command) -> Answer:
    """Apply a command, whoever sent it, and notify the owner of the business; a rejected one is answered too.

    Raises:
        ApiError: 503, when too many commands of the business are pending.
        RowLockedError: when the row of the run stays locked.
        DatabaseUnavailableError: when PostgreSQL is unavailable; the command may have been applied.
    """
    answer = await _apply(app, command)
    if answer.accepted and answer.partition is not None:
        hint = RunChanged(command.business_id, command.run_id, command.type, command.job_id, command.hang_up)
        app[keys.OWNER_HINTS].send(answer.partition, hint)
    return answer


class PendingCommands:
    """Counts the pending commands of each business."""

    def __init__(self) -> None:
        self._per_business: Counter[int] = Counter()

    @contextmanager
    def one_of(self, business_id: int) -> Iterator[None]:
        """Count one more command of this business.

        Raises:
            ApiError: 503, when 32 are pending already.
        """
        if self._per_business[business_id] >= MAX_PENDING_PER_BUSINESS:
            raise errors.crowded()
        self._per_business[business_id] += 1
        try:
            yield
        finally:
            self._per_business[business_id] -= 1
            if not self._per_business[business_id]:
                del self._per_business[business_id]


async def _apply(app: http.Application, command: Command) -> Answer:
    clock, ids = app[keys.CLOCK], app[keys.IDS]
    until, pause = clock.boot() + PATIENCE_SECONDS, FIRST_PAUSE_SECONDS
    with app[keys.PENDING_COMMANDS].one_of(command.business_id):
        while True:
            try:
                return await app[keys.COMMANDS].apply(command)
            except RowLockedError:
                if clock.boot() + pause > until:
                    raise
            await asyncio.sleep(pause * (0.5 + ids.fraction()))
            pause = min(pause * 2, MAX_PAUSE_SECONDS)


async def _rejection(request: http.Request, principal: Principal, command: Command, answer: Answer) -> ApiError:
    if answer.code == "id_reused":
        return errors.idempotency_conflict()
    if answer.code == "in_progress":
        return ApiError(409, "in_progress", Text(msgid("This call is in progress; send hang_up to end it.")))
    if answer.code != "not_found" and command.job_id is None:
        return await refused_in_state(request.app, command.business_id, command.run_id)
    if answer.code != "not_found":
        return errors.invalid_state()
    if command.job_id is not None and not answer.foreign:
        return await job_not_found(request, principal, command.job_id)
    return await run_not_found(request, principal, command.run_id)
