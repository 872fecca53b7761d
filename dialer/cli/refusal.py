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
async def first_refusal() -> AsyncIterator[None]:
    """Around a task group: of its tasks' errors raise the first that is a refusal, as it is; any others pass in their group."""
    try:
        yield
    except BaseExceptionGroup as group:
        refusals = _leaves(group.subgroup(RefusalError))
        if not refusals or group.subgroup(lambda error: not isinstance(error, RefusalError | BaseExceptionGroup)):
            raise
        raise refusals[0] from None


def _leaves(group: BaseExceptionGroup[RefusalError] | None) -> list[RefusalError]:
    found: list[RefusalError] = []
    for error in group.exceptions if group else ():
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
