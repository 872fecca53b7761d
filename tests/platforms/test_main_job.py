"""The main job, cancel and stop, and what may fail, on every platform: the tests of tests/chaos, run again."""

from __future__ import annotations

from tests.chaos.test_cancel import test_with_redis_down_and_every_worker_dead  # noqa: F401
from tests.chaos.test_main_job import (  # noqa: F401
    pytestmark,
    test_another_service_starts_and_cancels_with_a_plain_xadd,
    test_cancel_and_stop_in_the_middle,
    test_five_hundred_leads_never_stall,
    test_the_only_worker_is_killed_and_another_goes_on,
    test_two_runs_share_three_slots_and_two_businesses_share_none,
)
