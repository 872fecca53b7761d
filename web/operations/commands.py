"""Gives a command: decided in PostgreSQL first; the owner of the business is notified afterwards, and nobody waits for that.

Cancel and stop need neither Redis nor a worker: what holds is in PostgreSQL when `submit` returns, the notice to the owner is a hint.
A run whose row is locked is tried again with growing pauses, without a connection in between.

On the road of a call: 1, the button, whether pressed on a page or over the API. The owner of the business gets a hint.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web as http

from dialer.messages import Command, CommandType, RunChanged
from dialer.model import Role
from sql.errors import RowLockedError
from web.access.auth import principal
from web.server import errors, keys
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sql.commands.commands import Answer
    from web.access.auth import Principal

MAX_KEY_CHARACTERS: Final = 255
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
# A try waits a moment for the row (sql/commands/queries.sql), and holds a connection only so long; between two tries it holds none.
PATIENCE_SECONDS: Final = 6.0
FIRST_PAUSE_SECONDS: Final = 0.02
MAX_PAUSE_SECONDS: Final = 0.5
# Commands of one business that wait for a locked run; more are refused at once.
MAX_PENDING_PER_BUSINESS: Final = 32

log = logging.getLogger(__name__)


def request_id(request: http.Request) -> str:
    """The id of what this request asks: the same for the same Idempotency-Key, method and path, else new.

    Raises:
        ApiError: 422, when the key is not 1 to 255 printable characters.
    """
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return f"http:{request.app[keys.IDS].uuid()}"
    if not 0 < len(key) <= MAX_KEY_CHARACTERS or not key.isprintable():
        why = Text(msgid("must have 1 to {most} printable characters"), {"most": MAX_KEY_CHARACTERS})
        raise errors.wrong_field(name=IDEMPOTENCY_KEY, why=why)
    asked = f"{request.method}|{request.path}|{key}"
    return f"http:{hashlib.sha256(asked.encode(errors='replace')).hexdigest()}"


async def submit(
    request: http.Request, kind: CommandType, run_id: int, *, job_id: int | None = None, hang_up: bool = False, wait: bool = False
) -> Answer:
    """Apply a command of who asks, being at least an operator, and notify the owner; `wait` is part of what is asked, and done by others.

    Raises:
        ApiError: 401, 403, 404, 409 or 503.
    """
    who = principal(request, Role.OPERATOR)
    command = Command(who.business_id, request_id(request), kind, run_id, job_id, hang_up, who.actor, wait=wait)
    answer = await _apply(request, command)
    request.app[keys.METRICS].commands.labels(kind, answer.code or "accepted").inc()
    request.app[keys.RELAY].kick()
    if not answer.accepted:
        await _refuse(request, who, command, answer)
    if answer.partition is not None:
        request.app[keys.OWNER_HINTS].send(answer.partition, RunChanged(who.business_id, run_id, kind, job_id, hang_up))
    return answer


async def reply(request: http.Request, answer: Answer, tell: Callable[[], Awaitable[dict[str, Any]]]) -> http.Response:
    """Answer a command with what `tell` says; a repeat with the same Idempotency-Key gets the first answer again, to the letter."""
    shown = answer.shown
    if shown is None:
        shown = await tell()
        if IDEMPOTENCY_KEY in request.headers:
            await request.app[keys.COMMANDS].remember(principal(request).business_id, request_id(request), shown)
    return canonical_json(shown)


def canonical_json(shown: dict[str, Any], status: int = 200) -> http.Response:
    """What may come from PostgreSQL's jsonb, which keeps no order, in an order of its own."""
    return http.json_response(text=json.dumps(shown, sort_keys=True), status=status)


async def missing_run(request: http.Request, who: Principal, run_id: int) -> ApiError:
    """What to say of a run that is not there; if another business has it, the security log is told."""
    other = await request.app[keys.RUNS].foreign(who.business_id, run_id)
    if other is not None:
        warn_foreign(who, "run", run_id, other)
    return errors.not_found()


async def missing_job(request: http.Request, who: Principal, job_id: int) -> ApiError:
    """What to say of a job that is not there; if another business has it, the security log is told."""
    other = await request.app[keys.JOBS].foreign(who.business_id, job_id)
    if other is not None:
        warn_foreign(who, "job", job_id, other)
    return errors.not_found()


def warn_foreign(who: Principal, kind: str, number: int, other: int) -> None:
    """Write down that somebody named what is another business's."""
    log.warning("[SECURITY] %s of business %d asked for %s %d of business %d", who.actor, who.business_id, kind, number, other)


class PendingCommands:
    """Counts the commands of each business that are being decided."""

    def __init__(self) -> None:
        self._per_business: Counter[int] = Counter()

    @contextmanager
    def one_of(self, business_id: int) -> Iterator[None]:
        """One more command of this business.

        Raises:
            ApiError: 503, when there are 32 already.
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


async def _apply(request: http.Request, command: Command) -> Answer:
    clock, ids = request.app[keys.CLOCK], request.app[keys.IDS]
    until, pause = clock.boot() + PATIENCE_SECONDS, FIRST_PAUSE_SECONDS
    with request.app[keys.PENDING_COMMANDS].one_of(command.business_id):
        while True:
            try:
                return await request.app[keys.COMMANDS].apply(command)
            except RowLockedError:
                if clock.boot() + pause > until:
                    raise
            await asyncio.sleep(pause * (0.5 + ids.fraction()))
            pause = min(pause * 2, MAX_PAUSE_SECONDS)


async def _refuse(request: http.Request, who: Principal, command: Command, answer: Answer) -> None:
    if answer.code == "id_reused":
        raise errors.idempotency_conflict()
    if answer.code == "in_progress":
        raise ApiError(409, "in_progress", Text(msgid("This call is on the line; ask for hang_up to end it.")))
    if answer.code != "not_found":
        raise errors.invalid_state()
    if command.job_id is not None and not answer.foreign:
        raise await missing_job(request, who, command.job_id)
    raise await missing_run(request, who, command.run_id)
