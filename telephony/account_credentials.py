"""What authenticates a provider account, and how it is stored: sealed, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from pydantic import SecretStr

from dialer.sealing import BrokenSealError

if TYPE_CHECKING:
    from dialer.sealing import Seal


@dataclass(frozen=True, slots=True)
class AccountCredentials:
    """An auth token; or an API key for requests, with an auth token or a signing key for callbacks. Empty: not given."""

    auth_token: str = field(default="", repr=False)
    api_key_sid: str = ""
    api_key_secret: str = field(default="", repr=False)
    signing_key: str = field(default="", repr=False)

    @property
    def kind(self) -> Literal["auth_token", "api_key"]:
        """Which credentials these are, for people."""
        return "api_key" if self.api_key_sid else "auth_token"

    @property
    def secret(self) -> SecretStr:
        """What authenticates requests."""
        return SecretStr(self.api_key_secret if self.api_key_sid else self.auth_token)

    @property
    def signing(self) -> tuple[SecretStr, ...]:
        """The keys that callbacks are signed with: the auth token by HMAC-SHA1, the signing key by HMAC-SHA256."""
        return tuple(SecretStr(key) for key in (self.auth_token, self.signing_key) if key)

    def sealed(self, seal: Seal) -> str:
        """As they are stored."""
        return seal.close(json.dumps(asdict(self)).encode()).decode()

    @classmethod
    def opened(cls, seal: Seal, sealed: str) -> AccountCredentials:
        """What `sealed` wrote.

        Raises:
            dialer.sealing.BrokenSealError: when it cannot be opened with SECRET_KEY.
        """
        try:
            return cls(**json.loads(seal.open(sealed.encode())))
        except (ValueError, TypeError):
            # Of a version that we do not know.
            raise BrokenSealError from None
