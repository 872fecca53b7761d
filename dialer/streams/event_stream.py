"""The stream of events for other programs, `dialer:events`; with it the relay fills that of rejected commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dialer.messages import EVENTS, KEEP_STREAM_SECONDS, REJECTED
from dialer.streams.connection import MAX_ENTRIES_PER_READ, NOWHERE, Client, Entry, RedisConnection, RedisUnavailableError, Step
from dialer.streams.relay_script import CONFIRM_EVENTS, KEEP_RELAYED_SECONDS, RelayResult, add_events, mark, rejection_fields, topic_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dialer.messages import Event

# Events are kept this long, and up to a day for a consumer group that is behind.
KEEP_EVENTS_SECONDS = 3_600
KEEP_EVENTS_FOR_GROUPS_SECONDS = 24 * 3_600
READ_AGAIN = "the events were read too long ago"


class EventStream(RedisConnection):
    """`dialer:events` and `dialer:commands:rejected`."""

    async def events_after(self, entry: str, *, block_seconds: float, limit: int = MAX_ENTRIES_PER_READ) -> list[Entry]:
        """Wait for entries of dialer:events after `entry`.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        return [item for _, entries in await self._read({EVENTS: entry}, block_seconds, limit) for item in entries]

    async def event_window(self) -> tuple[str, str]:
        """The oldest entry of dialer:events that is kept, and the newest there ever was; "0-0" twice when it does not exist.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        if not await self._run(Client.exists, EVENTS):
            return NOWHERE, NOWHERE
        found = await self._run(Client.xinfo_stream, EVENTS)
        oldest = found["first-entry"][0] if found["first-entry"] else NOWHERE
        return oldest, str(found["last-generated-id"])

    async def events_range(self, after: str, upto: str, limit: int) -> list[Entry]:
        """At most `limit` entries of dialer:events after `after`, up to and with `upto`.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        found: list[Entry] = await self._run(Client.xrange, EVENTS, min=f"({after}", max=upto, count=limit)
        return found

    async def publish(self, events: Sequence[Event]) -> bool:
        """Publish events, best effort; False when Redis is unavailable."""
        try:
            await self._run_all(EVENTS, [Step(Client.xadd, (EVENTS, event.fields)) for event in events])
        except RedisUnavailableError:
            return False
        return True

    async def relay(self, events: Sequence[Event], read_at: float) -> RelayResult:
        """Publish these events in order, each once however many processes relay it, and the rejected commands to their own stream.

        An event that Redis refuses while it accepts others is set aside with the later ones of its run. `read_at` is Redis's clock (`time`)
        before the events were read: a minute later they may have been published by another process, and their marks deleted.

        Raises:
            RedisUnavailableError: when Redis does not answer, refuses all of them, or they were read too long ago; retrying is harmless.
        """
        rejections = [event for event in events if rejection_fields(event) is not None]
        try:
            kept = await self._add(REJECTED, rejections, read_at)
        except RedisUnavailableError as error:
            # It may be on a node of a cluster that is away, while that of the events answers.
            kept = RelayResult((), {topic_of(event): str(error) for event in rejections})
        rest = [event for event in events if topic_of(event) not in kept.refused]
        relayed = await self._add(EVENTS, rest, read_at)
        refused = {**kept.refused, **relayed.refused}
        # If Redis refuses everything, the cause is not in these events.
        if refused and not relayed.published and not await self.ping():
            raise RedisUnavailableError(next(iter(refused.values())))
        return RelayResult(relayed.published, refused)

    async def _add(self, stream: str, events: Sequence[Event], read_at: float) -> RelayResult:
        added = await add_events(lambda *script: self._background(Client.eval, *script, key=stream), stream, events, read_at)
        if added is None:
            raise RedisUnavailableError(READ_AGAIN)
        return added

    async def confirm(self, serials: Sequence[int]) -> None:
        """Let the marks of these events expire: they have been deleted from the outbox.

        Raises:
            RedisUnavailableError: when Redis does not answer; the marks then stay longer.
        """
        for stream in (EVENTS, REJECTED):
            keys = [mark(stream, serial) for serial in serials]
            await self._background(Client.eval, CONFIRM_EVENTS, len(keys), *keys, str(KEEP_RELAYED_SECONDS), key=stream)

    async def trim_events(self) -> None:
        """Trim old events, but for a day none that a consumer group has not read yet; and commands rejected a month ago.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        if not await self._background(Client.exists, EVENTS):
            return
        seconds = int(await self.time())
        old, ancient = ((seconds - keep) * 1000 for keep in (KEEP_EVENTS_SECONDS, KEEP_EVENTS_FOR_GROUPS_SECONDS))
        groups = await self._background(Client.xinfo_groups, EVENTS)
        slowest = min((int(group["last-delivered-id"].split("-")[0]) for group in groups), default=old)
        await self._background(Client.xtrim, EVENTS, minid=max(min(old, slowest), ancient), approximate=True)
        await self._background(Client.xtrim, REJECTED, minid=(seconds - KEEP_STREAM_SECONDS) * 1000, approximate=True)
