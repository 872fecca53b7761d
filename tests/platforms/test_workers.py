"""A worker is killed, and a worker is frozen, on every platform: tests of tests/chaos, run again."""

from __future__ import annotations

from tests.chaos.test_workers import (  # noqa: F401
    SPEED,
    pytestmark,
    test_a_frozen_worker_wakes_up,
    test_another_worker_takes_over_after_kill_9,
)
