"""A call drawn to scale: placing, ringing, talking, with a pin for each callback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH: Final = 1000
# A part of a call begins at one of these columns, and ends where the next one that is known begins.
STAGES: Final = (("created_at", "placing"), ("placed_at", "placed"), ("ringing_at", "ringing"), ("answered_at", "live"))


class Stretch(NamedTuple):
    """A part of the call in thousandths of its length."""

    stage: str
    start: int
    width: int


@dataclass(frozen=True, slots=True)
class Track:
    """The parts of a call, and where its callbacks arrived; `seconds` is its length."""

    stretches: list[Stretch]
    pins: list[int]
    seconds: float


def track_of(attempt: Mapping[str, Any]) -> Track | None:
    """The track of a call that has ended; None before, and for one that was never placed."""
    begin, end = attempt["created_at"], attempt["ended_at"]
    if end is None or attempt["placed_at"] is None or end <= begin:
        return None
    received = [callback["received_at"] for callback in attempt["callbacks"]]
    last = max([end, *received])
    length = (last - begin).total_seconds()

    def place(at: Any) -> int:  # noqa: ANN401 - a datetime
        share: float = (at - begin).total_seconds() / length
        return min(max(round(share * WIDTH), 0), WIDTH)

    starts = sorted((place(attempt[column]), stage) for column, stage in STAGES if attempt[column] is not None)
    ends = [start for start, _ in starts[1:]] + [place(end)]
    stretches = [Stretch(stage, start, max(until - start, 0)) for (start, stage), until in zip(starts, ends, strict=True)]
    return Track(stretches, [place(at) for at in received], length)
