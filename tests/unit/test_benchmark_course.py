"""Benchmarks run one after the other: one that fails, hangs or is interrupted leaves nothing behind, and the others go on."""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.__main__ import BENCHMARKS
from benchmarks.whole import course
from benchmarks.whole.sizes import LARGE, SMALL, USUAL_SECONDS, Form, add_flags, chosen

WELL = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('{\"figure\": 1}')"
FAILING = "import sys; sys.exit(3)"
# Starts a process, makes a directory, says where both are, and never ends.
HANGING = """
import pathlib, subprocess, sys, tempfile, time
below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[2]).write_text(f"{below.pid} {tempfile.mkdtemp()}")
print("hangs", flush=True)
time.sleep(600)
"""
COURSE = """
import sys
from pathlib import Path
from rich.console import Console
from benchmarks.__main__ import BENCHMARKS
from benchmarks.whole import course
from benchmarks.whole.sizes import LARGE, SMALL, USUAL_SECONDS, Form, add_flags, chosen
results, note, *scripts = sys.argv[1:]
commands = {str(n): [sys.executable, "-c", one, f"{results}/{n}.json", note] for n, one in enumerate(scripts)}
done = course.run(Console(stderr=True), dict.fromkeys(commands, 1.0), commands.get, Path(results))
print(done.interrupted, done.failed, list(done.results))
"""


def left_behind(note: Path) -> bool:
    """Whether the process or the directory of HANGING is still there."""
    pid, folder = note.read_text().split()
    return Path(folder).exists() or not ended(int(pid))


def ended(pid: int) -> bool:
    """Whether it has ended, or does within some seconds: a kill takes a moment."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return select.select([descriptor], [], [], 10)[0] == [descriptor]
    finally:
        os.close(descriptor)


def test_one_that_fails_and_one_that_hangs_stop_no_other(tmp_path: Path) -> None:
    scripts = {"fails": FAILING, "hangs": HANGING, "works": WELL}
    (tmp_path / "fails.json").write_text("an earlier result")
    note, output = tmp_path / "note", StringIO()

    def command(name: str) -> list[str]:
        return [sys.executable, "-c", scripts[name], str(tmp_path / f"{name}.json"), str(note)]

    done = course.run(Console(file=output, width=120), dict.fromkeys(scripts, 10.0), command, tmp_path, longest=2)
    assert done.failed == {"fails": "ended with 3", "hangs": "stopped after 2 s"}
    assert done.results == {"works": {"figure": 1}}
    assert set(done.seconds) == set(scripts)
    assert not done.interrupted
    assert not left_behind(note)
    assert not (tmp_path / "fails.json").exists()
    assert "3 of 3: works, usually 10 s, 33% of all" in output.getvalue()


def test_ctrl_c_ends_all_and_keeps_what_was_measured(tmp_path: Path) -> None:
    note = tmp_path / "note"
    command = [sys.executable, "-c", COURSE, str(tmp_path), str(note), WELL, HANGING, WELL]
    with subprocess.Popen(command, cwd=course.ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "hangs\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "True {'1': 'interrupted'} ['0']\n"
    assert json.loads((tmp_path / "0.json").read_text()) == {"figure": 1}
    assert not left_behind(note)


@pytest.mark.parametrize(
    ("given", "form", "past", "sizes"),
    [
        ("", "small", SMALL.past, SMALL.sizes),
        ("--large", "large", LARGE.past, LARGE.sizes),
        ("--sizes 10 20", "own", SMALL.past, (10, 20)),
        ("--large --past 5", "own", 5, LARGE.sizes),
    ],
)
def test_sizes_are_small_large_or_given(given: str, form: Form, past: int, sizes: tuple[int, ...]) -> None:
    flags = argparse.ArgumentParser()
    add_flags(flags)
    found, chosen_sizes = chosen(flags.parse_args(given.split()))
    assert (found, chosen_sizes.past, chosen_sizes.sizes) == (form, past, sizes)


def test_all_together_are_to_take_ten_minutes() -> None:
    assert list(USUAL_SECONDS) == list(BENCHMARKS)
    assert 9 * 60 <= sum(USUAL_SECONDS.values()) <= 15 * 60
