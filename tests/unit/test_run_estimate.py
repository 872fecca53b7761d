"""When the end of a run is estimated: how many of its calls must have ended."""

from __future__ import annotations

import pytest

from web.operations.reports.run_report import is_enough


@pytest.mark.parametrize(
    ("ended", "at_once", "left", "enough"),
    [
        (0, 3, 40, False),
        (3, 3, 40, False),
        (9, 3, 40, False),
        (10, 3, 40, True),
        # The first ten of fifty calls at once are the shortest.
        (10, 50, 1000, False),
        (50, 50, 1000, True),
        (100, 400, 1000, True),
        # The last few: as many are known.
        (4, 3, 4, True),
        (1, 1.5, 4, False),
        (0, 1, 0, True),
    ],
)
def test_how_many_calls_an_estimate_needs(ended: int, at_once: float, left: int, *, enough: bool) -> None:
    assert is_enough(ended, at_once=at_once, left=left) is enough
