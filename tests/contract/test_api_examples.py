"""Every example of docs/api.md, run as it stands there, against a running web process."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.test_web_tables import workbook

if TYPE_CHECKING:
    from tests.web_site import Site

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
# The heading of a section, the run that it needs, or a block of code; the first word after the fence is its language.
PART = re.compile(
    r"^## (?P<heading>[^\n]+)$|^<!-- run: (?P<run>\w+) -->$|^```(?P<language>\w+)(?: file=(?P<file>\S+))?\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
PROGRAMS = {"sh": ("bash", "-euo", "pipefail"), "python": (sys.executable,), "js": ("node",)}
SUFFIXES = {"sh": "sh", "python": "py", "js": "mjs"}
CSV = "lead_id,phone,name,city\n1,0521234567,דנה,חיפה\n2,0521234568,Noa,Eilat\n"
EXAMPLE_SECONDS = 60


@dataclass(frozen=True)
class Example:
    """A block of code under `heading`, for a run in the state `run`; with `file` it is what the others import."""

    heading: str
    run: str
    language: str
    file: str
    code: str


def examples() -> list[Example]:
    found, heading, run = [], "", ""
    for part in PART.finditer(PAGE.read_text(encoding="utf-8")):
        if part["heading"]:
            heading, run = part["heading"], ""
        elif part["run"]:
            run = part["run"]
        else:
            found.append(Example(heading, run, part["language"], part["file"] or "", part["code"]))
    return found


async def run_in(state: str, site: Site) -> int:
    """A run in this state."""
    run_id = await site.load(3, start=state != "pending")
    if state == "ended":
        await site.post("/api/outbound/stop-queue", {"run_id": run_id})
    return run_id


async def ran(example: Example, folder: Path, site: Site) -> str:
    """Run it; return what went wrong, or an empty text."""
    file = folder / f"example.{SUFFIXES[example.language]}"
    file.write_text(example.code, encoding="utf-8")
    url = str(site.client.make_url("")).rstrip("/")
    run_id = await run_in(example.run, site) if example.run else 0
    process = await asyncio.create_subprocess_exec(
        *PROGRAMS[example.language],
        str(file),
        cwd=folder,
        env={**os.environ, "RINGMASTER_URL": url, "RINGMASTER_TOKEN": "admin", "RUN_ID": str(run_id)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(EXAMPLE_SECONDS):
        printed, errors = await process.communicate()
    if process.returncode or (not printed and "print" in example.code):
        return f"{example.heading}, {example.language}: {process.returncode} {printed.decode()} {errors.decode()}"
    return ""


def test_every_section_shows_all_three_languages() -> None:
    shown = {(example.heading, example.language) for example in examples() if not example.file}
    assert len(shown) >= 30
    assert shown == {(heading, language) for heading, _ in shown for language in PROGRAMS}


@pytest.mark.parametrize("language", PROGRAMS)
async def test_the_examples_work(site: Site, tmp_path: Path, language: str) -> None:
    if shutil.which(PROGRAMS[language][0]) is None or (language == "sh" and shutil.which("curl") is None):
        pytest.skip(f"{'curl' if language == 'sh' else PROGRAMS[language][0]} is not there")
    (tmp_path / "leads.csv").write_text(CSV, encoding="utf-8")
    (tmp_path / "leads.xlsx").write_bytes(workbook([["טלפון", "שם"], [521234569, "דנה"]]))
    mine = [example for example in examples() if example.language == language]
    for example in mine:
        if example.file:
            (tmp_path / example.file).write_text(example.code, encoding="utf-8")
    faults = [await ran(example, tmp_path, site) for example in mine if not example.file]
    assert [fault for fault in faults if fault] == []
