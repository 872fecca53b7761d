"""Tells which texts PostgreSQL can store."""

from __future__ import annotations


def storable(text: str) -> bool:
    """Whether PostgreSQL can store this text: it has neither a NUL nor half a surrogate pair."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False
