"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from ringmaster.local import postgres, valkey

PACKAGES = ("aiohttp", "asyncpg", "redis", "twilio", "uvloop")
CPU_INFO = Path("/proc/cpuinfo")
GIGABYTE = 1 << 30


class MissingError(Exception):
    """Something that a benchmark needs is not on this machine; the message says what to install."""


def describe() -> dict[str, Any]:
    """Cores, processor, memory in GiB, and the versions of Python, the servers, the packages on the path of a call, and ours."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / GIGABYTE),
        "load_before": round(os.getloadavg()[0], 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "servers": [_first_line(postgres.program("postgres"), "--version"), _first_line(valkey.program(), "--version")],
        "packages": {name: version(name) for name in PACKAGES},
        "commit": _first_line("git", "rev-parse", "--short", "HEAD"),
    }


def _processor() -> str:
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def _first_line(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split("\n")[0]
