"""The network to a server: requests and replies may be late or lost, never duplicated; the server is a process of its own.

A statement that was sent is executed whether or not its sender is still alive, is frozen, or receives the reply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tests.simulation.loop import VirtualLoop
    from tests.simulation.randomness import SeededRandom

QUICK_SECONDS = 0.004
SLOW_SECONDS = 1.8


class Link:
    """Sends requests to one server, as long as it is there."""

    def __init__(self, loop: VirtualLoop, chance: SeededRandom, away: Callable[[], Exception]) -> None:
        self.loop = loop
        self.chance = chance
        self._away = away
        # Called after each statement that was carried out.
        self.after: Callable[[], None] = lambda: None
        self.is_away = False
        self.lost = 0.0
        self.reply_lost = 0.0
        self.slow = 0.0

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self.is_away, self.lost, self.reply_lost, self.slow = False, 0.0, 0.0, 0.0

    async def ask(self, statement: Callable[[], Any]) -> Any:  # noqa: ANN401 what the statement answers
        """Have the server carry out `statement`; return its answer.

        Raises:
            the error of a server that is away: when the statement never arrived, or when its answer was lost.
        """
        chance, loop = self.chance, self.loop
        seconds = chance.random() * (SLOW_SECONDS if chance.hits(self.slow) else QUICK_SECONDS)
        answered = loop.create_future()
        arrives = not (self.is_away or chance.hits(self.lost))
        returns = arrives and not chance.hits(self.reply_lost)

        def serve() -> None:
            result, error = None, None
            if arrives:
                try:
                    result = statement()
                except StatementError as refused:
                    error = refused.error
                self.after()
            # What the answer says was true when the statement ran; much may have happened when it arrives.
            loop.call_later(seconds - there, _deliver, answered, result, error if returns else self._away(), context=loop.outside)

        there = seconds * chance.random()
        loop.call_later(there, serve, context=loop.outside)
        return await answered


def _deliver(answered: asyncio.Future[Any], result: Any, error: Exception | None) -> None:  # noqa: ANN401 what the statement answers
    if answered.done():
        return
    if error is not None:
        answered.set_exception(error)
    else:
        answered.set_result(result)


class StatementError(Exception):
    """The server answers with this error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
