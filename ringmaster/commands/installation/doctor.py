"""`python -m dialer doctor`: checks the installation, a line a check, each finding with its remedy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dialer.clock import SystemClock
from ringmaster.doctor.examination import examine
from ringmaster.doctor.finding import Status
from ringmaster.errors import FAILED

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

    from ringmaster.doctor.finding import Finding


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to argparse."""
    about = "Check settings, servers, provider, workers and what is stored. Changes nothing. Exit code 1 when a check fails, else 0."
    command = commands.add_parser("doctor", help="what is wrong here, and what to do about it", description=about)
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(run=run)


async def run(options: Namespace) -> int:
    """Run the command; exit code 1 when a check fails."""
    found: list[Finding] = []
    async for finding in examine(SystemClock()):
        found.append(finding)
        if not options.json:
            print(f"{finding.status:<5}{finding.name}: {finding.detail}" + (f"\n     remedy: {finding.remedy}" if finding.remedy else ""))
    fit = all(finding.status is not Status.FAIL for finding in found)
    if options.json:
        print(json.dumps({"ok": fit, "checks": [finding.public() for finding in found]}, ensure_ascii=False))
    return 0 if fit else FAILED
