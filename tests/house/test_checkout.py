"""The checkout: the locks are complete, no package registry is named, the Procfile keeps its contract."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

LOCKS = ("requirements.txt", "requirements-local.txt", "requirements-otel.txt", "requirements-dev.txt")
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z,]+\])?==(\S+)(?: ; [^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")
# In pieces, so that this file does not name them.
REGISTRIES = [
    r"pypi\s*\.org",
    r"python" + r"hosted\.org",
    r"registry\.npm" + r"js\.org",
    r"--(?:extra-)?index" + r"-url",
    r"--find" + r"-links",
]


def locked(path: Path) -> dict[str, str]:
    """The packages of a lock and their versions; every line must be one of a pin, a hash, a comment."""
    pins: dict[str, str] = {}
    hashes: dict[str, int] = {}
    name = ""
    for line in path.read_text().splitlines():
        if pin := PIN.match(line):
            name = pin[1]
            pins[name], hashes[name] = pin[2], 0
        elif HASH.match(line):
            hashes[name] += 1
        else:
            assert line.lstrip().startswith("#"), f"{path.name}: {line}"
    assert [name for name, count in hashes.items() if count == 0] == []
    return pins


def test_each_lock_is_hashed_and_includes_the_one_before(root: Path) -> None:
    run, local, traces, dev = (locked(root / name) for name in LOCKS)
    assert run.items() < local.items() < dev.items()
    assert run.items() < traces.items() < dev.items()


def test_direct_dependencies_are_locked_and_explained(root: Path) -> None:
    explained = (root / "docs" / "dependencies.md").read_text()
    for lock in LOCKS:
        requested = (root / lock.replace(".txt", ".in")).read_text().splitlines()
        names = {line.split("[")[0] for line in requested if line and line[0].isalpha()}
        assert names <= locked(root / lock).keys()
        assert {name for name in names if f"| {name}" not in explained} == set()


def test_no_package_registry_is_named(root: Path) -> None:
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        pytest.skip("not a git checkout: its files cannot be told from others")
    tracked = subprocess.run([git, "ls-files", "-z"], cwd=root, capture_output=True, check=True, text=True).stdout.split("\0")
    files = [root / name for name in tracked if name and (root / name).is_file()]
    naming = re.compile("|".join(REGISTRIES).encode())
    assert [str(file) for file in files if naming.search(file.read_bytes())] == []


def test_the_procfile_keeps_its_contract(root: Path) -> None:
    lines = (root / "Procfile").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "release: python -m sql migrate",
        "web: python -m web",
        "worker: python -m actors",
    ]


def test_every_exception_to_the_checks_has_its_reason(root: Path) -> None:
    lines = (root / "pyproject.toml").read_text().splitlines()
    bare = [line for line in lines if re.match(r'\s+"[A-Z]+[0-9]*",\s*$', line)]
    assert bare == []
    assert tomllib.loads("\n".join(lines))["tool"]["ruff"]["lint"]["select"] == ["ALL"]
