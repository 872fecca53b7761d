"""Notes when tokens were used, in the background: no request waits for it, and each token is written at most once a minute."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Self

from dialer.concurrency.loop import Loop
from dialer.concurrency.tasks import Tasks

if TYPE_CHECKING:
    from types import TracebackType

    from sql.tokens.tokens import Tokens

# Beyond this many a use is not noted: the next one will be.
MAX_WAITING: Final = 1_000
# Many uses become one statement.
REST_SECONDS: Final = 0.2
LAST_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class TokenUses:
    """A bounded set of tokens whose use is to be noted, and the task that does it."""

    def __init__(self, tokens: Tokens) -> None:
        """Use with `async with`."""
        self._tokens = tokens
        self._waiting: set[tuple[int, int]] = set()
        self._loop = Loop("uses of tokens", self._write, pause=None, rest_seconds=REST_SECONDS)
        self._tasks = Tasks()

    async def __aenter__(self) -> Self:
        """Start noting."""
        self._tasks.spawn(self._loop.run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop; uses that are not noted yet are lost."""
        self._loop.close()
        await self._tasks.finish(LAST_SECONDS)

    def note(self, business_id: int, token_id: int) -> None:
        """Note that a token is used now."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.add((business_id, token_id))
            self._loop.ring()

    async def _write(self) -> None:
        waiting, self._waiting = self._waiting, set()
        if not waiting:
            return
        try:
            await self._tokens.note_uses(waiting)
        except Exception:
            # The next use of each token tries again.
            log.exception("could not note the use of %d tokens", len(waiting))
