"""All accounts of the simulator: those it was started with, and what was declared by HTTP since.

What was declared by HTTP is kept in a file beside that of the call log, and is there again after a restart that resumes.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from dialer.config import ConfigError
from telephony.simulator.accounts.account_record import SimulatorAccount
from telephony.simulator.webhooks import sign

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pydantic import SecretStr

SIGNATURE: Final = "X-Twilio-Signature"
SIGNATURE_SETTINGS: Final = "X-Twilio-Webhooks-Signature-Settings"
SCHEME: Final = "Basic "


class AccountDirectory:
    """The accounts by their sids; `file` keeps what is declared later, None: nothing is kept."""

    def __init__(self, accounts: Iterable[SimulatorAccount], file: Path | None = None) -> None:
        self._first = {account.sid: account for account in accounts}
        self._accounts = dict(self._first)
        self._declared: dict[str, dict[str, Any]] = {}
        self._logins: dict[str, tuple[bytes, ...]] = {}
        self._file = file
        self._know(self._accounts.values())

    def __iter__(self) -> Iterator[SimulatorAccount]:
        return iter(self._accounts.values())

    def get(self, sid: str) -> SimulatorAccount | None:
        """The account with this sid."""
        return self._accounts.get(sid)

    def authenticate(self, sid: str, authorization: str) -> SimulatorAccount | None:
        """The account, when the header `Authorization` holds its token or one of its keys."""
        given = authorization.removeprefix(SCHEME).encode(errors="replace")
        matches = [hmac.compare_digest(given, login) for login in self._logins.get(sid, ())]
        return self._accounts.get(sid) if any(matches) else None

    def is_standard_key(self, sid: str, authorization: str) -> bool:
        """True when a header that authenticates the account holds a standard API key."""
        keys = self._accounts[sid].api_keys.items()
        return authorization.removeprefix(SCHEME).encode(errors="replace") in {_login(key, secret) for key, secret in keys}

    def owner(self, authorization: str) -> SimulatorAccount | None:
        """The account whose token or key the header holds, where the address names none."""
        return next((account for sid, account in self._accounts.items() if self.authenticate(sid, authorization)), None)

    def signature(self, sid: str, address: str, form: Mapping[str, str]) -> dict[str, str]:
        """The headers that sign a request to the account's program."""
        account = self._accounts[sid]
        if account.signing_key is None:
            return {SIGNATURE: sign(address, form, account.auth_token.get_secret_value())}
        return {
            SIGNATURE: sign(address, form, account.signing_key.get_secret_value(), "sha256"),
            SIGNATURE_SETTINGS: f"key={account.signing_key_sid},algorithm=HMAC_SHA256",
        }

    def declare(self, accounts: Mapping[str, Mapping[str, object]]) -> list[SimulatorAccount]:
        """Add accounts, or replace fields of known ones: all of them, or none.

        Raises:
            pydantic.ValidationError: when a field is wrong; nothing has changed.
        """
        changed = [self._merged(sid, fields) for sid, fields in accounts.items()]
        for sid, fields in accounts.items():
            self._declared[sid] = {**self._declared.get(sid, {}), **fields}
        self._accounts |= {account.sid: account for account in changed}
        self._know(changed)
        self._save()
        return changed

    def restore(self) -> None:
        """Declare again what the file of an earlier run holds.

        Raises:
            ConfigError: when it does not hold accounts.
        """
        if self._file is None or not self._file.exists():
            return
        try:
            self.declare(json.loads(self._file.read_text(encoding="utf-8")))
        except (ValidationError, ValueError, TypeError, AttributeError):
            message = f"{self._file}: does not hold accounts as this simulator writes them; remove it"
            raise ConfigError(message) from None

    def reset(self) -> None:
        """Forget what was declared since the start."""
        self._declared.clear()
        self._accounts = dict(self._first)
        self._logins.clear()
        self._know(self._accounts.values())
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def _merged(self, sid: str, fields: Mapping[str, object]) -> SimulatorAccount:
        known = self._accounts.get(sid)
        return known.changed(fields) if known else SimulatorAccount.model_validate({**fields, "sid": sid})

    def _know(self, accounts: Iterable[SimulatorAccount]) -> None:
        for account in accounts:
            self._logins[account.sid] = tuple(_logins(account))

    def _save(self) -> None:
        if self._file is None:
            return
        draft = self._file.with_name(f"{self._file.name}.new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as output:
            json.dump(self._declared, output)
        draft.replace(self._file)


def _logins(account: SimulatorAccount) -> Iterator[bytes]:
    yield _login(account.sid, account.auth_token)
    if account.secondary_auth_token is not None:
        yield _login(account.sid, account.secondary_auth_token)
    for key, secret in {**account.api_keys, **account.main_api_keys}.items():
        yield _login(key, secret)


def _login(user: str, secret: SecretStr) -> bytes:
    return base64.b64encode(f"{user}:{secret.get_secret_value()}".encode())
