"""PostgreSQL falls over, sessions and the web process are killed, on every platform: tests of tests/chaos, run again."""

from __future__ import annotations

from tests.chaos.test_servers import (  # noqa: F401
    SPEED,
    pytestmark,
    test_a_storm_kills_every_session,
    test_postgresql_falls_over,
    test_redis_is_away_and_comes_back,
    test_the_web_process_is_killed,
)
