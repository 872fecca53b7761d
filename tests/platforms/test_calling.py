"""The rules of calling, and answers that are late, lost or wrong, on every platform: tests of tests/chaos, run again."""

from __future__ import annotations

from tests.chaos.test_provider import pytestmark, test_nothing_is_lost_or_burned  # noqa: F401
from tests.chaos.test_rules import test_no_rule_is_broken_by_two_runs_two_workers_a_kill_and_a_lost_redis  # noqa: F401
