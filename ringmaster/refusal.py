"""How a command says no.

Beside the road of a call.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FAILED = 1
MISUSED = 2  # as argparse has it
INTERRUPTED = 130  # as the shell has it: 128 + SIGINT


class RefusalError(Exception):
    """A command cannot do what it was asked; the message is for the person at the terminal, `exit_code` for the shell."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class OptionError(RefusalError):
    """An option has a value that cannot be; the message begins with its name."""

    def __init__(self, *, option: str, problem: str) -> None:
        super().__init__(f"{option}: {problem}", MISUSED)


@asynccontextmanager
async def single() -> AsyncIterator[None]:
    """Around a task group: raise, instead of a group of errors, the first refusal among them or, without one, the only error there is."""
    try:
        yield
    except BaseExceptionGroup as group:
        errors = _leaves(group)
        chosen = [error for error in errors if isinstance(error, RefusalError)][:1] or errors
        if len(chosen) > 1:
            raise
        raise chosen[0] from None


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
