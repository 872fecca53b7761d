"""How a process begins: its settings are read, its log is set up, and what stops it is one line."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from dialer import config, log
from dialer.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialer.config import Settings

FAILED = 1
MISUSED = 2


class CannotStartError(Exception):
    """Something this process needs is not there or refuses; the message is one line that says what to do."""


def run(work: Callable[[Settings], int], required: tuple[str, ...]) -> int:
    """Do the work of a process with its settings; give its exit code: 2 when they are wrong, 1 when it cannot start."""
    try:
        settings = config.load(*required)
    except ConfigError as fault:
        sys.stderr.write(f"{fault}\n")
        return MISUSED
    log.configure(settings)
    logger = logging.getLogger("dialer.start")
    for line in config.unknown():
        logger.warning(line)
    try:
        return work(settings)
    except ConfigError as fault:
        sys.stderr.write(f"{fault}\n")
        return MISUSED
    except CannotStartError as fault:
        logger.error("cannot start: %s", fault)  # noqa: TRY400 the message says it all
        return FAILED
