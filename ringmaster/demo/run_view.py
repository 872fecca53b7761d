"""A run as somebody looks at it: its counts, its calls on the line, and what happened last.

Pure: no I/O. Beside the road of a call: at its far end, where a person looks on.
"""

from __future__ import annotations

import contextlib
import csv
import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dialer.model import ENDED_RUNS
from ringmaster.demo.accounting import COUNTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ringmaster.demo.sse import ServerEvent

EVENTS_KEPT = 6
ID_DIGITS = 10

WORDS = {
    "human": "answered",
    "machine": "voicemail",
    "fax": "a fax answered",
    "no-answer": "no answer",
    "canceled": "cancelled",
}


@dataclass(slots=True)
class RunView:
    """One run. `counts` are those of the API; `calls` has what is on the line, each with `lead_id` and `state` or `status`."""

    name: str
    run_id: int
    total: int
    names: Mapping[int, str]
    status: str = "pending"
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    calls: Sequence[Mapping[str, Any]] = ()
    last: deque[str] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    end_seen: bool = False

    def __post_init__(self) -> None:
        """Before anything is known, every lead waits."""
        self.counts["queued"] = self.total

    @property
    def done(self) -> int:
        """How many leads are not waiting and not on the line any more."""
        return self.total - self.counts["queued"] - self.counts["in_progress"]

    @property
    def over(self) -> bool:
        """True when the run has ended and none of its calls is on the line."""
        return self.status in ENDED_RUNS and self.counts["in_progress"] == 0

    def see(self, run: Mapping[str, Any]) -> None:
        """Take in how the run stands, as the API or an event has it."""
        self.status, self.total = run["status"], run["total_leads"]
        self.counts = {name: run[name] for name in COUNTED}
        if self.over:
            self.calls = ()

    def apply(self, event: ServerEvent) -> None:
        """Take in one event of the run's stream."""
        body = json.loads(event.data) if event.data else {}
        found = body.get("data") or {}
        match event.name:
            case "reset" | "end":
                self.see(body["run"])
                self.calls = body.get("calls", ())
                self.end_seen = event.name == "end"
            case "run.progress":
                self.see(found)
            case "call.progress":
                self.calls = found["calls"]
            case "job.changed":
                self.last.append(f"{self.lead(found['lead_id'])}: {said(found)}")
                self.calls = [call for call in self.calls if call["lead_id"] != found["lead_id"]]
            case name if name.startswith("run."):
                self.last.append(f"the run has {name.removeprefix('run.')}")
            case _:  # what later days bring
                pass

    def lead(self, lead_id: int) -> str:
        """What a lead is called."""
        return self.names.get(lead_id) or f"lead {lead_id}"


def said(job: Mapping[str, Any]) -> str:
    """How a lead's call ended, in words."""
    outcome = str(job.get("outcome") or job["status"])
    return WORDS.get(outcome, outcome)


def names(leads: bytes) -> dict[int, str]:
    """The names in a file of leads by lead_id, as far as they can be read: only a screen shows them."""
    text = leads.decode("utf-8-sig", errors="replace")
    found: dict[int, str] = {}
    with contextlib.suppress(csv.Error):
        for row in csv.DictReader(text.splitlines()):
            number, name = row.get("lead_id") or "", row.get("name") or ""
            if number.isascii() and number.isdigit() and name:
                # Of a lead that comes twice the first row is taken.
                found.setdefault(int(number[:ID_DIGITS]), name)
    return found
