"""The spans of the facts that a process records about calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dialer.tracing.spans import Attributes, Span, SpanKind
from sql.attempts.verdicts import RecordVerdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from dialer.clock import Clock
    from dialer.tracing.spans import Spans
    from sql.attempts.attempts import Fact, RecordResult


def traced(count: Callable[[Fact, RecordResult], None], spans: Spans, clock: Clock) -> Callable[[Fact, RecordResult], None]:
    """`count`, and when spans are recorded a function that also adds one for each fact that changed something."""
    if not spans.enabled:
        return count

    def count_and_trace(fact: Fact, result: RecordResult) -> None:
        count(fact, result)
        now = clock.now()
        if result.verdict is not RecordVerdict.KNOWN and (span := recorded(result, now, now)):
            outcome = {"outcome": fact.outcome} if fact.outcome else {}
            spans.add(replace(span, attributes={**span.attributes, **outcome}))

    return count_and_trace


def recorded(result: RecordResult, began: datetime, ended: datetime, parent_id: int | None = None) -> Span | None:
    """The span of a fact that was recorded, below that of its call or below `parent_id`; None when it belongs to no attempt."""
    if result.run_id is None or result.job_id is None:
        return None
    return Span(
        f"record {result.state}",
        result.business_id,
        result.run_id,
        began,
        ended,
        SpanKind.INTERNAL,
        result.job_id,
        result.attempt_id,
        parent_id=parent_id,
        attributes=of_result(result),
    )


def of_result(result: RecordResult) -> Attributes:
    """What a span says of the result of recording a fact."""
    state = {} if result.state is None else {"state": str(result.state)}
    return {"verdict": str(result.verdict), **state, **({"sid": result.sid} if result.sid else {})}
