"""Encrypts values that must not be read or forged: session cookies, and the auth tokens of businesses' own accounts.

Each purpose has its own key, derived from SECRET_KEY, so that a value sealed for one purpose is not accepted for another.
SECRET_KEY may be several keys: the first seals, all open.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dialer.credentials import secrets_of

KEY_BYTES = 32


class BrokenSealError(Exception):
    """Not sealed with one of these keys for this purpose, changed since, or older than allowed."""


class Seal:
    """Seals and opens for one purpose, such as `session` or `account`."""

    def __init__(self, secret_key: str, purpose: str) -> None:
        """`secret_key` is the setting SECRET_KEY: one key, or several separated by commas."""
        fernets = [_fernet(key, purpose) for key in secrets_of(secret_key)]
        self._first, self._all = fernets[0], MultiFernet(fernets)
        self._digest_key = _key(secrets_of(secret_key)[0], f"{purpose} digest")

    def close(self, content: bytes) -> bytes:
        """Encrypt and sign `content` with the first key; the result is safe in a URL and in a cookie."""
        return self._first.encrypt(content)

    def open(self, sealed: bytes, *, max_age_seconds: int | None = None) -> bytes:
        """Read back what `close` wrote, at most `max_age_seconds` ago, with any of the keys.

        Raises:
            BrokenSealError: when it was not, or longer ago.
        """
        try:
            return self._all.decrypt(sealed, ttl=max_age_seconds)
        except InvalidToken:
            raise BrokenSealError from None

    def digest(self, content: bytes) -> bytes:
        """SHA-256 of `content` under the first key: without the key nobody can try contents until one fits."""
        return hmac.digest(self._digest_key, content, hashlib.sha256)

    def renew(self, sealed: bytes) -> bytes:
        """The same content, sealed with the first key at the same time; unchanged when it is sealed with that key already.

        Raises:
            BrokenSealError: when none of the keys opens it.
        """
        try:
            self._first.decrypt(sealed)
        except InvalidToken:
            try:
                return self._all.rotate(sealed)
            except InvalidToken:
                raise BrokenSealError from None
        return sealed


def digest_keys(secret_key: str, purpose: str) -> list[bytes]:
    """A key for digests, 32 bytes, from each of the keys in SECRET_KEY: digests are made with the first, and looked up with all."""
    return [_key(key, f"{purpose} digest") for key in secrets_of(secret_key)]


def _fernet(secret_key: str, purpose: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(_key(secret_key, purpose)))


def _key(secret_key: str, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"ringmaster {purpose}".encode()).derive(secret_key.encode())
