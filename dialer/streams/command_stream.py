"""The stream of commands from other programs, `dialer:commands`, read from the position that stands in PostgreSQL."""

from __future__ import annotations

from dialer.messages import COMMANDS
from dialer.streams.connection import NOWHERE, Client, Entry, RedisConnection


class CommandStream(RedisConnection):
    """`dialer:commands`."""

    async def commands_after(self, entry: str, *, block_seconds: float) -> list[Entry]:
        """Wait for entries of dialer:commands after `entry`.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        return [item for _, entries in await self._read({COMMANDS: entry}, block_seconds) for item in entries]

    async def newest_command(self) -> str:
        """The id of the newest entry dialer:commands ever had; "0-0" when it does not exist.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        if not await self._background(Client.exists, COMMANDS):
            return NOWHERE
        return str((await self._background(Client.xinfo_stream, COMMANDS))["last-generated-id"])

    async def forget_commands(self, before: str) -> None:
        """Drop the entries of dialer:commands older than `before`, which are in the inbox.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        await self._background(Client.xtrim, COMMANDS, minid=before, approximate=True)
