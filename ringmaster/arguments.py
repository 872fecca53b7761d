"""The kinds of values on a command line."""

from __future__ import annotations

import argparse

from dialer.model import INTEGER_MAX


def business_id(text: str) -> int:
    """Parse an id of the command line."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= INTEGER_MAX:
        message = f"{text!r} is not an id, which is a number from 1"
        raise argparse.ArgumentTypeError(message)
    return int(text)
