"""The queue of each account: its calls are placed one after another at its pace, in real time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telephony.simulator.accounts.account_record import SimulatorAccount


class AccountPace:
    """When each account's next call may be placed, in seconds of the loop's clock."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def turn_after(self, account: SimulatorAccount) -> float:
        """Take the next turn of the account; in how many real seconds it comes, 0 for now."""
        if account.calls_per_second is None:
            return 0.0
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next.get(account.sid, now))
        self._next[account.sid] = turn + 1 / account.calls_per_second
        return turn - now

    def clear(self) -> None:
        """Forget all turns."""
        self._next.clear()
