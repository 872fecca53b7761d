"""The timeline of one attempt: the steps we recorded ourselves, and each callback of the provider."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from dialer.model import AttemptState
from web.pages import labels
from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from web.server.errors import Text

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
    """A step of a call; `fields` are those of the callback that reported it, None for a step we recorded ourselves; `by` who took it."""

    at: datetime
    label: str
    fields: Mapping[str, object] | None = None
    verdict: str = ""
    answer: int = 0
    by: Text | str | None = None

    @property
    def as_json(self) -> str:
        """The callback, for a developer: its fields, that Twilio had signed them, and what we answered."""
        report = {"received_at": self.at.isoformat(), "signature": "verified", "answer": self.answer, "fields": self.fields}
        return json.dumps(report, ensure_ascii=False, indent=2)

    @property
    def as_curl(self) -> str:
        """A command that sends the fields to the address in $URL as Twilio did, without its signature."""
        fields = (f"--data-urlencode {shlex.quote(f'{name}={value}')}" for name, value in (self.fields or {}).items())
        return " \\\n  ".join(('curl -X POST "$URL"', *fields))


def timeline_of(attempt: Mapping[str, Any]) -> list[Step]:
    """The steps of an attempt in the order they happened."""
    return sorted(_steps(attempt), key=lambda step: step.at)


def _steps(attempt: Mapping[str, Any]) -> Iterator[Step]:
    for column, label in STEPS.items():
        if attempt[column] is not None:
            by = attempt["hanger"] if column == "hang_up_at" else None
            yield Step(_aware(attempt[column]), _end_label(attempt) if column == "ended_at" else label, by=by)
    for callback in attempt["callbacks"]:
        fields = callback["fields"]
        label = labels.CALL_STATUS_LABELS.get(str(fields.get("CallStatus")), msgid("Other"))
        yield Step(callback["received_at"], label, fields, callback["verdict"], callback["answer"])


def _end_label(attempt: Mapping[str, Any]) -> str:
    """An attempt that was never sent has ended too, and its last step must say so."""
    return STEPS["ended_at"] if attempt["state"] == AttemptState.OVER else labels.STATE_LABELS[attempt["state"]]


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
