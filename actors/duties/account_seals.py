"""Seals the stored credentials of accounts anew, once SECRET_KEY has another first key, so that the former one can be removed from it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dialer.concurrency.loop import Loop
from dialer.sealing import BrokenSealError

if TYPE_CHECKING:
    from actors.services import AccountBook, AccountRows, Services

# During a deploy some processes do not know the new key yet: nothing is sealed with it before they have been replaced.
WAIT_SECONDS = 600.0
PAUSE_SECONDS = 3_600.0
BATCH = 500

log = logging.getLogger(__name__)


class AccountSeals:
    """The seals of all accounts; every worker looks after all of them."""

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
        renewed, broken = await renew_seals(self._services.account_rows, self._services.accounts)
        if renewed:
            log.info("sealed %d credentials of accounts with the first key of SECRET_KEY", renewed)
        if broken:
            log.error("%d credentials of accounts cannot be opened: was a key removed from SECRET_KEY?", broken)


async def renew_seals(stored: AccountRows, book: AccountBook) -> tuple[int, int]:
    """Seal all credentials with the first key; return how many were sealed again, and how many cannot be opened.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    renewed = broken = last = 0
    while rows := await stored.after(last, BATCH):
        last = rows[-1].id
        for row in rows:
            try:
                sealed = book.renew(row.sealed)
            except BrokenSealError:
                broken += 1
                continue
            if sealed != row.sealed:
                await stored.renew(row, sealed)
                renewed += 1
    return renewed, broken
