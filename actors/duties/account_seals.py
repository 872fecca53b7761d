"""Seals stored secrets anew, once SECRET_KEY has another first key, so that the former one can be removed from it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from dialer.concurrency.loop import Loop
from dialer.sealing import BrokenSealError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.services import Services

# During a deploy some processes do not know the new key yet: nothing is sealed with it before they have been replaced.
WAIT_SECONDS = 600.0
PAUSE_SECONDS = 3_600.0
BATCH = 500

log = logging.getLogger(__name__)


class SealedRows(Protocol):
    """Stored secrets, each with its `id` and its `sealed` text."""

    async def after(self, row_id: int, limit: int, /) -> Sequence[Any]:
        """Those behind a row, in the order of their ids."""

    async def renew(self, row: Any, sealed: str, /) -> None:  # noqa: ANN401 - a row of `after`
        """Store the same secret, sealed anew."""


class Sealer(Protocol):
    """What seals them."""

    def renew(self, sealed: str) -> str:
        """The same secret, sealed with the first key of SECRET_KEY."""


class AccountSeals:
    """The seals of all accounts and webhooks; every worker looks after all of them."""

    def __init__(self, services: Services) -> None:
        """The first round comes `WAIT_SECONDS` after the start."""
        self._services = services
        self._not_before = services.clock.boot() + WAIT_SECONDS
        self.loop = Loop("account seals", self.round, pause=self._pause)

    def _pause(self) -> float:
        return max(self._not_before - self._services.clock.boot(), 0.0) or PAUSE_SECONDS

    async def round(self) -> None:
        """Seal again what an older key has sealed.

        Raises:
            DatabaseUnavailableError: when PostgreSQL is unavailable.
        """
        if self._services.clock.boot() < self._not_before:
            return
        await self._renew("credentials of accounts", self._services.account_rows, self._services.accounts)
        await self._renew("keys of webhooks", self._services.deliveries, self._services.webhook_keys)

    async def _renew(self, kind: str, stored: SealedRows, sealer: Sealer) -> None:
        renewed, broken = await renew_seals(stored, sealer)
        if renewed:
            log.info("sealed %d %s with the first key of SECRET_KEY", renewed, kind)
        if broken:
            log.error("%d %s cannot be opened: was a key removed from SECRET_KEY?", broken, kind)


async def renew_seals(stored: SealedRows, sealer: Sealer) -> tuple[int, int]:
    """Seal all of them with the first key; return how many were sealed again, and how many cannot be opened.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    renewed = broken = last = 0
    while rows := await stored.after(last, BATCH):
        last = rows[-1].id
        for row in rows:
            try:
                sealed = sealer.renew(row.sealed)
            except BrokenSealError:
                broken += 1
                continue
            if sealed != row.sealed:
                await stored.renew(row, sealed)
                renewed += 1
    return renewed, broken
