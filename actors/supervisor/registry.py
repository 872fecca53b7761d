"""The businesses that this worker drives, each in one entry, and the calls it follows, by attempt."""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.supervisor.business import Business
from actors.supervisor.stalls import ACCOUNT
from dialer.sealing import BrokenSealError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from actors.calls.call import Call
    from actors.dispatch.dispatchers import Dispatchers
    from actors.services import Services
    from actors.supervisor.stalls import StallReporter
    from sql.workers.workers import ActiveBusiness
    from telephony.provider import Account

log = logging.getLogger(__name__)


@dataclass(slots=True)
class BusinessEntry:
    """What this worker knows of one business.

    `row` is as PostgreSQL reported it last. Without an `account`, whose auth token cannot be opened, no lead is claimed; open calls are
    followed, since the account that placed them may be known.
    """

    row: ActiveBusiness
    business: Business
    account: Account | None

    @property
    def business_id(self) -> int:
        """The business."""
        return self.row.business_id

    @property
    def partition(self) -> int:
        """The partition it belongs to."""
        return self.row.partition


class Registry:
    """The entries, and the calls."""

    def __init__(self, services: Services, dispatchers: Dispatchers, stalls: StallReporter) -> None:
        """A business that is dropped leaves the queue of its dispatcher, and its stall is cleared."""
        self._services = services
        self._dispatchers = dispatchers
        self._stalls = stalls
        self._entries: dict[int, BusinessEntry] = {}
        self._recorders: list[set[int]] = []
        # When PostgreSQL last reported each business as active (boot clock, seconds). One with nothing to call now is dropped until the
        # next poll, and is driven all the same.
        self._polled_at: dict[int, float] = {}
        self.calls: dict[int, Call] = {}

    # -- businesses --------------------------------------------------------------------------------------------------------------

    def get(self, business_id: int) -> BusinessEntry | None:
        """The entry of a business; None when this worker does not drive it."""
        return self._entries.get(business_id)

    def within(self, partitions: Iterable[int]) -> list[BusinessEntry]:
        """The entries of these partitions."""
        wanted = set(partitions)
        return [entry for entry in self._entries.values() if entry.partition in wanted]

    def claiming(self) -> list[BusinessEntry]:
        """The entries of the businesses that leads may be claimed for."""
        return [entry for entry in self._entries.values() if entry.account]

    def polled_since(self, moment: float) -> list[int]:
        """The businesses that leads may be claimed for, and that PostgreSQL has reported as active since `moment` (boot clock)."""
        self._polled_at = {business_id: at for business_id, at in self._polled_at.items() if at >= moment}
        return list(self._polled_at)

    def update(self, row: ActiveBusiness) -> None:
        """PostgreSQL has just reported this business as active: drive it, if its partition is ours."""
        if row.partition not in self._services.ownership.epochs:
            return
        known = self._entries.get(row.business_id)
        account = self._open_account(row, known)
        if account:
            self._polled_at[row.business_id] = self._services.clock.boot()
        else:
            self._polled_at.pop(row.business_id, None)
        if known is None:
            business = Business(row.business_id, row.max_calls)
            self._entries[row.business_id] = BusinessEntry(row, business, account)
            return
        if account and known.account and account.sid != known.account.sid:
            self._leave_queue(known)
        known.row, known.account = row, account
        known.business.max_calls = row.max_calls

    def drop(self, business_id: int) -> None:
        """Drive this business no more. Its POSTs in flight are finished and recorded, its other calls are left to the next owner."""
        entry = self._entries.pop(business_id, None)
        if entry:
            self._leave_queue(entry)
            self._stalls.clear(business_id)
        for call in self.calls_of(business_id):
            if not call.placing:
                self.remove_call(call)
                if call.task:
                    call.task.cancel()

    def _open_account(self, row: ActiveBusiness, known: BusinessEntry | None) -> Account | None:
        with suppress(BrokenSealError):
            account = self._services.accounts.account(row.business_id, row.account_sid, row.accounts)
            if known is None or known.account is None:
                self._stalls.clear(row.business_id)
            return account
        if known:
            self._leave_queue(known)
        if self._stalls.note(row.business_id, ACCOUNT):
            log.error("no leads are claimed for business %d: the auth token of its account cannot be opened", row.business_id)
        return None

    def _leave_queue(self, entry: BusinessEntry) -> None:
        if entry.account:
            self._dispatchers.of(entry.account.sid).remove(entry.business_id)

    # -- calls -------------------------------------------------------------------------------------------------------------------

    def calls_of(self, business_id: int) -> list[Call]:
        """The calls of a business that have a coroutine here."""
        return [call for call in self.calls.values() if call.attempt.business_id == business_id]

    def remove_call(self, call: Call) -> None:
        """Forget a call, unless another coroutine follows its attempt by now."""
        if self.calls.get(call.attempt.attempt_id) is call:
            del self.calls[call.attempt.attempt_id]

    def partition_of(self, call: Call) -> int | None:
        """The partition of a call's business; None when this worker does not drive it any more."""
        entry = self._entries.get(call.attempt.business_id)
        return entry.partition if entry else None

    def placing(self) -> set[int]:
        """The partitions with a POST in flight."""
        partitions = {self.partition_of(call) for call in self.calls.values() if call.placing}
        return {partition for partition in partitions if partition is not None}

    @contextmanager
    def recording_ends(self) -> Iterator[set[int]]:
        """Collect the attempts that end during a block: what was read from PostgreSQL within it may still show them as open."""
        ended: set[int] = set()
        self._recorders.append(ended)
        try:
            yield ended
        finally:
            self._recorders = [recorder for recorder in self._recorders if recorder is not ended]

    def record_end(self, attempt_id: int) -> None:
        """An attempt has ended, by a hint or with its coroutine."""
        for recorder in self._recorders:
            recorder.add(attempt_id)
