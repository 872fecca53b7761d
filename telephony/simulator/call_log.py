"""The simulator's own log: every request for a call and every call, so that a test can check what really happened.

Bounded: at most `MAX_CALLS` calls and as many requests, about 3 KB a call with all its text; then the API answers 503.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from pathlib import Path

    from dialer.clock import Clock
    from telephony.simulator.scenarios import Plan
    from telephony.simulator.voice.recordings import Recording, RecordingWish

MAX_CALLS: Final = 500_000
UNTIL_SECONDS: Final = 30.0

OUTBOUND: Final = "outbound-api"
INBOUND: Final = "inbound"
ENDED: Final = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})


@dataclass(slots=True)
class Call:
    """One call, as the telephone company sees it; `opened` and `closed` order all changes of the log. Times are aware, in UTC."""

    sid: str
    account: str
    to: str
    from_: str
    url: str | None
    twiml: str | None
    status_callback: str | None
    events: frozenset[str]
    ring_timeout_seconds: int
    time_limit_seconds: int
    machine_detection: str | None
    plan: Plan
    created_at: datetime
    opened: int
    status: str = "queued"
    started_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    closed: int | None = None
    duration_seconds: int | None = None
    answered_by: str | None = None
    sequence: int = 0
    requests: int = 1
    direction: str = OUTBOUND
    # The rest of the request.
    fallback_url: str | None = None
    detection_beside: bool = False
    detection_callback: str | None = None
    detection_timeout_seconds: int = 30
    recording_wish: RecordingWish | None = None
    # What the person has heard, each verb as JSON; the code of the script's error; how many <Gather> were heard.
    heard: list[dict[str, Any]] = field(default_factory=list)
    script_error: int | None = None
    gathers: int = 0
    recordings: list[Recording] = field(default_factory=list)
    # How long the call has waited for the account's turn.
    queue_milliseconds: int = 0
    # How long each answer took, tries included, in seconds.
    callback_seconds: list[float] = field(default_factory=list)
    script_seconds: list[float] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """True when the status never changes again."""
        return self.status in ENDED


@dataclass(slots=True)
class ReceivedRequest:
    """One request for a call, whether or not it made one, numbered from 0: its parameters, the answer, the injected fault."""

    number: int
    at: datetime
    account: str
    to: str
    from_: str
    status: int | None = None
    sid: str | None = None
    fault: str | None = None


@dataclass(slots=True)
class CallLog:
    """All requests and calls, in order; optionally appended to a file, one JSON object per line."""

    clock: Clock
    file: Path | None = None
    max_calls: int = MAX_CALLS
    calls: dict[str, Call] = field(default_factory=dict)
    received: list[ReceivedRequest] = field(default_factory=list)
    callbacks: Counter[str] = field(default_factory=Counter)
    # The call of each recording.
    recordings: dict[str, Call] = field(default_factory=dict)
    _by_to: defaultdict[tuple[str, str], list[Call]] = field(default_factory=lambda: defaultdict(list))
    _by_account: defaultdict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    _requested: Counter[str] = field(default_factory=Counter)
    _tick: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def full(self) -> bool:
        """True when no more fits."""
        return len(self.received) >= self.max_calls

    def receive(self, account: str, to: str, from_: str) -> ReceivedRequest:
        """Log a request for a call, before it is processed."""
        received = ReceivedRequest(len(self.received), self.clock.now(), account, to, from_)
        self.received.append(received)
        self._note("request", account=account, to=to, **{"from": from_})
        return received

    def nth(self, to: str) -> int:
        """How many calls to this number were requested before."""
        self._requested[to] += 1
        return self._requested[to] - 1

    def open(self, call: Call) -> None:
        """Log that a call exists from now on."""
        self._tick += 1
        call.opened = self._tick
        self._keep(call)
        inbound = {"direction": INBOUND} if call.direction == INBOUND else {}
        self._note("created", sid=call.sid, account=call.account, to=call.to, **{"from": call.from_}, **inbound)

    def move(self, call: Call, status: str) -> None:
        """Log a call's new status and its time."""
        call.status = status
        now = self.clock.now()
        if status == "in-progress":
            call.answered_at = call.started_at = now
        if call.over:
            self._tick += 1
            call.ended_at, call.closed = now, self._tick
            if call.heard:
                self._note("heard", sid=call.sid, heard=call.heard)
        self._note(status, sid=call.sid)

    def keep_recording(self, call: Call, recording: Recording) -> None:
        """Log a recording that has ended."""
        call.recordings.append(recording)
        self.recordings[recording.sid] = call
        self._note("recording", sid=call.sid, recording={**asdict(recording), "created_at": recording.created_at.isoformat()})

    def delete_recording(self, call: Call, recording: Recording) -> None:
        """Delete a recording."""
        call.recordings.remove(recording)
        del self.recordings[recording.sid]
        self._note("recording_deleted", sid=call.sid, recording=recording.sid)

    def restore(self, calls: Iterable[Call]) -> None:
        """Add the calls of an earlier run, oldest first, as many as fit; they are in the file already."""
        for call in calls:
            if len(self.calls) >= self.max_calls:
                break
            self._tick += 1
            call.opened = self._tick
            if call.over:
                self._tick += 1
                call.closed = self._tick
            self._keep(call)

    def _keep(self, call: Call) -> None:
        self.calls[call.sid] = call
        self.recordings |= {recording.sid: call for recording in call.recordings}
        self._by_to[call.account, call.to].append(call)
        self._by_account[call.account].append(call)

    def calls_of(self, account: str, to: str | None = None) -> list[Call]:
        """The calls of an account, oldest first, or those to one number."""
        return self._by_account.get(account, []) if to is None else self._by_to.get((account, to), [])

    def clear(self) -> None:
        """Delete everything; the file keeps its lines."""
        for store in (self.calls, self.received, self.callbacks, self.recordings, self._by_to, self._by_account, self._requested):
            store.clear()
        self._note("reset")

    async def until(self, met: Callable[[CallLog], bool], seconds: float = UNTIL_SECONDS) -> None:
        """Wait until `met` is true of this log.

        Raises:
            TimeoutError: when it is not within `seconds`.
        """
        async with asyncio.timeout(seconds):
            while not met(self):
                await self._changed.wait()

    def _note(self, event: str, **fields: object) -> None:
        self.notify()
        if self.file is not None:
            line = json.dumps({"at": self.clock.now().isoformat(), "event": event, **fields})
            with self.file.open("a", encoding="utf-8") as lines:
                lines.write(line + "\n")

    def notify(self) -> None:
        """Wake the callers of `until`."""
        self._changed.set()
        self._changed = asyncio.Event()
