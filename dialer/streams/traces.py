"""Deletes what the streams still have of a business, or of one person in it, after both have been erased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialer.messages import COMMANDS, EVENTS, REJECTED
from dialer.streams.callback_stream import CALLBACKS
from dialer.streams.connection import NOWHERE, Client, RedisConnection

if TYPE_CHECKING:
    from collections.abc import Collection

    from dialer.streams.connection import Entry

PAGE: Final = 500


class Traces(RedisConnection):
    """The entries about one business in all streams; the hints to workers are numbers only, and nobody reads them after ten minutes."""

    async def erase_business(self, business_id: int) -> int:
        """Delete every entry about a business; return how many there were.

        Raises:
            RedisUnavailableError: when Redis does not answer; some may be deleted, and a repeat deletes the rest.
        """
        return await self._erase(business_id, "", frozenset())

    async def erase_person(self, business_id: int, phone: str, job_ids: Collection[str]) -> int:
        """Delete the entries about one person in a business, by the phone number and the ids of the leads; return how many there were.

        Raises:
            RedisUnavailableError: when Redis does not answer; some may be deleted, and a repeat deletes the rest.
        """
        return await self._erase(business_id, phone.removeprefix("+"), job_ids)

    async def _erase(self, business_id: int, digits: str, job_ids: Collection[str]) -> int:
        erased = 0
        for stream in (COMMANDS, EVENTS, REJECTED, CALLBACKS):
            after = NOWHERE
            while entries := await self._page(stream, after):
                after = entries[-1][0]
                wanted = [entry for entry, fields in entries if _is_about(fields, business_id, digits, job_ids)]
                if wanted:
                    erased += int(await self._run(Client.xdel, stream, *wanted))
        return erased

    async def _page(self, stream: str, after: str) -> list[Entry]:
        found: list[Entry] = await self._run(Client.xrange, stream, min=f"({after}", count=PAGE)
        return found


def _is_about(fields: dict[str, str], business_id: int, digits: str, job_ids: Collection[str]) -> bool:
    if fields.get("business_id") != str(business_id) and not fields.get("reference", "").startswith(f"{business_id}-"):
        return False
    return not digits or fields.get("job_id") in job_ids or any(digits in text for text in fields.values())
