"""Chance that repeats: the same seed and the same question give the same answer, in any order, in any process.

On the road of a call: decides what the person at the far end does.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

DIGEST_BYTES: Final = 8


def fraction(seed: int, *question: object) -> float:
    """Draw a number from 0 up to but without 1 for this question."""
    text = "|".join(map(str, (seed, *question))).encode()
    drawn = int.from_bytes(blake2b(text, digest_size=DIGEST_BYTES).digest())
    return drawn / float(1 << (8 * DIGEST_BYTES))


def between(low: float, high: float, seed: int, *question: object) -> float:
    """Draw a number between two others for this question."""
    return low + (high - low) * fraction(seed, *question)
