"""What a stream of events is about, one run or all runs of a business, and the content of its reset, end and heartbeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from web.api.serializers import job_json, run_json
from web.events.frames import encode
from web.operations.runs import is_live

if TYPE_CHECKING:
    from web.events.states import BusinessState

# A comment keeps the connection open.
COMMENT: Final = b": alive\n\n"
# Browsers hide comments from scripts: with this event a script notices that a connection has died silently.
ALIVE: Final = encode("alive", {"type": "alive", "run_id": None})


class Subject(Protocol):
    """What a stream is about."""

    @property
    def run_id(self) -> int | None:
        """The run, or None for all runs of the business."""

    @property
    def ends(self) -> bool:
        """True when the stream ends with its subject."""

    @property
    def heartbeat(self) -> bytes:
        """What is sent when there are no events."""

    def reset(self, state: BusinessState, *, live: bool) -> dict[str, Any] | None:
        """The full state; None when the run no longer exists. When `live`, events follow, otherwise another reset."""

    def end(self, state: BusinessState) -> dict[str, Any] | None:
        """The last event of the stream; None while more may come."""


@dataclass(frozen=True, slots=True)
class WholeRun:
    """One run."""

    run_id: int
    ends: bool = True
    heartbeat: bytes = COMMENT

    def reset(self, state: BusinessState, *, live: bool) -> dict[str, Any] | None:
        """The run and its calls on the line."""
        run = state.runs.get(self.run_id)
        if run is None:
            return None
        calls = [job_json(job) for run_id, job in state.calls if run_id == self.run_id]
        return {"type": "reset", "run_id": self.run_id, "live": live, "run": run_json(run), "calls": calls}

    def end(self, state: BusinessState) -> dict[str, Any] | None:
        """The run, once it has ended and nothing of it is in flight."""
        run = state.runs.get(self.run_id)
        if run is None or is_live(run):
            return None
        return {"type": "end", "run_id": self.run_id, "run": run_json(run)}


@dataclass(frozen=True, slots=True)
class WholeBusiness:
    """All runs of a business; its stream has no end."""

    run_id: None = None
    ends: bool = False
    heartbeat: bytes = ALIVE

    def reset(self, state: BusinessState, *, live: bool) -> dict[str, Any] | None:
        """The runs that have not ended or still have calls, the newest first, and every call on the line with its run."""
        return {
            "type": "reset",
            "run_id": None,
            "live": live,
            "runs": [run_json(run) for run in state.active],
            "more_runs": state.more_active,
            "calls": [{"run_id": run_id, **job_json(job)} for run_id, job in state.calls],
        }

    def end(self, state: BusinessState) -> dict[str, Any] | None:  # noqa: ARG002 - a business has no end
        """None."""
        return None
