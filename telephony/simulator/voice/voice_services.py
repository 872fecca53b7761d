"""What a hearing needs of the simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialer.clock import Ids
    from telephony.simulator.background_tasks import BackgroundTasks
    from telephony.simulator.call_log import CallLog
    from telephony.simulator.scenarios import Plan
    from telephony.simulator.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class VoiceServices:
    """The call log, the way to the dialer, and how calls to a number go; `address` is that of the simulator itself."""

    call_log: CallLog
    webhooks: Webhooks
    tasks: BackgroundTasks
    ids: Ids
    course: Callable[[str], Plan]
    address: Callable[[], str]
    speed: float
