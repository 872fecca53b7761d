"""What people do to the runs of a schedule while it goes on: starts at a time, other settings, more leads, operations on many leads."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulation.randomness import SeededRandom

SHARE_WITH_CHANGES = 0.4
SHARE_SCHEDULED = 0.4
# A start may be due after a short time of trouble too.
LATEST_START_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Changes:
    """`starts`: when each run starts by itself, in seconds; None: a person starts it. The others: how often in a schedule."""

    starts: tuple[float | None, ...] = ()
    starts_moved: int = 0
    settings: int = 0
    additions: int = 0
    operations: int = 0


def draw_changes(seed: int, runs: int) -> Changes:
    """The changes of a seed; about half of the schedules have none."""
    chance = SeededRandom(seed, "changes")
    if not chance.hits(SHARE_WITH_CHANGES):
        return Changes()
    starts = tuple(draw_start(chance, 0.0) if chance.hits(SHARE_SCHEDULED) else None for _ in range(runs))
    moved = chance.randint(1, 4) if any(start is not None for start in starts) and chance.hits(0.6) else 0
    return Changes(starts, moved, *(chance.randint(1, 3) if chance.hits(0.5) else 0 for _ in range(3)))


def draw_start(chance: SeededRandom, now: float) -> float:
    """A time within the next seconds, half of the times a whole second."""
    at = now + chance.random() * LATEST_START_SECONDS
    return float(round(at)) if chance.hits(0.5) else at
