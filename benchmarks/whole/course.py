"""Runs the benchmarks one after the other, each in a process and a directory of its own: one that fails or hangs stops no other.

Whatever a benchmark starts and does not end is ended with it, and its directory is removed, also after Ctrl-C.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from ringmaster.local.process import LAUNCHER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.console import Console

ROOT: Final = Path(__file__).parents[2]
# So long may a benchmark with small sizes take; on a machine that others use it may be far from its usual time.
LONGEST_SECONDS: Final = 900.0
LONGEST_LARGE_SECONDS: Final = 3_600.0
INTERRUPTED: Final = "interrupted"
INTERRUPTED_CODE: Final = 128 + signal.SIGINT
END_SECONDS: Final = 40.0  # servers and processes are stopped in order


@dataclass(frozen=True, slots=True)
class Course:
    """The outcome of all: results and seconds by benchmark, what became of those without results, and whether it was interrupted."""

    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def interrupted(self) -> bool:
        """Whether someone stopped it."""
        return INTERRUPTED in self.failed.values()


def run(
    console: Console,
    usual: Mapping[str, float],
    command_of: Callable[[str], Sequence[str]],
    results: Path,
    longest: float = LONGEST_SECONDS,
) -> Course:
    """Run the benchmarks of `usual`, which says how many seconds each usually takes (0: not known), by the commands of `command_of`.

    Each writes `NAME.json` into `results`. One may take `longest` seconds.
    """
    course, whole = Course(), sum(usual.values())
    for number, (name, seconds) in enumerate(usual.items(), start=1):
        share = f", usually {seconds:.0f} s, {seconds / whole:.0%} of all" if seconds else ""
        console.rule(f"{number} of {len(usual)}: {name}{share}; {sum(course.seconds.values()):.0f} s so far")
        result = results / f"{name}.json"
        result.unlink(missing_ok=True)
        began = time.monotonic()
        try:
            problem = _alone(command_of(name), longest)
        except KeyboardInterrupt:
            problem = INTERRUPTED
        course.seconds[name] = time.monotonic() - began
        if problem:
            course.failed[name] = problem
            console.print(f"{name}: {problem}")
        else:
            course.results[name] = json.loads(result.read_text(encoding="utf-8"))
        if course.interrupted:
            break
    return course


def _alone(command: Sequence[str], longest: float) -> str:
    """Run one to its end; return what went wrong, if anything did.

    Raises:
        KeyboardInterrupt: when we were interrupted; it has ended then.
    """
    with TemporaryDirectory(prefix="ringmaster-bench-") as folder:
        # In a session of its own: Ctrl-C reaches us only, and we tell it once. The kernel tells it when we are killed.
        launched = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(signal.SIGINT)), "-", *command]
        process = subprocess.Popen(launched, cwd=ROOT, env={**os.environ, "TMPDIR": folder}, start_new_session=True)
        try:
            code = process.wait(longest)
        except subprocess.TimeoutExpired:
            return f"stopped after {longest:.0f} s"
        finally:
            _end(process)
    return f"ended with {code}" if code else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it if it still runs, in order if it can, and what it has left behind in any case."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):  # a second Ctrl-C ends it at once
            process.wait(END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
