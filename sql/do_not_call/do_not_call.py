"""The do-not-call list of each business: its own, and the official registers it has imported.

A number on either is not called from the moment of the answer on: the change and the claim lock the lane of the business. A long list is
added in parts, each a transaction of its own; a register is loaded beside the one in force, and then takes its place at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from sql.audit.audit import CURRENT_ADDRESS
from sql.commands.requests import answer_of, answer_request, receive_request
from sql.statements import statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    from asyncpg import Record

    from sql.pool import Pool

TEXT = statements("do_not_call")
# Some ten milliseconds, in which no lead of the business is taken.
ADDED_AT_ONCE = 1_000
LOADED_AT_ONCE = 5_000
EXPORT_PAGE_ROWS = 1_000
# The kinds of requests that change the lists.
ADD, REPLACE = "do_not_call.add", "do_not_call.replace_register"
OWN_LIST = 0
# Of the rows of a register. What cannot be read is called, so a file that is mostly unreadable must not replace a good one.
MOST_UNREADABLE = 0.1

# A phone in E.164, and why it is not to be called.
Entry = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class ListRequest:
    """A request to change the list; `id` is from the Idempotency-Key, or new, and `digest` tells it from a different one.

    `detail` goes into the audit log.
    """

    business_id: int
    id: str
    digest: bytes
    requested_by: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ListEntry:
    """A number that is not called: `register` is the name of the register it is on, None for the list of the business itself."""

    phone: str
    register_id: int
    register: str | None
    reason: str | None
    added_at: datetime
    added_by: str | None

    @property
    def place(self) -> ListPlace:
        """Where it is in the list."""
        return ListPlace(self.phone, self.register_id)


@dataclass(frozen=True, slots=True)
class ListPlace:
    """A place in the list, which is ordered by phone and register; the default is its beginning."""

    phone: str = ""
    register_id: int = OWN_LIST


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which numbers are meant: of a `register`, or of all lists; matching any of these LIKE patterns, or all numbers."""

    register: str | None = None
    phones: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Register:
    """An official register in force: when it was imported, and how many numbers it has."""

    register_id: int
    name: str
    imported_at: datetime
    numbers: int


@dataclass(frozen=True, slots=True)
class Removal:
    """The numbers that were removed, or those on a register, each with its `phone` and `register`: then none was removed."""

    removed: list[str]
    on_register: list[dict[str, str]]


def may_replace_register(numbers: int, unreadable: int) -> bool:
    """Whether a file with so many numbers, and so many rows without one, may take the place of a register."""
    return numbers > 0 and unreadable <= MOST_UNREADABLE * (numbers + unreadable)


class LaterRegisterError(Exception):
    """A register was not put in force: a later import was faster, or this one has taken a day."""


class DoNotCall:
    """The lists of all businesses, in PostgreSQL."""

    def __init__(self, pool: Pool) -> None:
        """Use `pool`, which the caller closes."""
        self._pool = pool

    async def add(self, request: ListRequest, entries: Collection[Entry], report: dict[str, Any]) -> dict[str, Any]:
        """Add numbers to the list of the business; return `report` with `added`, `already` and `in_progress`.

        A request that was cut off may be repeated; one that was answered gets its answer again.

        Raises:
            IdReusedError: when the id was used before with another digest.
            DatabaseUnavailableError: when it failed or its answer was lost; retrying the same request is harmless.
        """
        answer = await self._receive(request, ADD)
        if answer is not None:
            return answer
        added, audit_id = 0, None
        for part in _parts(entries, ADDED_AT_ONCE):
            phones, reasons = [phone for phone, _ in part], [reason for _, reason in part]
            detail = {**request.detail, "id": request.id}
            values = request.business_id, phones, reasons, request.requested_by, detail, audit_id, CURRENT_ADDRESS.get()
            [row] = await self._pool.fetch(TEXT["add"], *values)
            added, audit_id = added + row["added"], row["audit_id"]
        return await self._answer(request, entries, added, report)

    async def refuse(self, business_id: int, phone: str, reason: str, detail: dict[str, Any]) -> None:
        """Add the number of a person who asked for it during a call; one that is on the list stays as it is."""
        await self._pool.execute(TEXT["refuse"], business_id, phone, reason, detail)

    async def replace_register(self, request: ListRequest, name: str, entries: Collection[Entry], report: dict[str, Any]) -> dict[str, Any]:
        """Let these numbers take the place of the register with this `name`; otherwise as `add`.

        Raises:
            LaterRegisterError: when a later import was put in force meanwhile.
        """
        answer = await self._receive(request, REPLACE)
        if answer is not None:
            return answer
        business_id, added = request.business_id, 0
        register_id = await self._pool.fetchval(TEXT["begin_register"], business_id, name)
        for part in _parts(entries, LOADED_AT_ONCE):
            numbers = [phone for phone, _ in part]
            added += await self._pool.fetchval(TEXT["load_register"], business_id, register_id, numbers, request.requested_by)
        detail = {**request.detail, "id": request.id}
        values = business_id, register_id, added, request.requested_by, detail, CURRENT_ADDRESS.get()
        if not await self._pool.fetchval(TEXT["replace_register"], *values):
            raise LaterRegisterError
        return await self._answer(request, entries, added, report)

    async def remove(self, business_id: int, phones: Sequence[str], requested_by: str) -> Removal:
        """Take numbers off the list of the business; none while one of them is on a register."""
        [row] = await self._pool.fetch(TEXT["remove"], business_id, list(phones), requested_by, CURRENT_ADDRESS.get())
        return Removal(row["removed"], row["on_register"])

    async def page(self, business_id: int, wanted: ListFilter, *, after: ListPlace, limit: int) -> list[ListEntry]:
        """The numbers in force after a place, in the order of the list."""
        return [ListEntry(**row) for row in await self._rows("page", business_id, wanted, after, limit)]

    async def places_before(self, business_id: int, wanted: ListFilter, *, until: ListPlace, limit: int) -> list[ListPlace]:
        """The places up to and including `until`, backwards."""
        return [ListPlace(row["phone"], row["register_id"]) for row in await self._rows("page_before", business_id, wanted, until, limit)]

    async def export(self, business_id: int, register_id: int = OWN_LIST) -> AsyncIterator[ListEntry]:
        """Every number of the list of the business, or of a register, read in pages."""
        after = ""
        while rows := await self._pool.fetch(TEXT["export"], business_id, register_id, after, EXPORT_PAGE_ROWS):
            for row in rows:
                yield ListEntry(**row, register_id=register_id, register=None)
            after = rows[-1]["phone"]

    async def registers(self, business_id: int) -> list[Register]:
        """The registers in force, by name."""
        return [Register(**row) for row in await self._pool.fetch(TEXT["registers"], business_id)]

    async def answer(self, business_id: int, request_id: str) -> dict[str, Any] | None:
        """The answer to `add` or `replace_register`, which is kept for a day; None when there is none."""
        return await answer_of(self._pool, business_id, request_id, (ADD, REPLACE))

    async def _receive(self, request: ListRequest, kind: str) -> dict[str, Any] | None:
        return await receive_request(
            self._pool, request.business_id, request_id=request.id, digest=request.digest, kind=kind, requested_by=request.requested_by
        )

    async def _answer(self, request: ListRequest, entries: Collection[Entry], added: int, report: dict[str, Any]) -> dict[str, Any]:
        on_the_line = [row["phone"] for row in await self._pool.fetch(TEXT["in_progress"], request.business_id)]
        looked_for = frozenset(on_the_line)
        listed = {phone for phone, _ in entries if phone in looked_for} if looked_for else set()
        in_progress = sum(1 for phone in on_the_line if phone in listed)
        answer = {**report, "added": added, "already": len(entries) - added, "in_progress": in_progress}
        return await answer_request(self._pool, request.business_id, request.id, answer)

    async def _rows(self, name: str, business_id: int, wanted: ListFilter, place: ListPlace, limit: int) -> list[Record]:
        patterns = None if wanted.phones is None else list(wanted.phones)
        return await self._pool.fetch(TEXT[name], business_id, place.phone, place.register_id, patterns, wanted.register, limit)


def _parts(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    rest = iter(entries)
    while part := list(islice(rest, size)):
        yield part
