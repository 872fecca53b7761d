"""The timeline of one attempt: the steps we recorded ourselves, and each callback of the provider."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from dialer.model import AttemptState
from web.pages import labels
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The steps we record ourselves, by the column that holds their time.
STEPS: Final = {
    "created_at": msgid("Recorded, about to be placed"),
    "placed_at": msgid("Accepted by the provider"),
    "ringing_at": msgid("Ringing"),
    "answered_at": msgid("Answered"),
    "hang_up_at": msgid("Hang-up requested"),
    "ended_at": msgid("Call ended"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a call; `fields` are those of the callback that reported it, None for a step we recorded ourselves."""

    at: datetime
    label: str
    fields: Mapping[str, object] | None = None
    verdict: str = ""
    answer: int = 0


def timeline_of(attempt: Mapping[str, Any]) -> list[Step]:
    """The steps of an attempt in the order they happened."""
    return sorted(_steps(attempt), key=lambda step: step.at)


def _steps(attempt: Mapping[str, Any]) -> Iterator[Step]:
    for column, label in STEPS.items():
        if attempt[column] is not None:
            yield Step(_aware(attempt[column]), _end_label(attempt) if column == "ended_at" else label)
    for callback in attempt["callbacks"]:
        fields = callback["fields"]
        label = labels.CALL_STATUS_LABELS.get(str(fields.get("CallStatus")), msgid("Other"))
        yield Step(callback["received_at"], label, fields, callback["verdict"], callback["answer"])


def _end_label(attempt: Mapping[str, Any]) -> str:
    """An attempt that was never sent has ended too, and its last step must say so."""
    return STEPS["ended_at"] if attempt["state"] == AttemptState.OVER else labels.STATE_LABELS[attempt["state"]]


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
