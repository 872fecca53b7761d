"""What a process that reads a file may use, and how it ends."""

from __future__ import annotations

import resource
from enum import IntEnum
from typing import Final

MEGABYTE: Final = 1024 * 1024
MEMORY_BYTES: Final = 512 * MEGABYTE
CPU_SECONDS: Final = 60
# Of each file that it writes.
OUTPUT_BYTES: Final = 256 * MEGABYTE
# Pages and callbacks come first where processors are few.
NICENESS: Final = 5


class ReadResult(IntEnum):
    """How it ended."""

    READ = 0
    UNREADABLE = 3
    TOO_LARGE = 4
    PASSWORD = 5
    # Whoever wants the rows is not there any more.
    UNWANTED = 6


def limit_this_process() -> None:
    """Take the limits; one that reaches them dies, or gets a MemoryError or an OSError."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT_BYTES, OUTPUT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
