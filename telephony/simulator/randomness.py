"""Repeatable randomness: the same seed and key give the same number, in any order, in any process."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

DIGEST_BYTES: Final = 8


def fraction(seed: int, *key: object) -> float:
    """A number from 0 up to but without 1 for this key."""
    text = "|".join(map(str, (seed, *key))).encode()
    drawn = int.from_bytes(blake2b(text, digest_size=DIGEST_BYTES).digest())
    return drawn / float(1 << (8 * DIGEST_BYTES))


def between(low: float, high: float, seed: int, *key: object) -> float:
    """A number between two others for this key."""
    return low + (high - low) * fraction(seed, *key)
