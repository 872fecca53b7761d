"""Checks passwords: off the event loop, a few at a time, and not as often as a guesser would like.

On the road of a call: before it; who presses the button has come through here.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from web.faults import ApiError, Text
from web.i18n import msgid
from web.inputs import storable

if TYPE_CHECKING:
    from dialer.ports import Clock
    from sql.businesses import Businesses, User

MAX_FAILURES: Final = 10
FAILURES_WITHIN_SECONDS: Final = 900
# The oldest are forgotten beyond this many pairs of address and e-mail: a bound on memory, not on guesses.
MAX_REMEMBERED: Final = 10_000
# Each check takes 64 MiB for a moment.
CHECKS_AT_ONCE: Final = 2
MAX_PASSWORD_CHARACTERS: Final = 1024
MAX_EMAIL_CHARACTERS: Final = 254


class Failures:
    """Counts failed sign-ins for each pair of address and e-mail, within the last 15 minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._times: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def wait_seconds(self, pair: tuple[str, str]) -> int:
        """How long this pair has to wait before the next try; 0 when it need not."""
        times = self._recent(pair)
        return 0 if len(times) < MAX_FAILURES else int(times[0] + FAILURES_WITHIN_SECONDS - self._clock.boot()) + 1

    def add(self, pair: tuple[str, str]) -> None:
        """One more failure of this pair."""
        self._times[pair] = self._recent(pair)
        self._times[pair].append(self._clock.boot())
        self._times.move_to_end(pair)
        if len(self._times) > MAX_REMEMBERED:
            self._times.popitem(last=False)

    def clear(self, pair: tuple[str, str]) -> None:
        """This pair has signed in."""
        self._times.pop(pair, None)

    def _recent(self, pair: tuple[str, str]) -> deque[float]:
        times = self._times.get(pair, deque(maxlen=MAX_FAILURES))
        while times and times[0] <= self._clock.boot() - FAILURES_WITHIN_SECONDS:
            times.popleft()
        return times


class Passwords:
    """Finds the user whom an e-mail address and a password belong to."""

    def __init__(self, businesses: Businesses, clock: Clock) -> None:
        self._businesses = businesses
        self._failures = Failures(clock)
        self._hasher = PasswordHasher()
        self._checking = asyncio.Semaphore(CHECKS_AT_ONCE)
        # Compared with when there is no such user, so that the time taken does not tell.
        self._nobody = self._hasher.hash("nobody")

    async def check(self, address: str, email: str, password: str) -> User | None:
        """The user, or None when the two do not belong together; `address` is where the request came from.

        Raises:
            ApiError: 429, after ten failures within 15 minutes.
        """
        pair = (address, email.strip().lower()[:MAX_EMAIL_CHARACTERS])
        self._refuse_guessing(pair)
        user = await self._businesses.user_by_email(pair[1]) if storable(pair[1]) else None
        async with self._checking:
            # Many tries at once must not all pass the first look.
            self._refuse_guessing(pair)
            right = await asyncio.to_thread(self._right, user.password_hash if user else self._nobody, password[:MAX_PASSWORD_CHARACTERS])
            if user is None or not right:
                self._failures.add(pair)
                return None
        self._failures.clear(pair)
        return user

    def _refuse_guessing(self, pair: tuple[str, str]) -> None:
        if wait := self._failures.wait_seconds(pair):
            text = Text(msgid("Too many failed sign-ins. Please wait {minutes} minutes."), {"minutes": -(-wait // 60)})
            raise ApiError(429, "too_many_attempts", text, headers={"Retry-After": str(wait)})

    def _right(self, known: str, password: str) -> bool:
        try:
            return self._hasher.verify(known, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
