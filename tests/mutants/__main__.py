"""`python -m tests.mutants`: inject one deliberate fault after the other, and print which layer of the tests catches it, and how soon."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from ringmaster.local.postgres import Postgres
from tests.mutants.faults import FAULTS, NO_FAULTS
from tests.mutants.layers import differential, simulation, tested

if TYPE_CHECKING:
    from tests.mutants.fault import Fault

HEADER = ("fault", "caught by", "after", "symptom")


def main() -> int:
    """Run every fault, and the healthy product; 0 when each fault was caught and the healthy product passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Deliberate faults, and what catches them.")
    parser.add_argument("--count", type=int, default=3000, help="schedules a fault may survive")
    parser.add_argument("names", nargs="*", help="only these")
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if not options.names or fault.name in options.names]
    print(f"{HEADER[0]:32} {HEADER[1]:14} {HEADER[2]:>16}  {HEADER[3]}")
    false_alarms = _run(list(NO_FAULTS), options.count)
    caught = _run(chosen, options.count)
    print(
        f"{caught} of {len(chosen)} faults caught"
        + (", and the healthy product failed too: the table proves nothing" if false_alarms else "")
    )
    return 0 if caught == len(chosen) and not false_alarms else 1


def _run(chosen: list[Fault], count: int) -> int:
    return _run_simulation(chosen, count) + _run_tests(chosen) + asyncio.run(_run_differential(chosen))


def _print(fault: Fault, line: tuple[str, str, str]) -> int:
    layer, after, symptom = line if line[0] else ("nothing", "", fault.what)
    print(f"{fault.name:32} {layer:14} {after:>16}  {symptom}", flush=True)
    return int(bool(line[0]))


def _run_simulation(chosen: list[Fault], count: int) -> int:
    faults = [fault for fault in chosen if fault.sql is None and not fault.test]
    names = [fault.name for fault in faults]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        lines = pool.map(simulation, names, [count] * len(names))
        return sum(_print(fault, line) for fault, line in zip(faults, lines, strict=True))


def _run_tests(chosen: list[Fault]) -> int:
    faults = [fault for fault in chosen if fault.test]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        lines = pool.map(tested, [fault.name for fault in faults])
        return sum(_print(fault, line) for fault, line in zip(faults, lines, strict=True))


async def _run_differential(chosen: list[Fault]) -> int:
    faults = [fault for fault in chosen if fault.sql is not None and not fault.test]
    if not faults:
        return 0
    with tempfile.TemporaryDirectory(prefix="ringmaster-mutants-") as path:
        server = Postgres(Path(path) / "postgres", fast=True)
        await server.start()
        try:
            return sum([_print(fault, await asyncio.to_thread(differential, fault, server.url)) for fault in faults])
        finally:
            await server.stop()


if __name__ == "__main__":
    sys.exit(main())
