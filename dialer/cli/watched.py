"""A run as somebody looks at it: its counts, its calls on the line, and what happened last.

Pure: no I/O. Beside the road of a call: at its far end, where a person looks on.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dialer.cli.accounting import COUNTED
from dialer.log import mask_phone
from dialer.model import ENDED_RUNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dialer.cli.sse import ServerEvent

EVENTS_KEPT = 6
NAMES_KEPT = 1_000  # of leads seen on the line lately

WORDS = {
    "human": "answered",
    "machine": "voicemail",
    "fax": "a fax answered",
    "no-answer": "no answer",
    "canceled": "cancelled",
}


@dataclass(slots=True)
class Watched:
    """One run. `counts` are those of the API; `calls` are its jobs on the line, as the API shows them."""

    name: str
    run_id: int
    total: int
    status: str = "pending"
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    calls: list[Mapping[str, Any]] = field(default_factory=list)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    end_seen: bool = False
    _names: dict[int, str] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many leads are not waiting and not on the line any more."""
        return self.total - self.counts["queued"] - self.counts["in_progress"]

    @property
    def over(self) -> bool:
        """True when the run has ended and none of its calls is on the line."""
        return self.status in ENDED_RUNS and self.counts["in_progress"] == 0

    def see(self, run: Mapping[str, Any], calls: Sequence[Mapping[str, Any]]) -> None:
        """Take in what the API says of the run and of its calls on the line."""
        self.status, self.total = run["status"], run["total_leads"]
        self.counts = {name: run[name] for name in COUNTED}
        self.calls = list(calls)
        for call in calls:
            self._names[call["lead_id"]] = call["name"] or mask_phone(call["phone"])
        while len(self._names) > NAMES_KEPT:
            del self._names[next(iter(self._names))]

    def hear(self, event: ServerEvent) -> None:
        """Take in one event of the run's stream."""
        if event.name == "end":
            self.end_seen = True
        elif event.name == "job.changed":
            found = json.loads(event.data)["data"]
            self.last.append(f"{self._lead(found['lead_id'])}: {said(found)}")
        elif event.name.startswith("run.") and event.name != "run.progress":
            self.last.append(f"the run has {event.name.removeprefix('run.')}")

    def _lead(self, lead_id: int) -> str:
        return self._names.get(lead_id) or f"lead {lead_id}"


def said(job: Mapping[str, Any]) -> str:
    """How a lead's call ended, in words."""
    outcome = str(job.get("outcome") or job["status"])
    return WORDS.get(outcome, outcome)
