"""Cancels while every slot is in use, on every platform: a test of tests/chaos, run again."""

from __future__ import annotations

from tests.chaos.test_cancel import SPEED, pytestmark, test_under_full_load  # noqa: F401
