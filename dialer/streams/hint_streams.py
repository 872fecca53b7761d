"""The hints to the owners of partitions: one stream per partition, read by its owner.

A lost hint is harmless: the owner finds the change by polling PostgreSQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dialer.messages import decode_hint, encode_hint
from dialer.streams.connection import RedisConnection, RedisUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dialer.messages import Hint

# Nobody reads older hints.
KEEP_HINTS_SECONDS = 600
# An owner that cannot read Redis's clock starts this far back: handling a hint twice is harmless.
LOOK_BACK_SECONDS = 60


class HintStreams(RedisConnection):
    """`dialer:{p0}:inbox` and its like."""

    async def send_hint(self, partition: int, hint: Hint) -> bool:
        """Send a hint to the owner of a partition; False when Redis is unavailable: the owner then finds out by polling."""
        return await self.send_hints([(partition, hint)])

    async def send_hints(self, hints: Iterable[tuple[int, Hint]]) -> bool:
        """Send hints to the owners of partitions in one round trip, in order; False as above: some may have been sent."""
        oldest = int((self._clock.now().timestamp() - KEEP_HINTS_SECONDS) * 1000)
        pipeline = self._quick.pipeline(transaction=False)
        for partition, hint in hints:
            pipeline.xadd(_inbox(partition), dict[Any, Any](encode_hint(hint)), minid=oldest, approximate=True)
        try:
            await self._run(pipeline.execute)
        except RedisUnavailableError:
            return False
        return True

    async def start_of_hints(self) -> str:
        """Where a new owner starts reading: now by Redis's clock, or a minute ago by ours when Redis is unavailable."""
        try:
            seconds, microseconds = await self._run(self._quick.time)
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
    # The braces keep the keys of a partition on one node of a Redis Cluster.
    return f"dialer:{{p{partition}}}:inbox"


def _partition(stream: str) -> int:
    return int(stream.removeprefix("dialer:{p").removesuffix("}:inbox"))


def _hint(fields: dict[str, str]) -> Hint | None:
    try:
        return decode_hint(fields)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
