"""The state of a run for display: its counts, its calls in progress and its last events.

Pure: no I/O.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dialer.model import ENDED_RUNS
from ringmaster.demo.accounting import COUNTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ringmaster.demo.sse import ServerEvent

EVENTS_KEPT = 6
ID_DIGITS = 10

OUTCOME_LABELS = {
    "human": "answered",
    "machine": "voicemail",
    "fax": "a fax answered",
    "no-answer": "no answer",
    "canceled": "cancelled",
}
# What ends the wait, by the reason in `waits_for`; `created` is our own, of a run that does not exist yet.
WAIT_LABELS = {
    "created": "created at {until:%H:%M:%S}",
    "closed": "opens at {until:%H:%M}",
    "retry": "calls again",
}


@dataclass(slots=True)
class RunView:
    """One run. `counts` are those of the API; `calls` are those in progress, each with `lead_id` and `state` or `status`.

    `waits` are the reasons why no lead is taken, those of `waits_for` in the API. A run that does not exist yet has the run_id 0.
    """

    name: str
    run_id: int
    total: int
    names: Mapping[int, str]
    status: str = "pending"
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    calls: Sequence[Mapping[str, Any]] = ()
    last: deque[str] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    waits: Sequence[Mapping[str, Any]] = ()
    end_seen: bool = False

    def __post_init__(self) -> None:
        """At first every lead is queued."""
        self.counts["queued"] = self.total

    @property
    def done(self) -> int:
        """How many leads are neither queued nor in progress."""
        return self.total - self.counts["queued"] - self.counts["in_progress"]

    @property
    def over(self) -> bool:
        """True when the run has ended and none of its calls is in progress."""
        return self.status in ENDED_RUNS and self.counts["in_progress"] == 0

    def update(self, run: Mapping[str, Any]) -> None:
        """Replace status and counts by those of the API or of an event."""
        self.status, self.total = run["status"], run["total_leads"]
        self.counts = {name: run[name] for name in COUNTED}
        # Events do not tell it. What was told last ends by itself.
        self.waits = run.get("waits_for", self.waits)
        if self.over:
            self.calls = self.waits = ()

    def waiting(self, now: datetime, step_seconds: int = 1) -> str | None:
        """What the run waits for, with a countdown in steps; None when it does not wait, or until nobody knows when."""
        ends = [(datetime.fromisoformat(wait["until"]), str(wait["reason"])) for wait in self.waits if wait.get("until")]
        until, reason = min(((until, reason) for until, reason in ends if until > now), default=(now, ""))
        if not reason:
            return None
        seconds = math.ceil((until - now).total_seconds() / step_seconds) * step_seconds
        label = WAIT_LABELS.get(reason, reason.replace("_", " ") + " until {until:%H:%M:%S}")
        return f"waiting: {label.format(until=until.astimezone())}, in {seconds} s"

    def apply(self, event: ServerEvent) -> None:
        """Apply one event of the run's stream."""
        body = json.loads(event.data) if event.data else {}
        data = body.get("data") or {}
        match event.name:
            case "reset" | "end":
                self.update(body["run"])
                self.calls = body.get("calls", ())
                self.end_seen = event.name == "end"
            case "run.progress":
                self.update(data)
            case "call.progress":
                self.calls = data["calls"]
            case "job.changed":
                self.last.append(f"{self.lead(data['lead_id'])}: {outcome_label(data)}")
                self.calls = [call for call in self.calls if call["lead_id"] != data["lead_id"]]
            case name if name.startswith("run."):
                self.last.append(f"the run has {name.removeprefix('run.')}")
            case _:  # an event type of a later release
                pass

    def lead(self, lead_id: int) -> str:
        """The name of a lead."""
        return self.names.get(lead_id) or f"lead {lead_id}"


def outcome_label(job: Mapping[str, Any]) -> str:
    """The outcome of a lead's call, for display."""
    outcome = str(job.get("outcome") or job["status"])
    return OUTCOME_LABELS.get(outcome, outcome)


def names(leads: bytes) -> dict[int, str]:
    """The names in a file of leads by lead_id, as far as they can be read: they are only displayed."""
    text = leads.decode("utf-8-sig", errors="replace")
    by_id: dict[int, str] = {}
    with contextlib.suppress(csv.Error):
        for row in csv.DictReader(text.splitlines()):
            number, name = row.get("lead_id") or "", row.get("name") or ""
            if number.isascii() and number.isdigit() and name:
                # The first row of a duplicate lead wins, as in the importer.
                by_id.setdefault(int(number[:ID_DIGITS]), name)
    return by_id
