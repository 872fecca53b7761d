"""The errors that end a command, with their exit codes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FAILED = 1
MISUSED = 2  # as argparse does
INTERRUPTED = 130  # as the shell does: 128 + SIGINT


class CommandError(Exception):
    """A command failed; the message is for the person at the terminal, `exit_code` for the shell."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class OptionError(CommandError):
    """An option has an invalid value; the message begins with its name."""

    def __init__(self, *, option: str, problem: str) -> None:
        super().__init__(f"{option}: {problem}", MISUSED)


@asynccontextmanager
async def single() -> AsyncIterator[None]:
    """Around a task group: raise the first CommandError of its error group, or the only error, instead of the group."""
    try:
        yield
    except BaseExceptionGroup as group:
        errors = _leaves(group)
        chosen = [error for error in errors if isinstance(error, CommandError)][:1] or errors
        if len(chosen) > 1:
            raise
        raise chosen[0] from None


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
