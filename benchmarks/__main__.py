"""`make bench`: runs the benchmarks, prints a table, writes benchmarks/results/."""

from __future__ import annotations

import asyncio
import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import queue

RULED_BUSINESSES, RULED_LEADS, HISTORY = 1_000, 50, 1_000_000
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run every benchmark once."""
    console = Console()
    console.print("the queue alone: 200 businesses with 100 leads each, fsync on ...")
    figures = asyncio.run(queue.measure())
    table = Table("figure", "value", title="The queue alone")
    table.add_row("calls claimed and recorded a second", f"{figures.calls_a_second:,.0f}")
    table.add_row("WAL bytes a call", f"{figures.wal_bytes_a_call:,.0f}")
    table.add_row("most calls at once of one business", str(figures.most_at_once))
    table.add_row("a claim, p50 / p99", f"{figures.claim_p50_ms:.1f} / {figures.claim_p99_ms:.1f} ms")
    console.print(f"without rules, then with all rules of calling on: {RULED_BUSINESSES:,} businesses, {HISTORY:,} phones of history ...")
    free, ruled = (asyncio.run(queue.measure(RULED_BUSINESSES, RULED_LEADS, history=n)) for n in (0, HISTORY))
    table.add_row("1,000 businesses, without rules, calls a second", f"{free.calls_a_second:,.0f}")
    table.add_row("the same with all rules", f"{ruled.calls_a_second:,.0f}, {ruled.calls_a_second / free.calls_a_second:.0%}")
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    content = {
        "at": datetime.now(UTC).isoformat(),
        "machine": machine,
        "queue": {**asdict(figures), "calls_a_second": figures.calls_a_second},
        "without_rules": {**asdict(free), "calls_a_second": free.calls_a_second},
        "with_rules": {**asdict(ruled), "calls_a_second": ruled.calls_a_second},
    }
    (RESULTS / "queue.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
