"""Callbacks that came while PostgreSQL was unavailable, kept in a stream until they are replayed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dialer.streams.connection import NOWHERE, Client, Entry, RedisConnection, RedisUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

CALLBACKS = "dialer:callbacks:kept"


class CallbackStream(RedisConnection):
    """`dialer:callbacks:kept`."""

    async def keep_callback(self, reference: str, form: Mapping[str, str]) -> bool:
        """Keep a callback that PostgreSQL cannot store now; False when Redis is unavailable too: the provider has to retry then."""
        try:
            await self._run(Client.xadd, CALLBACKS, {"reference": reference, "form": json.dumps(dict(form))})
        except RedisUnavailableError:
            return False
        return True

    async def kept_callbacks(self, limit: int, after: str = NOWHERE) -> list[tuple[str, str, dict[str, str]]]:
        """The oldest callbacks kept after this entry: entry id, reference, form; the last two are empty for a foreign entry.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        found: list[Entry] = await self._background(Client.xrange, CALLBACKS, min=f"({after}", count=limit)
        return [(entry, *_callback(fields)) for entry, fields in found]

    async def forget_callback(self, entry: str) -> None:
        """Drop a kept callback that has been applied.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        await self._background(Client.xdel, CALLBACKS, entry)


def _callback(fields: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The reference and the form of a kept callback; a malformed entry must not block those behind it."""
    try:
        form = json.loads(fields["form"])
        return fields["reference"], {str(name): str(value) for name, value in form.items()}
    except (ValueError, KeyError, AttributeError, RecursionError):
        return "", {}
