"""Checks passwords: off the event loop, a few at a time, and with growing delays after wrong tries."""

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
from sql.stored_text import storable
from web.access.sign_in_delays import SignInDelays

if TYPE_CHECKING:
    from dialer.clock import Clock
    from sql.users.users import User, Users

# Each check takes 64 MiB for a moment. One account from one address cannot occupy both places.
CHECKS_AT_ONCE: Final = 2
CHECK_PATIENCE_SECONDS: Final = 10.0
# For one account from one address, or for one recognized browser.
CHECKS_WAITING_PER_CROWD: Final = 20
MAX_PASSWORD_CHARACTERS: Final = 1024
MAX_EMAIL_CHARACTERS: Final = 254
# Of a password that nobody knows. Compared with when there is no such user, so that the time taken does not reveal it: it costs what
# the hash of a user costs.
NOBODYS_HASH: Final = "$argon2id$v=19$m=65536,t=3,p=4$F3V0fE17L161CiEaxWfcTw$3ahx54+vYFKoU+cWVsXUpz7K9h2Y+Ru9WX2R1fneKJQ"

log = logging.getLogger(__name__)


def fingerprint(user: User) -> str:
    """A value that changes with the password and reveals nothing about it."""
    return hashlib.sha256(user.password_hash.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class KnownSession:
    """The content of a browser's sealed cookie; the session itself may have ended."""

    session_id: int
    user_id: int
    business_id: int
    fingerprint: str

    def is_of(self, user: User) -> bool:
        """True when it is a session of this user, started with the current password."""
        ids = (self.user_id, self.business_id) == (user.user_id, user.business_id)
        return ids and hmac.compare_digest(self.fingerprint, fingerprint(user))


class Passwords:
    """Finds the user with an e-mail address and a password, and hashes new passwords."""

    def __init__(self, users: Users, clock: Clock) -> None:
        self._users = users
        self._hasher = PasswordHasher()
        self.checking = Shares(CHECKS_AT_ONCE, patience_seconds=CHECK_PATIENCE_SECONDS, waiting_per_tenant=CHECKS_WAITING_PER_CROWD)
        # Separate threads: those of the default executor may be busy with the rows of a large file.
        self._threads = ThreadPoolExecutor(CHECKS_AT_ONCE, thread_name_prefix="password")
        self.delays = SignInDelays(clock)

    async def check(self, address: str, email: str, password: str, known: KnownSession | None = None) -> User | None:
        """The user, or None when the two do not match; `address` is the client's.

        `known` is the session the browser had before: if it was this user's, tries from elsewhere do not slow this one down.

        Raises:
            ApiError: 429, when this try was dropped from a full queue.
            BusyError: when too many passwords are being checked.
        """
        email = email.strip().lower()[:MAX_EMAIL_CHARACTERS]
        user = await self._users.by_email(email) if storable(email) else None
        # Behind a proxy that is not trusted all clients share one address, so the address alone must not lock anyone out.
        counted, use = [("address", address), ("account", email)], Use(f"{address} {email}")
        if known is not None and user is not None and known.is_of(user):
            counted, use = [("session", str(known.session_id))], Use(f"session {known.session_id}", urgent=True)
        await self.delays.wait(counted)
        async with self.checking.hold(use):
            password_hash = (user.password_hash if user else "") or NOBODYS_HASH
            verification = asyncio.get_running_loop().run_in_executor(
                self._threads, self._matches, password_hash, password[:MAX_PASSWORD_CHARACTERS]
            )
            matches = await verification
        if user is None or not matches:
            log.warning("[SECURITY] a sign-in failed: from %s, user %s", address, user.user_id if user else "unknown")
            return None
        self.delays.forgive(counted)
        return user

    async def hash(self, password: str, of: str) -> str:
        """The hash of a new password; `of` is whose share of the checks is used.

        Raises:
            BusyError: when too many passwords are being checked.
        """
        async with self.checking.hold(Use(of)):
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
