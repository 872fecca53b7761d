"""The script that moves events from the outbox into a stream: in order per run, each once, and none lost.

An entry is added first and marked afterwards: a mark without its entry would lose it. An entry that Redis refuses holds back the
later ones of its own run and no others. The whole batch is one script, so no run can be half refused and half published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dialer.messages import EVENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from dialer.messages import Event

# A mark outlives the deletion of its event by this long: another process may have read the event before.
KEEP_RELAYED_SECONDS = 120
# Until the deletion is confirmed the mark stays: PostgreSQL may be unavailable for long in between.
KEEP_UNCONFIRMED_SECONDS = 7 * 24 * 3_600
# A process that was frozen for longer than this after reading the outbox must read again, while the marks still protect.
MAX_READING_AGE_SECONDS = KEEP_RELAYED_SECONDS / 2
# Redis can be configured to refuse strings above 1 MB, and would refuse them for ever.
MAX_ENTRY_CHARACTERS = 200_000
MAX_SCRIPT_CHARACTERS = 500_000

# KEYS: the stream, and the mark of each event. ARGV: when the outbox was read, the greatest age, how long to mark; then for each
# event its run, the number of its texts, the texts. Answers for each event: published, held, or the error.
ADD_EVENTS = """
local now = redis.call('TIME')
local age = now[1] + now[2] / 1000000 - tonumber(ARGV[1])
if math.abs(age) > tonumber(ARGV[2]) then return 'stale' end
local held, answers, at = {}, {}, 4
for n = 2, #KEYS do
    local run, last = ARGV[at], at + 1 + tonumber(ARGV[at + 1])
    local answer = 'published'
    if held[run] then
        answer = 'held'
    elseif redis.call('EXISTS', KEYS[n]) == 0 then
        local added = redis.pcall('XADD', KEYS[1], '*', unpack(ARGV, at + 2, last))
        if type(added) == 'table' and added.err then
            held[run] = true
            answer = added.err
        else
            redis.pcall('SET', KEYS[n], 1, 'EX', ARGV[3])
        end
    end
    answers[n - 1] = answer
    at = last + 1
end
return answers
"""

# The events are deleted: their marks need not outlive the processes that read them before.
CONFIRM_EVENTS = """
for n = 1, #KEYS do redis.call('EXPIRE', KEYS[n], ARGV[1]) end
return 1
"""

PUBLISHED, HELD, STALE = "published", "held", "stale"

# Order is kept within a business and run.
Topic = tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class RelayResult:
    """The result of a relay: the serials that are in the stream; the runs with a refused event, each with the error."""

    published: tuple[int, ...]
    refused: dict[Topic, str]


def mark(stream: str, serial: int | None) -> str:
    """The key that marks an event as being in the stream; on the same node of a cluster as the stream."""
    return f"dialer:relayed:{{{stream}}}:{serial}"


def topic_of(event: Event) -> Topic:
    """The business and run within which an event's order is kept."""
    return event.business_id, event.run_id


def rejection_fields(event: Event) -> dict[str, str] | None:
    """The fields for `dialer:commands:rejected`; None when the event is not about an entry of dialer:commands."""
    if "entry" not in event.data:
        return None
    return {**event.data.get("fields", {}), "reason": event.data.get("reason", ""), "entry": event.data["entry"]}


async def add_events(evaluate: Callable[..., Awaitable[Any]], stream: str, events: Sequence[Event], read_at: float) -> RelayResult | None:
    """Add events to a stream by the script; None when they were read too long ago, and nothing more was added.

    `evaluate` runs EVAL: the script, the number of keys, keys and arguments.
    """
    published: list[int] = []
    refused: dict[Topic, str] = {}
    limits = [f"{read_at:.6f}", str(MAX_READING_AGE_SECONDS), str(KEEP_UNCONFIRMED_SECONDS)]
    for piece, keys, arguments in _pieces(stream, events):
        answers = await evaluate(ADD_EVENTS, len(keys), *keys, *limits, *arguments)
        if answers == STALE:
            return None
        for event, answer in zip(piece, answers, strict=True):
            if answer == PUBLISHED and event.serial is not None:
                published.append(event.serial)
            elif answer != HELD:
                # An error starts with its code; the rest may quote what we sent.
                refused[topic_of(event)] = str(answer).split(" ", 1)[0]
        if refused:
            # A later piece may have more of the same run.
            break
    return RelayResult(tuple(published), refused)


def _pieces(stream: str, events: Sequence[Event]) -> Iterator[tuple[list[Event], list[str], list[str]]]:
    """The events in pieces a script can take: the events, their keys (the stream first), their arguments."""
    piece: list[Event] = []
    keys, arguments, size = [stream], list[str](), 0
    for event in events:
        texts = _texts(stream, event)
        if piece and size + sum(map(len, texts)) > MAX_SCRIPT_CHARACTERS:
            yield piece, keys, arguments
            piece, keys, arguments, size = [], [stream], [], 0
        piece.append(event)
        keys.append(mark(stream, event.serial))
        arguments += [f"{event.business_id}/{event.run_id}", str(len(texts)), *texts]
        size += sum(map(len, texts))
    if piece:
        yield piece, keys, arguments


def _texts(stream: str, event: Event) -> list[str]:
    fields: dict[str, Any] | None = event.fields if stream == EVENTS else rejection_fields(event)
    texts = [str(text) for pair in (fields or {}).items() for text in pair]
    if stream == EVENTS and sum(map(len, texts)) > MAX_ENTRY_CHARACTERS:
        # Publish the event without its data, which is too long, rather than lose it.
        texts = [str(text) for name, value in event.fields.items() for text in (name, "{}" if name == "data" else value)]
    return [text[:MAX_ENTRY_CHARACTERS] for text in texts]
