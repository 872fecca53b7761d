"""The benchmark of fairness asks for permits as a worker does: it knows what the rate limiter needs of a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.scale import fairness

if TYPE_CHECKING:
    import pytest


async def test_two_workers_share_the_permits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairness, "WARM_UP_SECONDS", 0.1)
    found = await fairness.permits(2.0, 0.5)
    assert [(one.near, one.far) for one in found] == list(fairness.PLACES)
    assert all(one.a_second > 0 for one in found)
