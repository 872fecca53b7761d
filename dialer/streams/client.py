"""Redis Streams, and the only importer of redis: the fast road. PostgreSQL is the truth; whatever is lost here is found there.

A Redis that hangs costs one caller a time-out; the others fail at once until a probe has been answered (dialer/streams/circuit.py).

Nothing is read through a consumer group: dialer:commands is read from the position that stands in PostgreSQL, the hints to the owner
of a partition from where it took over, events from the id the reader names (docs/decisions/0002).

On the road of a call: between 1 and 3, and between 6 and 4.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis.asyncio as redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from dialer.clock import SystemClock
from dialer.concurrency.loop import UnavailableError
from dialer.messages import COMMANDS, EVENTS, KEEP_STREAM_SECONDS, REJECTED, Event, decode_hint, encode_hint
from dialer.streams.circuit import Admission, CircuitBreaker
from dialer.streams.relay_script import CONFIRM_EVENTS, KEEP_RELAYED_SECONDS, RelayResult, add_events, mark, rejection_fields, topic_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dialer.clock import Clock
    from dialer.messages import Hint

# A command of a background duty that takes longer than this means that Redis is away; one that a person or a permit waits for, half of it.
QUICK_SECONDS = 1.0
FOREGROUND_SECONDS = 0.5
# A blocking read is given this much longer than it blocks.
READ_GRACE_SECONDS = 1.0
# Whether Redis takes writes is asked this often at most.
WRITABLE_SECONDS = 1.0
PROBE_KEY = f"dialer:probe:{{{EVENTS}}}"
KEEP_PROBE_SECONDS = 60
MAX_ENTRIES_PER_READ = 1_000
# Words to owners are hints; nobody reads older ones.
KEEP_WORDS_SECONDS = 600
# An owner that cannot ask Redis for the time starts this far back: doing a hint twice is harmless.
LOOK_BACK_SECONDS = 60
# Events are kept this long; four times a day's length at most for a consumer group that is behind.
KEEP_EVENTS_SECONDS = 3_600
KEEP_EVENTS_FOR_GROUPS_SECONDS = 24 * 3_600
NOWHERE = "0-0"
HANGS, READ_AGAIN = "Redis hangs", "the events were read too long ago"
# Callbacks that came while PostgreSQL was away.
CALLBACKS = "dialer:callbacks:kept"

Entry = tuple[str, dict[str, str]]
# A method of redis-py: its answers are Any.
Command = Callable[..., Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outage:
    """A provider account that is not dialled for now; `since` and `until` in seconds since 1970 by Redis's clock."""

    reason: str
    since: float
    until: float


class RedisUnavailableError(UnavailableError):
    """Redis does not answer; go by PostgreSQL alone until it does."""


class Streams:
    """The streams of one Redis or Valkey server."""

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        """Connect to `url` when first used."""
        self._clock = clock or SystemClock()
        options: dict[str, Any] = {
            "decode_responses": True,
            # What a stranger writes into a public stream need not be text: it must be readable all the same, to be refused.
            "encoding_errors": "replace",
            "socket_connect_timeout": QUICK_SECONDS,
            # A retried XADD could add twice, and a caller waits no longer than it was promised.
            "retry": Retry(NoBackoff(), 0),
        }
        self._quick: redis.Redis = redis.Redis.from_url(url, socket_timeout=QUICK_SECONDS, **options)
        self._blocking: redis.Redis = redis.Redis.from_url(url, socket_timeout=None, **options)
        self._circuit = CircuitBreaker(self._clock)
        self._writable, self._writable_at = True, -WRITABLE_SECONDS
        self._asking_writable = asyncio.Lock()

    async def close(self) -> None:
        """Close every connection."""
        await self._quick.aclose()
        await self._blocking.aclose()

    async def ping(self) -> bool:
        """True when Redis takes a write within a second: one that only reads would lose every event."""
        try:
            await self._background(self._quick.set, PROBE_KEY, 1, ex=KEEP_PROBE_SECONDS)
            self._writable = True
        except RedisUnavailableError:
            self._writable = False
        self._writable_at = self._clock.boot()
        return self._writable

    async def can_write(self) -> bool:
        """Whether Redis takes writes, as seen within the last second; never raises."""
        async with self._asking_writable:
            if self._clock.boot() - self._writable_at >= WRITABLE_SECONDS:
                await self.ping()
        return self._writable and self._circuit.closed

    async def answers(self) -> bool:
        """True when Redis answers at all, even if it refuses writes."""
        try:
            await self._background(self._quick.time)
        except RedisUnavailableError:
            return False
        return True

    async def send_hint(self, partition: int, hint: Hint) -> bool:
        """Send a hint to the owner of a partition; False when Redis is away: the owner then finds out by polling."""
        oldest = int((self._clock.now().timestamp() - KEEP_WORDS_SECONDS) * 1000)
        try:
            await self._run(self._quick.xadd, _inbox(partition), encode_hint(hint), minid=oldest, approximate=True)
        except RedisUnavailableError:
            return False
        return True

    async def start_of_hints(self) -> str:
        """Where a new owner begins to read: now by Redis's clock, or a minute ago by ours when it is away."""
        try:
            seconds, microseconds = await self._run(self._quick.time)
            # One millisecond back: an entry of this very one may have the same id, and XREAD begins behind it.
            return f"{seconds * 1000 + microseconds // 1000 - 1}-0"
        except RedisUnavailableError:
            return f"{int((self._clock.now().timestamp() - LOOK_BACK_SECONDS) * 1000)}-0"

    async def hints_after(self, positions: Mapping[int, str], *, block_seconds: float) -> list[tuple[int, str, Hint | None]]:
        """Wait for hints to these partitions: partition, entry id, hint; None for one that cannot be read.

        Raises:
            AwayError: when Redis does not answer.
        """
        found = await self._read({_inbox(partition): entry for partition, entry in positions.items()}, block_seconds)
        return [(_partition(stream), entry, _hint(fields)) for stream, entries in found for entry, fields in entries]

    async def commands_after(self, entry: str, *, block_seconds: float) -> list[Entry]:
        """Wait for entries of dialer:commands after `entry`.

        Raises:
            AwayError: when Redis does not answer.
        """
        return [item for _, entries in await self._read({COMMANDS: entry}, block_seconds) for item in entries]

    async def newest_command(self) -> str:
        """The id of the newest entry dialer:commands ever had; "0-0" when it does not exist.

        Raises:
            AwayError: when Redis does not answer.
        """
        if not await self._background(self._quick.exists, COMMANDS):
            return NOWHERE
        return str((await self._background(self._quick.xinfo_stream, COMMANDS))["last-generated-id"])

    async def forget_commands(self, before: str) -> None:
        """Drop the entries of dialer:commands older than `before`, which are in the inbox.

        Raises:
            AwayError: when Redis does not answer.
        """
        await self._background(self._quick.xtrim, COMMANDS, minid=before, approximate=True)

    async def keep_callback(self, reference: str, form: Mapping[str, str]) -> bool:
        """Keep a callback that PostgreSQL cannot take now; False when Redis is away too: then it must be asked for again."""
        try:
            await self._run(self._quick.xadd, CALLBACKS, {"reference": reference, "form": json.dumps(dict(form))})
        except RedisUnavailableError:
            return False
        return True

    async def kept_callbacks(self, limit: int, after: str = NOWHERE) -> list[tuple[str, str, dict[str, str]]]:
        """The oldest callbacks kept after this entry: entry id, reference, form; the last two empty for one that is none of ours.

        Raises:
            AwayError: when Redis does not answer.
        """
        found: list[Entry] = await self._background(self._quick.xrange, CALLBACKS, min=f"({after}", count=limit)
        return [(entry, *_callback(fields)) for entry, fields in found]

    async def forget_callback(self, entry: str) -> None:
        """Drop a kept callback that has been applied.

        Raises:
            AwayError: when Redis does not answer.
        """
        await self._background(self._quick.xdel, CALLBACKS, entry)

    async def events_after(self, entry: str, *, block_seconds: float, limit: int = MAX_ENTRIES_PER_READ) -> list[Entry]:
        """Wait for entries of dialer:events after `entry`.

        Raises:
            AwayError: when Redis does not answer.
        """
        return [item for _, entries in await self._read({EVENTS: entry}, block_seconds, limit) for item in entries]

    async def event_window(self) -> tuple[str, str]:
        """The oldest entry of dialer:events that is kept, and the newest there ever was; "0-0" twice when it does not exist.

        Raises:
            AwayError: when Redis does not answer.
        """
        if not await self._run(self._quick.exists, EVENTS):
            return NOWHERE, NOWHERE
        found = await self._run(self._quick.xinfo_stream, EVENTS)
        oldest = found["first-entry"][0] if found["first-entry"] else NOWHERE
        return oldest, str(found["last-generated-id"])

    async def events_range(self, after: str, upto: str, limit: int) -> list[Entry]:
        """At most `limit` entries of dialer:events after `after`, up to and with `upto`.

        Raises:
            AwayError: when Redis does not answer.
        """
        found: list[Entry] = await self._run(self._quick.xrange, EVENTS, min=f"({after}", max=upto, count=limit)
        return found

    async def publish(self, events: Sequence[Event]) -> bool:
        """Tell the world, best effort; False when Redis is away."""
        pipe = self._quick.pipeline(transaction=False)
        for event in events:
            pipe.xadd(EVENTS, event.fields)  # type: ignore[arg-type]
        try:
            await self._run(pipe.execute)
        except RedisUnavailableError:
            return False
        return True

    async def time(self) -> float:
        """Redis's clock, in seconds since 1970.

        Raises:
            AwayError: when Redis does not answer.
        """
        seconds, microseconds = await self._background(self._quick.time)
        return float(seconds) + float(microseconds) / 1_000_000

    async def relay(self, events: Sequence[Event], read_at: float) -> RelayResult:
        """Tell the world in this order, each event once, however many relay it at the same time; keep what was rejected.

        An event that Redis refuses while it takes others is set aside with the later ones of its run. `read_at` is Redis's clock
        before the events were read: after a minute they may have been told, and their marks forgotten.

        Raises:
            AwayError: when Redis does not answer, refuses all of them, or they were read too long ago; relaying again is harmless.
        """
        rejections = [event for event in events if rejection_fields(event) is not None]
        kept = await self._add(REJECTED, rejections, read_at)
        rest = [event for event in events if topic_of(event) not in kept.refused]
        relayed = await self._add(EVENTS, rest, read_at)
        refused = {**kept.refused, **relayed.refused}
        # If Redis refuses everything, it is not about these.
        if refused and not relayed.told and not await self.ping():
            raise RedisUnavailableError(next(iter(refused.values())))
        return RelayResult(relayed.told, refused)

    async def _add(self, stream: str, events: Sequence[Event], read_at: float) -> RelayResult:
        added = await add_events(lambda *script: self._background(self._quick.eval, *script), stream, events, read_at)
        if added is None:
            raise RedisUnavailableError(READ_AGAIN)
        return added

    async def confirm(self, serials: Sequence[int]) -> None:
        """These have been deleted from the outbox: their marks may go with the relays that read them before.

        Raises:
            AwayError: when Redis does not answer; the marks then stay longer.
        """
        for stream in (EVENTS, REJECTED):
            keys = [mark(stream, serial) for serial in serials]
            await self._background(self._quick.eval, CONFIRM_EVENTS, len(keys), *keys, str(KEEP_RELAYED_SECONDS))

    async def trim_events(self) -> None:
        """Drop events that are old, but for a day none that a consumer group has still to read; and what was rejected a month ago.

        Raises:
            AwayError: when Redis does not answer.
        """
        if not await self._background(self._quick.exists, EVENTS):
            return
        seconds, _ = await self._background(self._quick.time)
        old, ancient = ((seconds - keep) * 1000 for keep in (KEEP_EVENTS_SECONDS, KEEP_EVENTS_FOR_GROUPS_SECONDS))
        groups = await self._background(self._quick.xinfo_groups, EVENTS)
        slowest = min((int(group["last-delivered-id"].split("-")[0]) for group in groups), default=old)
        await self._background(self._quick.xtrim, EVENTS, minid=max(min(old, slowest), ancient), approximate=True)
        await self._background(self._quick.xtrim, REJECTED, minid=(seconds - KEEP_STREAM_SECONDS) * 1000, approximate=True)

    async def outage(self, account_sid: str) -> Outage | None:
        """Why and how long the calls of an account wait for the provider; None when they do not.

        Raises:
            AwayError: when Redis does not answer.
        """
        reason, since, until = await self._run(self._quick.hmget, account_key(account_sid), ["reason", "open_since", "open_until"])
        # The time to try again may have passed: until a call has gone through, the circuit breaker is not closed.
        return Outage(reason or "", float(since), float(until)) if since and until else None

    async def run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> Any:  # noqa: ANN401 - Redis answers whatever the script returns
        """Run a script on the server, for the rate limiter and the circuit breaker of an account.

        Raises:
            AwayError: when Redis does not answer.
        """
        return await self._run(self._quick.eval, script, len(keys), *keys, *arguments)

    async def _read(
        self, positions: dict[str, str], block_seconds: float, limit: int = MAX_ENTRIES_PER_READ
    ) -> list[tuple[str, list[Entry]]]:
        limits = {"count": limit, "block": max(int(block_seconds * 1000), 1)}
        found = await self._background(self._blocking.xread, positions, **limits, within_seconds=block_seconds + READ_GRACE_SECONDS)
        return list(found.items()) if isinstance(found, dict) else list(found or [])

    async def _background(self, command: Command, *arguments: Any, within_seconds: float = QUICK_SECONDS, **options: Any) -> Any:  # noqa: ANN401
        """Run a command that no person waits for: it may find out whether a Redis that hung answers again."""
        if self._circuit.admit(background=True) is Admission.PROBE:
            await self._probe()
        return await self._run(command, *arguments, within_seconds=within_seconds, **options)

    async def _run(self, command: Command, *arguments: Any, within_seconds: float = FOREGROUND_SECONDS, **options: Any) -> Any:  # noqa: ANN401
        if self._circuit.admit(background=False) is Admission.PROBE:
            await self._probe()
        if not self._circuit.closed:
            raise RedisUnavailableError(HANGS)
        return await self._ask(command, arguments, options, within_seconds)

    async def _probe(self) -> None:
        """Ask something quick, before a read that may block for long."""
        with self._circuit.probing(), suppress(RedisUnavailableError):
            await self._ask(self._quick.ping, (), {}, FOREGROUND_SECONDS)

    async def _ask(self, command: Command, arguments: tuple[Any, ...], options: dict[str, Any], within_seconds: float) -> Any:  # noqa: ANN401
        asked_at = self._clock.boot()
        try:
            async with asyncio.timeout(within_seconds):
                answer = await command(*arguments, **options)
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, RedisTimeoutError | TimeoutError):
                self._circuit.timed_out(asked_at)
            else:
                # Refused, closed or an error: it costs nobody a time-out.
                self._circuit.answered()
            raise RedisUnavailableError(type(error).__name__) from error
        self._circuit.answered()
        return answer


def account_key(account_sid: str) -> str:
    """The key of an account's rate limiter and circuit breaker."""
    return f"dialer:gate:{{{account_sid}}}"


def turns_key(account_sid: str) -> str:
    """The key of the workers' turns at an account; on the same node of a cluster."""
    return f"{account_key(account_sid)}:turns"


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


def _callback(fields: dict[str, str]) -> tuple[str, dict[str, str]]:
    """What was kept; whatever a stranger has written there must not hold up what is behind it."""
    try:
        form = json.loads(fields["form"])
        return fields["reference"], {str(name): str(value) for name, value in form.items()}
    except (ValueError, KeyError, AttributeError, RecursionError):
        return "", {}
