"""Encrypts values that must not be read or forged: session cookies, and the auth tokens of businesses' own accounts.

Each purpose has its own key, derived from SECRET_KEY, so that a value sealed for one purpose is not accepted for another.
"""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32


class BrokenSealError(Exception):
    """Not sealed with this key for this purpose, changed since, or older than allowed."""


class Seal:
    """Seals and opens for one purpose, such as `session` or `account`."""

    def __init__(self, secret_key: str, purpose: str) -> None:
        key = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"ringmaster {purpose}".encode()).derive(secret_key.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def close(self, content: bytes) -> bytes:
        """Encrypt and sign `content`; the result is safe in a URL and in a cookie."""
        return self._fernet.encrypt(content)

    def open(self, sealed: bytes, *, max_age_seconds: int | None = None) -> bytes:
        """Read back what `close` wrote, at most `max_age_seconds` ago.

        Raises:
            BrokenSealError: when it was not, or longer ago.
        """
        try:
            return self._fernet.decrypt(sealed, ttl=max_age_seconds)
        except InvalidToken:
            raise BrokenSealError from None
