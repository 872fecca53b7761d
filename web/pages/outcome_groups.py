"""The outcomes of calls as the pages group them, in the order of the bar: a person, a machine, and why nobody was reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from web.server.i18n import msgid

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class OutcomeGroup:
    """Outcomes that a reader need not tell apart; `label` is a msgid, `key` names its colour."""

    key: str
    label: str
    outcomes: tuple[str, ...]

    def count(self, counts: Mapping[str, int]) -> int:
        """How many of `counts` by outcome are in this group."""
        return sum(counts.get(outcome, 0) for outcome in self.outcomes)


PERSON: Final = OutcomeGroup("person", msgid("Answered"), ("human", "answered"))
MACHINE: Final = OutcomeGroup("machine", msgid("Machines"), ("machine", "fax"))
NO_ANSWER: Final = OutcomeGroup("no-answer", msgid("No answer"), ("no-answer",))
BUSY: Final = OutcomeGroup("busy", msgid("Busy"), ("busy",))
NUMBER: Final = OutcomeGroup("number", msgid("Could not connect"), ("failed",))
HUNG_UP: Final = OutcomeGroup("hung-up", msgid("Hung up before answer"), ("canceled",))
OURS: Final = OutcomeGroup("ours", msgid("Our trouble"), ("refused", "lost"))
GROUPS: Final = (PERSON, MACHINE, NO_ANSWER, BUSY, NUMBER, HUNG_UP, OURS)
GROUP_OF: Final = {outcome: group for group in GROUPS for outcome in group.outcomes}
# Those it may be worth calling again.
UNREACHED: Final = (NO_ANSWER, BUSY)
