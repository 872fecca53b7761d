"""Reads what this process logs."""

from __future__ import annotations

import io
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from dialer import log
from dialer.config import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def logged(kind: str = "json") -> Iterator[io.StringIO]:
    """What is logged in a block, in the format of LOG_FORMAT."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    log.configure(Settings(LOG_FORMAT=kind, LOG_LEVEL="DEBUG"), stream)
    yield stream
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()
