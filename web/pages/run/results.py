"""The results of a run: how many people were called, how the calls ended, and when it will be over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from web.operations.reports.run_report import run_detail
from web.pages import formatting
from web.pages.outcome_groups import GROUPS, PERSON, UNREACHED
from web.pages.run.run_leads import not_called_parts
from web.server import i18n
from web.server.i18n import msgid, msgids

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aiohttp import web as http

    from sql.runs.runs import Run
    from web.operations.reports.waits_for import Wait
    from web.pages.outcome_groups import OutcomeGroup
    from web.pages.run.run_leads import Part
    from web.server.i18n import Language

BAR_WIDTH: Final = 1000
NOBODY: Final = msgids(
    "Nobody has been called yet; {total} person is on the list.", "Nobody has been called yet; {total} people are on the list."
)
CALLED: Final = msgid("{called} of {total} called.")
# What is said of each group: for one, and for several.
SAID: Final = {
    "person": msgids("{n} person answered ({share}%)", "{n} people answered ({share}%)"),
    "machine": msgids("{n} machine", "{n} machines"),
    "no-answer": msgids("{n} no answer", "{n} no answer"),
    "busy": msgids("{n} busy", "{n} busy"),
    "number": msgids("{n} could not be connected", "{n} could not be connected"),
    "hung-up": msgids("{n} hung up before answer", "{n} hung up before answer"),
    "ours": msgids("{n} failed on our side", "{n} failed on our side"),
}


class Segment(NamedTuple):
    """A part of the bar in thousandths of its width; `outcomes` is the filter of its leads."""

    group: OutcomeGroup
    leads: int
    start: int
    width: int

    @property
    def outcomes(self) -> str:
        """For the query string of the list of leads."""
        return ",".join(self.group.outcomes)


@dataclass(frozen=True, slots=True)
class Results:
    """`called` counts leads that have had a call with an outcome; `unreached` those that nobody answered; `ends_at` is an estimate."""

    run: Run
    counts: Mapping[str, int]
    waits: list[Wait]
    ends_at: datetime | None
    not_called: Mapping[str, int]

    @property
    def called(self) -> int:
        """Leads with an outcome; one that waits for another call is among them."""
        return sum(self.counts.values())

    @property
    def share(self) -> int:
        """The leads called, in per cent: 100 only when it is all of them, 0 only when it is none."""
        total = self.run.total_leads
        if not self.called or not total:
            return 0
        return min(max(self.called * 100 // total, 1), 100)

    @property
    def answered_share(self) -> int:
        """The share of those called that a person answered, in per cent."""
        return round(PERSON.count(self.counts) * 100 / self.called) if self.called else 0

    @property
    def segments(self) -> list[Segment]:
        """The groups that have leads, side by side; what is left of the bar has not been called."""
        total, found, start = self.run.total_leads or 1, [], 0
        counted = 0
        for group in GROUPS:
            if count := group.count(self.counts):
                counted += count
                end = counted * BAR_WIDTH // total
                found.append(Segment(group, count, start, end - start))
                start = end
        return found

    @property
    def rest(self) -> list[Part]:
        """The leads that have not been called: with the segments, each lead of the run once."""
        return not_called_parts(self.run, self.not_called)

    @property
    def unreached(self) -> int:
        """Leads whose last call was not answered, or busy."""
        return sum(group.count(self.counts) for group in UNREACHED)


async def results_of(request: http.Request, run: Run) -> Results:
    """The results of a run.

    Raises:
        DatabaseUnavailableError: when PostgreSQL is unavailable.
    """
    detail = await run_detail(request, run)
    return Results(run, detail.outcomes, detail.waits, detail.ends_at, detail.not_called)


def sentence(language: Language, results: Results) -> str:
    """How many were called, and how their calls ended, as one sentence or two."""
    total = formatting.figure(language, results.run.total_leads)
    if not results.called:
        return i18n.plural(language, *NOBODY, results.run.total_leads).format(total=total)
    called = i18n.translate(language, CALLED, called=formatting.figure(language, results.called), total=total)
    parts = []
    for group in GROUPS:
        count = group.count(results.counts)
        if count or group is PERSON:
            text = i18n.plural(language, *SAID[group.key], count)
            parts.append(text.format(n=formatting.figure(language, count), share=results.answered_share))
    return f"{called} {', '.join(parts)}."
