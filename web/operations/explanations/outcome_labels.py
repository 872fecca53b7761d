"""How a call ended, in the words of the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTCOME_LABELS: Final[Mapping[str, str]] = {
    "human": msgid("A person answered"),
    "answered": msgid("Answered"),
    "machine": msgid("Answering machine"),
    "fax": msgid("Fax machine"),
    "completed": msgid("Answered"),
    "busy": msgid("Busy"),
    "no-answer": msgid("No answer"),
    "failed": msgid("Could not connect"),
    "canceled": msgid("Hung up before answer"),
    "refused": msgid("Rejected by the provider"),
    "lost": msgid("Lost by the provider"),
}
