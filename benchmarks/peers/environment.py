"""The Python environments of the peers, beside ours: their packages are not ours."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.machine import MissingError

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NAMES = ("python3.13", "python3.12")
LOCKED = re.compile(r"^([a-z-]+)(?:\[.*\])?==(\S+)", re.MULTILINE)
STARTS = "import sys, venv; sys.exit(sys.version_info < (3, 12))"


def python_of(requirements: str) -> Path:
    """The Python of the environment with the packages of `requirements`, a name of a lock here; make it where it is missing or outdated.

    Raises:
        MissingError: when no Python 3.12 or newer is found; oban asks for it.
    """
    lock = HERE / f"{requirements}.txt"
    folder = ROOT / ".venv" / f"peers-{requirements}"
    python, stamp = folder / "bin" / "python", folder / lock.name
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        interpreter = _interpreter()
        print(f"Installing the locked packages of {lock.name} for other queues (minutes, once)", flush=True)
        subprocess.run([interpreter, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--quiet", "--require-hashes", "-r", lock], check=True)
        shutil.copy(lock, stamp)
    return python


def versions(requirements: str) -> dict[str, str]:
    """Of that environment: the version of Python, and of each locked package by its name."""
    interpreter = subprocess.run([python_of(requirements), "--version"], check=True, capture_output=True, text=True).stdout.split()[-1]
    return {"python": interpreter, **dict(LOCKED.findall((HERE / f"{requirements}.txt").read_text()))}


def _interpreter() -> str:
    """The first that really starts: a version manager offers names of versions that are not chosen."""
    installed = sorted(Path.home().glob(".pyenv/versions/3.1[2-9].*/bin/python"), reverse=True)
    for name in (*NAMES, *map(str, installed)):
        path = shutil.which(name)
        if path and subprocess.run([path, "-c", STARTS], check=False, capture_output=True).returncode == 0:
            return path
    message = "the peers need Python 3.12 or newer with the venv module; none was found as python3.13 or python3.12. "
    message += "Install one (pyenv install 3.12), or name the other benchmarks in ARGS"
    raise MissingError(message)
