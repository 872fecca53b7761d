"""Plays many seeds, on several processes, and collects what went wrong."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import TYPE_CHECKING

from tests.simulation.schedule_runner import Report, play

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS_AT_ONCE = 50


@dataclass(slots=True)
class Summary:
    """All schedules so far; times in seconds of the schedules."""

    schedules: int = 0
    calls: int = 0
    seconds: float = 0.0
    excess: int = 0
    failures: list[Report] = field(default_factory=list)

    def add(self, report: Report) -> None:
        """Count one more."""
        self.schedules += 1
        self.calls += report.calls
        self.seconds += report.seconds
        self.excess += report.excess
        if report.violation:
            self.failures.append(report)


def campaign(seed: int, count: int, processes: int = 0) -> Iterator[Summary]:
    """Play `count` seeds from `seed` on; yield the summary after each portion."""
    summary = Summary()
    portions = [(first, min(SEEDS_AT_ONCE, seed + count - first)) for first in range(seed, seed + count, SEEDS_AT_ONCE)]
    if len(portions) == 1:
        _add(summary, _portion(portions[0]))
        yield summary
        return
    with ProcessPoolExecutor(processes or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for reports in pool.map(_portion, portions):
            _add(summary, reports)
            yield summary


def _portion(seeds: tuple[int, int]) -> list[Report]:
    first, count = seeds
    return [play(seed) for seed in range(first, first + count)]


def _add(summary: Summary, reports: list[Report]) -> None:
    for report in reports:
        summary.add(report)
