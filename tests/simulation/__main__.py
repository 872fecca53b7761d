"""`python -m tests.simulation --seed N --count M`: play schedules in virtual time, and say which broke a promise."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.campaign import campaign
from tests.simulation.schedule import draw

SHOWN_FAILURES = 20


def main() -> int:
    """Play; 0 when every promise was kept, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="The real worker in virtual time.")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--count", type=int, default=2000, help="how many seeds")
    parser.add_argument("--processes", type=int, default=0, help="0: one a core")
    asked = parser.parse_args()
    began = time.perf_counter()
    summary = None
    for summary in campaign(asked.seed, asked.count, asked.processes):
        per_minute = summary.schedules / max(time.perf_counter() - began, 1e-9) * 60
        print(
            f"\r{summary.schedules} of {asked.count} schedules, {per_minute:.0f} a minute, {len(summary.failures)} broke a promise", end=""
        )
    print()
    if summary is None:
        return 0
    print(f"{summary.calls} calls, {summary.seconds / 3600:.1f} hours of virtual time, {summary.excess} excess, where the lists were late")
    for report in summary.failures[:SHOWN_FAILURES]:
        print(f"seed {report.seed}: {report.violation}\n  again: make simulate SEED={report.seed} COUNT=1")
    if asked.count == 1:
        print(draw(asked.seed))
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
