"""A stand-in for Twilio's voice API: places calls that nobody hears, and remembers every one.

`async with simulator.running(port=0, scenario="answer", speed=20) as sim:` gives `sim.url` and `sim.ledger`.

On the road of a call: the far end, where there is no telephone company.
"""

from telephony.simulator.call_log import Call
from telephony.simulator.faults import Faults
from telephony.simulator.http.server import TEST_ACCOUNT, TEST_TOKEN, running
from telephony.simulator.judgement import most_at_once
from telephony.simulator.scenarios import Scenario
from telephony.simulator.simulator import Simulator

__all__ = ["TEST_ACCOUNT", "TEST_TOKEN", "Call", "Faults", "Scenario", "Simulator", "most_at_once", "running"]
