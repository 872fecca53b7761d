"""All streams of one Redis: the fast way. PostgreSQL is the truth, and whatever is lost here is found there.

Nothing is read through a consumer group: dialer:commands is read from the position that stands in PostgreSQL, the hints to the owner
of a partition from where it took over, events from the id the reader names (docs/decisions/0002).
"""

from __future__ import annotations

from dataclasses import dataclass

from dialer.config import ConfigError
from dialer.streams.callback_stream import CALLBACKS, CallbackStream
from dialer.streams.command_stream import CommandStream
from dialer.streams.connection import NOWHERE, Client, Entry, RedisUnavailableError
from dialer.streams.event_stream import EventStream
from dialer.streams.hint_streams import LOOK_BACK_SECONDS, HintStreams
from dialer.streams.rejection_stream import RejectionStream
from dialer.streams.traces import Traces

__all__ = [
    "CALLBACKS",
    "LOOK_BACK_SECONDS",
    "NOWHERE",
    "Entry",
    "Outage",
    "RedisUnavailableError",
    "Streams",
    "account_key",
    "turns_key",
]


@dataclass(frozen=True, slots=True)
class Outage:
    """A provider account that is not dialled for now; `since` and `until` in seconds since 1970 by Redis's clock."""

    reason: str
    since: float
    until: float


class Streams(CommandStream, HintStreams, EventStream, RejectionStream, CallbackStream, Traces):
    """Every stream of one Redis or Valkey server or cluster, and the outages of provider accounts, over the same connections."""

    async def require_fit(self) -> None:
        """Refuse an address without which a part of the streams could not be reached; does nothing when Redis is away.

        Raises:
            ConfigError: when a node of a cluster has a plain address, or the reverse.
        """
        if misfit := await self.misfit():
            message = f"REDIS_URL: {misfit}"
            raise ConfigError(message)

    async def outage(self, account_sid: str) -> Outage | None:
        """Why and until when the calls of an account wait for the provider; None when they do not.

        Raises:
            RedisUnavailableError: when Redis does not answer.
        """
        reason, since, until = await self._run(Client.hmget, account_key(account_sid), ["reason", "open_since", "open_until"])
        # The time to retry may have passed; the outage lasts until a call has succeeded.
        return Outage(reason or "", float(since), float(until)) if since and until else None


def account_key(account_sid: str) -> str:
    """The key of an account's rate limiter and circuit breaker."""
    return f"dialer:gate:{{{account_sid}}}"


def turns_key(account_sid: str) -> str:
    """The key of the workers' turns at an account; on the same node of a cluster."""
    return f"{account_key(account_sid)}:turns"
