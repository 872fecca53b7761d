"""The settings and rules that the comparison of the stores draws from."""

from __future__ import annotations

from typing import Any

ZONES = ["JP:Asia/Tokyo", "US:UTC"]
HOURS = {"monday": [["09:00", "17:00"]]}
RETRIES = {"no-answer": {"times": 2, "after_minutes": [0.1, 2]}, "machine": {"times": 1, "after_minutes": [0.02]}}
# As a run may be given them, and as a business may have them.
SETTINGS: list[dict[str, Any]] = [
    {}, {}, {}, {"retries": RETRIES}, {"min_gap_hours": 0.0103, "recently_called": "skip"}, {"min_gap_hours": 0.0103},
    {"budget": {"calls": 2}}, {"budget": {"amount": "5.50", "currency": "USD"}},
    {"max_per_day": 1}, {"max_per_day": None, "retries": None}, {"calling_hours": None}, {"calling_hours": HOURS},
    {"caller_id_choice": "rotate"}, {"caller_ids": ["+97231230000", "+12125550100"], "caller_id_choice": "local"},
]  # fmt: skip
RULES: list[dict[str, Any]] = [
    {"retries": RETRIES}, {"gap_hours": 0.0031}, {"gap_hours": 0.0}, {"max_per_day": 2}, {"max_per_day": None}, {"countries": ["US"]},
    {"countries": None}, {"stopped": True}, {"stopped": False}, {"stopped": False}, {"calling_hours": HOURS}, {"calling_hours": None},
]  # fmt: skip
# Open for long, about to close, closed, not open yet; with the day's begin and end. None never opens.
# No steps of the clock lead to an edge: the two databases are asked one after the other, and on a busy machine that takes a while. So no
# gap above is a sum of them.
FAR = 90_000.0
WINDOWS = [(-50.0, FAR, -33.3, FAR)] * 3 + [(-50.0, 3.0, -33.3, FAR), (-FAR, -3.0, -33.3, FAR), (FAR, 2 * FAR, FAR, 2 * FAR), None]
# How a run may be changed.
CHANGES: list[dict[str, Any]] = [
    {"calling_hours": HOURS}, {"calling_hours": None}, {"retries": RETRIES}, {"retries": None}, {"budget": {"calls": 1}}, {"budget": None},
    {"budget": {"amount": "4", "currency": "USD"}}, {"budget": {"calls": 3, "amount": "7.75", "currency": "USD"}},
    {"concurrency": 1, "priority": 2}, {"schedule_at": None},
]  # fmt: skip
