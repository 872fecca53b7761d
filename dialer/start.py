"""Starts a process: reads its settings, sets up its log, and reports a failure in one line."""

from __future__ import annotations

import gc
import logging
import sys
from typing import TYPE_CHECKING

from dialer import config, log
from dialer.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialer.config import Settings

# A thread that computes, such as an import, keeps the loop waiting for so long at each of the loop's turns; Python's default is 5 ms.
SWITCH_SECONDS = 0.0005
FAILED = 1
MISUSED = 2


class CannotStartError(Exception):
    """A service this process needs is unavailable or refuses; the message is one line that says what to do."""


def run(work: Callable[[Settings], int], required: tuple[str, ...]) -> int:
    """Run `work` with the settings; return the exit code: 2 when the settings are wrong, 1 when it cannot start."""
    try:
        settings = config.load(*required)
    except ConfigError as fault:
        sys.stderr.write(f"{fault}\n")
        return MISUSED
    log.configure(settings)
    logger = logging.getLogger("dialer.start")
    for line in config.unknown():
        logger.warning(line)
    _shorten_pauses()
    try:
        return work(settings)
    except ConfigError as fault:
        sys.stderr.write(f"{fault}\n")
        return MISUSED
    except CannotStartError as fault:
        logger.error("cannot start: %s", fault)  # noqa: TRY400 - the message is enough
        return FAILED


def _shorten_pauses() -> None:
    """Keep the loop from standing still: the objects of the modules live for ever, so no full collection looks at them again."""
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)
