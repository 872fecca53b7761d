"""Slows down who guesses passwords: each further try from an address, or for an account, waits longer than the last.

The right password is accepted however many wrong ones came before it, after ten seconds at most. A browser that has been signed in to
the account before is counted by itself, so that strangers cannot slow it down. So many may wait at once as memory allows: beyond that
a try that waits is cut, as `web/access/waiting_tries.py` says, and never one that is new.

On the road of a call: before it; who presses the button has come through here.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TypeAlias

from web.access.waiting_tries import WaitingTries
from web.server.errors import ApiError, Text
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dialer.clock import Clock

FIRST_DELAY_SECONDS: Final = 0.5
MAX_DELAY_SECONDS: Final = 10.0
FORGET_SECONDS: Final = 900.0
# Tries without a delay. Behind one address there may be a whole call centre.
FREE_TRIES: Final[Mapping[str, int]] = {"address": 20, "account": 3, "session": 3}
# The oldest are forgotten beyond this many: a bound on memory, not on guesses.
MAX_REMEMBERED: Final = 10_000
MAX_DELAYED: Final = 500
# Of one account from one address, or of one browser that is known.
MAX_DELAYED_PER_CROWD: Final = 20

# What is counted: `address`, `account` or `session`, and which.
Counted: TypeAlias = tuple[str, str]


class SignInDelays:
    """Counts tries of the last 15 minutes, and lets the next ones wait; a try that was right does not count."""

    def __init__(self, clock: Clock, longest_seconds: float = MAX_DELAY_SECONDS) -> None:
        """No try waits longer than `longest_seconds`."""
        self._clock = clock
        self._tries: OrderedDict[Counted, tuple[int, float]] = OrderedDict()
        # Nobody can pretend to be a known browser, so those wait apart from whom strangers can be.
        self._strangers = WaitingTries(MAX_DELAYED, MAX_DELAYED_PER_CROWD)
        self._known = WaitingTries(MAX_DELAYED, MAX_DELAYED_PER_CROWD)
        self.longest_seconds = longest_seconds

    def seconds(self, counted: list[Counted]) -> float:
        """How long the next try waits: the longest delay of what is counted."""
        return max(self._delay(one) for one in counted)

    async def wait(self, counted: list[Counted]) -> None:
        """Count a try as wrong until it is forgiven, and let it wait for its turn; what is counted together is one crowd.

        Raises:
            ApiError: 429, when it was cut while it waited, because too many came after it.
        """
        delay = self.seconds(counted)
        for one in counted:
            self._add(one)
        known = any(kind == "session" for kind, _ in counted)
        if delay and not await (self._known if known else self._strangers).wait(tuple(counted), delay):
            raise _too_many(delay)

    def forgive(self, counted: list[Counted]) -> None:
        """The try was right: its account begins anew, and it does not count against its address."""
        for one in counted:
            tries, at = self._recent(one)
            if one[0] == "address" and tries > 1:
                self._tries[one] = (tries - 1, at)
            else:
                self._tries.pop(one, None)

    def _delay(self, one: Counted) -> float:
        beyond = self._recent(one)[0] - FREE_TRIES[one[0]]
        # Sixteen doublings are far beyond any longest delay.
        return min(FIRST_DELAY_SECONDS * 2 ** min(beyond, 16), self.longest_seconds) if beyond >= 0 else 0.0

    def _recent(self, one: Counted) -> tuple[int, float]:
        tries, at = self._tries.get(one, (0, 0.0))
        return (tries, at) if at > self._clock.boot() - FORGET_SECONDS else (0, 0.0)

    def _add(self, one: Counted) -> None:
        self._tries[one] = (self._recent(one)[0] + 1, self._clock.boot())
        self._tries.move_to_end(one)
        if len(self._tries) > MAX_REMEMBERED:
            self._tries.popitem(last=False)


def _too_many(delay: float) -> ApiError:
    text = Text(msgid("Too many sign-ins at once. Please try again in {seconds} seconds."), {"seconds": int(delay) + 1})
    return ApiError(429, "too_many_attempts", text, headers={"Retry-After": str(int(delay) + 1)})
