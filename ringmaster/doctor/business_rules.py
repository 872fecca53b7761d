"""What businesses have set, or not: calling hours, limits, registers, and the switch that stops all dialling."""

from __future__ import annotations

from typing import Final

from ringmaster.doctor.finding import Status
from ringmaster.doctor.rule import Rule

# The regulations on registers in Israel: dialer/policy/registers.py.
REGISTER_DAYS: Final = 15

BUSINESSES: Final = (
    Rule(
        "stopped",
        Status.WARN,
        "dialer.installation",
        "dialling is not stopped",
        "all dialling is stopped by {by}: {why}",
        "python -m dialer resume-all, when the reason is gone",
    ),
    Rule(
        "stopped_businesses",
        Status.WARN,
        "dialer.businesses",
        "no business has stopped its dialling",
        "businesses that have stopped their dialling: {which} ({found} in all)",
        "if it was not meant, an operator of the business resumes it: POST /api/resume-dialling, or the button on its pages",
    ),
    Rule(
        "calling_hours",
        Status.WARN,
        "dialer.businesses",
        "each business has calling hours",
        "businesses without calling hours, which call at any hour: {which} ({found} in all)",
        "set them on the page Settings of the business, or with PATCH /api/business",
    ),
    Rule(
        "call_limits",
        Status.WARN,
        "dialer.businesses",
        "each business limits how often a number is called",
        "businesses with neither a gap between calls nor a limit of calls a day: {which} ({found} in all)",
        "set min_gap_hours or max_per_day on the page Settings of the business, or with PATCH /api/business",
    ),
    Rule(
        "registers",
        Status.WARN,
        "dialer.registers",
        "each register is recent",
        "do-not-call registers that are missing or too old: {which} ({found} in all)",
        "download the register again, then: python -m dialer dnc import --business ID --register NAME --file F",
        (REGISTER_DAYS,),
    ),
)
