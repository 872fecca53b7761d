"""The hints to the owners of partitions: one stream per partition, read by its owner.

A lost hint is harmless: the owner finds the change by polling PostgreSQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dialer.messages import decode_hint, encode_hint
from dialer.streams.connection import Client, RedisConnection, RedisUnavailableError, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dialer.messages import Hint

# Nobody reads older hints.
KEEP_HINTS_SECONDS = 600
# An owner that cannot read Redis's clock starts this far back: handling a hint twice is harmless.
LOOK_BACK_SECONDS = 60
# The braces keep all inboxes on one node of a cluster, and so a worker reads those of its partitions by one XREAD on one connection.
INBOXES = "dialer:{inbox}:p"


class HintStreams(RedisConnection):
    """`dialer:{inbox}:p0` and its like."""

    async def send_hint(self, partition: int, hint: Hint) -> bool:
        """Send a hint to the owner of a partition; False when Redis is unavailable: the owner then finds out by polling."""
        return await self.send_hints([(partition, hint)])

    async def send_hints(self, hints: Iterable[tuple[int, Hint]]) -> bool:
        """Send hints to the owners of partitions in one round trip, in order; False as above: some may have been sent."""
        oldest = int((self._clock.now().timestamp() - KEEP_HINTS_SECONDS) * 1000)
        trim: dict[str, Any] = {"minid": oldest, "approximate": True}
        steps = [Step(Client.xadd, (_inbox(partition), encode_hint(hint)), trim) for partition, hint in hints]
        try:
            await self._run_all(INBOXES, steps)
        except RedisUnavailableError:
            return False
        return True

    async def start_of_hints(self) -> str:
        """Where a new owner starts reading: now by Redis's clock, or a minute ago by ours when Redis is unavailable."""
        try:
            seconds, microseconds = await self._run(Client.time, key=INBOXES)
            # One millisecond back: XREAD starts after this id, and an entry of the same millisecond may have it.
            return f"{seconds * 1000 + microseconds // 1000 - 1}-0"
        except RedisUnavailableError:
            return f"{int((self._clock.now().timestamp() - LOOK_BACK_SECONDS) * 1000)}-0"

    async def hints_after(self, positions: Mapping[int, str], *, block_seconds: float) -> list[tuple[int, str, Hint | None]]:
        """Wait for hints to these partitions: partition, entry id, hint; None for one that cannot be read.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        found = await self._read({_inbox(partition): entry for partition, entry in positions.items()}, block_seconds)
        return [(_partition(stream), entry, _hint(fields)) for stream, entries in found for entry, fields in entries]


def _inbox(partition: int) -> str:
    return f"{INBOXES}{partition}"


def _partition(stream: str) -> int:
    return int(stream.removeprefix(INBOXES))


def _hint(fields: dict[str, str]) -> Hint | None:
    try:
        return decode_hint(fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
