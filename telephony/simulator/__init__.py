"""A stand-in for Twilio's voice API: simulates calls, and logs each of them.

`async with simulator.running(port=0, scenario="answer", speed=20) as sim:` gives `sim.url` and `sim.call_log`.
"""

from telephony.simulator.accounts.account_record import SimulatorAccount
from telephony.simulator.call_log import Call
from telephony.simulator.faults import Faults
from telephony.simulator.http.server import TEST_ACCOUNT, TEST_TOKEN, running
from telephony.simulator.scenarios import Course, Scenario
from telephony.simulator.simulator import Simulator
from telephony.simulator.summary import most_at_once

__all__ = [
    "TEST_ACCOUNT",
    "TEST_TOKEN",
    "Call",
    "Course",
    "Faults",
    "Scenario",
    "Simulator",
    "SimulatorAccount",
    "most_at_once",
    "running",
]
