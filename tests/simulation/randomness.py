"""Where a schedule's chance comes from: one source for each subject, so that a change in one does not stir the others."""

from __future__ import annotations

from random import Random

MIXED = 1_000_003


class SeededRandom(Random):
    """A source of random numbers named by a seed and a subject; the same name gives the same numbers everywhere."""

    def __init__(self, seed: int, subject: str) -> None:
        # Text seeds are hashed by SHA-512: the same on every machine and in every process.
        super().__init__(f"{seed}:{subject}")

    def hits(self, probability: float) -> bool:
        """True with this probability."""
        return probability > 0 and self.random() < probability
