"""Checks passwords: off the event loop, a few at a time, and slower the more often somebody guesses.

On the road of a call: before it; who presses the button has come through here.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dialer.shares import Shares, Use
from web.access.sign_in_delays import SignInDelays
from web.server.inputs import storable

if TYPE_CHECKING:
    from dialer.clock import Clock
    from sql.businesses.businesses import Businesses, User

# Each check takes 64 MiB for a moment. One account from one address cannot use both places.
CHECKS_AT_ONCE: Final = 2
CHECK_PATIENCE_SECONDS: Final = 10.0
# Of one account from one address, or of one browser that is known.
CHECKS_WAITING_PER_CROWD: Final = 20
MAX_PASSWORD_CHARACTERS: Final = 1024
MAX_EMAIL_CHARACTERS: Final = 254

log = logging.getLogger(__name__)


def fingerprint(user: User) -> str:
    """Changes with the password, and says nothing of it."""
    return hashlib.sha256(user.password_hash.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class KnownSession:
    """What the cookie of a browser says, sealed by us: whether or not the session goes on."""

    session_id: int
    user_id: int
    business_id: int
    fingerprint: str

    def is_of(self, user: User) -> bool:
        """True when it is a session of this user, with the password of now."""
        ids = (self.user_id, self.business_id) == (user.user_id, user.business_id)
        return ids and hmac.compare_digest(self.fingerprint, fingerprint(user))


class Passwords:
    """Finds the user whom an e-mail address and a password belong to."""

    def __init__(self, businesses: Businesses, clock: Clock) -> None:
        self._businesses = businesses
        self._hasher = PasswordHasher()
        self._checking = Shares(CHECKS_AT_ONCE, patience_seconds=CHECK_PATIENCE_SECONDS, waiting_per_tenant=CHECKS_WAITING_PER_CROWD)
        # Threads of their own: the others may be busy with the rows of a large file.
        self._threads = ThreadPoolExecutor(CHECKS_AT_ONCE, thread_name_prefix="password")
        # Compared with when there is no such user, so that the time taken does not tell.
        self._nobody = self._hasher.hash("nobody")
        self.delays = SignInDelays(clock)

    async def check(self, address: str, email: str, password: str, known: KnownSession | None = None) -> User | None:
        """The user, or None when the two do not belong together; `address` is where the request came from.

        `known` is the session the browser had before: if it was this user's, no stranger can slow it down.

        Raises:
            ApiError: 429, when it had to wait and too many came after it.
            BusyError: when too many passwords are being checked.
        """
        email = email.strip().lower()[:MAX_EMAIL_CHARACTERS]
        user = await self._businesses.user_by_email(email) if storable(email) else None
        # Behind a proxy that is not trusted all clients have one address: what a stranger sends there shuts out nobody else.
        counted, use = [("address", address), ("account", email)], Use(f"{address} {email}")
        if known is not None and user is not None and known.is_of(user):
            counted, use = [("session", str(known.session_id))], Use(f"session {known.session_id}", urgent=True)
        await self.delays.wait(counted)
        async with self._checking.hold(use):
            known_hash = user.password_hash if user else self._nobody
            checking = asyncio.get_running_loop().run_in_executor(
                self._threads, self._right, known_hash, password[:MAX_PASSWORD_CHARACTERS]
            )
            right = await checking
        if user is None or not right:
            log.warning("[SECURITY] a sign-in failed: from %s, user %s", address, user.user_id if user else "unknown")
            return None
        self.delays.forgive(counted)
        return user

    def _right(self, known: str, password: str) -> bool:
        try:
            return self._hasher.verify(known, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
