"""Counts the facts that a process records, by what they did, and the states that attempts enter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sql.attempts.verdicts import RecordVerdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialer.watch.process_metrics import ProcessMetrics
    from sql.attempts.attempts import Fact, RecordResult


def counting(metrics: ProcessMetrics) -> Callable[[Fact, RecordResult], None]:
    """A function that counts a fact with its result."""

    def count(fact: Fact, result: RecordResult) -> None:
        metrics.count_fact(result.verdict, fact.state, fact.outcome, applied=result.verdict is RecordVerdict.APPLIED)

    return count
