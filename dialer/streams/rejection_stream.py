"""The stream of rejected commands, `dialer:commands:rejected`: read, sent again, or discarded by a person."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from dialer.messages import COMMANDS, REJECTED, parse_command
from dialer.streams.connection import Client, Entry, RedisConnection

if TYPE_CHECKING:
    from collections.abc import Mapping

# What the relay adds to the fields of a rejected command.
ADDED: Final = frozenset({"reason", "entry"})
REQUEUED: Final = re.compile(r"(?P<id>.*):r(?P<times>[1-9][0-9]*)", re.DOTALL)


class RejectionStream(RedisConnection):
    """`dialer:commands:rejected`."""

    async def newest_rejections(self, limit: int) -> list[Entry]:
        """The newest entries of dialer:commands:rejected, the newest first.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        found: list[Entry] = await self._run(Client.xrevrange, REJECTED, count=limit)
        return found

    async def rejection(self, entry: str) -> Entry | None:
        """The rejected command of this entry; None when there is none.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        found: list[Entry] = await self._run(Client.xrange, REJECTED, min=entry, max=entry)
        return found[0] if found else None

    async def requeue(self, entry: str, fields: Mapping[str, str]) -> str:
        """Send a rejected command again under a new id, and drop its entry; return the new id.

        The two streams may be on two nodes of a cluster: when only the first step is made, a second try sends a repeat without effect.

        Raises:
            dialer.messages.MalformedError: when it is malformed, and would be rejected again; nothing is changed.
            RedisUnavailableError: when Redis does not answer; it may have been sent, and trying again is harmless.
        """
        command = {name: text for name, text in fields.items() if name not in ADDED}
        command["id"] = requeued_id(command.get("id", ""))
        parse_command(command, entry)
        await self._run(Client.xadd, COMMANDS, command)
        await self.discard(entry)
        return command["id"]

    async def discard(self, entry: str) -> bool:
        """Drop a rejected command; False when there is none.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        return bool(await self._run(Client.xdel, REJECTED, entry))


def requeued_id(command_id: str) -> str:
    """The id of a command that is sent again: `<id>:r1`, after that `<id>:r2`. An id takes effect once, also when it is rejected."""
    before = REQUEUED.fullmatch(command_id)
    return f"{before['id']}:r{int(before['times']) + 1}" if before else f"{command_id}:r1"
