"""Slows down password guessing: each further try from an address, or for an account, waits longer than the last.

The right password is accepted after ten seconds at most, however many wrong tries came before it. A browser that has been signed in to
the account before is counted separately, so that tries from elsewhere cannot slow it down. The number of waiting tries is bounded; when
the queue is full a waiting try is dropped, never the new one (`web/access/waiting_tries.py`).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TypeAlias

from web.access.waiting_tries import WaitingTries
from web.server.errors import ApiError, counted
from web.server.i18n import msgids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dialer.clock import Clock

FIRST_DELAY_SECONDS: Final = 0.5
MAX_DELAY_SECONDS: Final = 10.0
FORGET_SECONDS: Final = 900.0
# Tries without a delay. There may be a whole call centre behind one address.
FREE_TRIES: Final[Mapping[str, int]] = {"address": 20, "account": 3, "session": 3}
# Beyond this many the oldest counts are dropped: a bound on memory, not on guesses.
MAX_REMEMBERED: Final = 10_000
MAX_DELAYED: Final = 500
# For one account from one address, or for one recognized browser.
MAX_DELAYED_PER_CROWD: Final = 20
TOO_MANY: Final = msgids(
    "Too many sign-in attempts. Please try again in {seconds} second.", "Too many sign-in attempts. Please try again in {seconds} seconds."
)

# What tries are counted by: `address`, `account` or `session`, and its value.
Counted: TypeAlias = tuple[str, str]


class SignInDelays:
    """Counts the failed tries of the last 15 minutes, and delays the next ones."""

    def __init__(self, clock: Clock, longest_seconds: float = MAX_DELAY_SECONDS) -> None:
        """No try is delayed by more than `longest_seconds`."""
        self._clock = clock
        self._tries: OrderedDict[Counted, tuple[int, float]] = OrderedDict()
        # The cookie of a recognized browser cannot be forged, so these tries wait in a queue of their own, which no one else can fill.
        self._unknown = WaitingTries(MAX_DELAYED, MAX_DELAYED_PER_CROWD)
        self._known = WaitingTries(MAX_DELAYED, MAX_DELAYED_PER_CROWD)
        self.longest_seconds = longest_seconds

    def seconds(self, counted: list[Counted]) -> float:
        """The delay of the next try: the longest of those of its counts."""
        return max(self._delay(one) for one in counted)

    async def wait(self, counted: list[Counted]) -> None:
        """Count a try as failed until it is forgiven, and delay it; tries with the same counts are one crowd.

        Raises:
            ApiError: 429, when it was dropped while it waited, because the queue was full.
        """
        delay = self.seconds(counted)
        for one in counted:
            self._add(one)
        known = any(kind == "session" for kind, _ in counted)
        if delay and not await (self._known if known else self._unknown).wait(tuple(counted), delay):
            raise _too_many(delay)

    def forgive(self, counted: list[Counted]) -> None:
        """The try succeeded: reset the count of its account, and take it off the count of its address."""
        for one in counted:
            tries, at = self._recent(one)
            if one[0] == "address" and tries > 1:
                self._tries[one] = (tries - 1, at)
            else:
                self._tries.pop(one, None)

    def _delay(self, one: Counted) -> float:
        beyond = self._recent(one)[0] - FREE_TRIES[one[0]]
        # Sixteen doublings exceed any maximum delay.
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
    seconds = int(delay) + 1
    return ApiError(429, "too_many_attempts", counted(TOO_MANY, seconds, seconds=seconds), headers={"Retry-After": str(seconds)})
