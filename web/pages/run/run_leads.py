"""The leads of a run, a page at a time: those that have been called first; searched, filtered by how their calls ended, and sorted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from yarl import URL

from dialer.model import JobStatus
from sql.jobs.jobs import JobFilter
from sql.stored_text import storable
from web.operations.job_filter import CALLED, MAX_SEARCH_CHARACTERS, NONE, OUTCOMES, job_search
from web.operations.jobs import list_jobs, start_of_previous_jobs
from web.pages.outcome_groups import GROUPS
from web.server import keys
from web.server.i18n import msgid
from web.server.inputs import optional_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiohttp import web as http

    from sql.reports.reports import OutcomeCounts
    from sql.runs.runs import Run
    from web.access.auth import Principal

PAGE_LEADS: Final = 50
# The choices of the list besides one outcome. A lead has been called when a call of it has had an outcome: it is counted by that wherever
# it stands, also while it waits for another call. The parts of the results are those that have not been called.
ALL: Final = "all"


# The columns of the list: what it is sorted by, the heading, and whether it is sorted downwards first.
COLUMNS: Final = (
    ("name", msgid("Name"), False),
    ("phone", msgid("Number"), False),
    ("outcome", msgid("Outcome"), False),
    ("length", msgid("Length"), True),
    ("calls", msgid("Calls"), True),
    ("last", msgid("Last call"), True),
)
SORTS: Final = frozenset(sort for name, _, _ in COLUMNS for sort in (name, f"-{name}"))


class Choice(NamedTuple):
    """A choice of leads: a msgid, and the statuses and the outcomes it means, None for all."""

    label: str
    statuses: tuple[JobStatus, ...] | None = None
    outcomes: tuple[str, ...] | None = None

    @property
    def export(self) -> dict[str, str]:
        """As the filter of an export."""
        words = (CALLED,) if self.outcomes == OUTCOMES else self.outcomes
        return {name: ",".join(found) for name, found in (("status", self.statuses), ("outcome", words)) if found}


# How a counter of the run is called, and how when only a part of it has not been called.
PARTS: Final = {
    "in_progress": ("line", "first-call"),
    "queued": ("queued", "not-called"),
    "cancelled": ("cancelled", "cancelled-before"),
    "skipped": ("skipped", "skipped"),
}
PRECISE: Final = frozenset({"first-call", "not-called", "cancelled-before", "not-known"})
ON_THE_LINE: Final = (JobStatus.DIALING, JobStatus.CALLING)
CHOICES: Final = {
    CALLED: Choice(msgid("Called"), None, OUTCOMES),
    "line": Choice(msgid("On the line"), ON_THE_LINE),
    "first-call": Choice(msgid("First call on the line"), ON_THE_LINE, (NONE,)),
    "queued": Choice(msgid("Still to call"), (JobStatus.QUEUED,)),
    "not-called": Choice(msgid("Not called yet"), (JobStatus.QUEUED,), (NONE,)),
    "again": Choice(msgid("Waiting to call again"), (JobStatus.QUEUED,), OUTCOMES),
    "cancelled": Choice(msgid("Cancelled"), (JobStatus.CANCELLED,)),
    "cancelled-before": Choice(msgid("Cancelled before a call"), (JobStatus.CANCELLED,), (NONE,)),
    "skipped": Choice(msgid("Left out"), (JobStatus.SKIPPED,)),
    "not-known": Choice(msgid("Outcome not known"), (JobStatus.COMPLETED, JobStatus.FAILED), (NONE,)),
    ALL: Choice(msgid("All")),
}


class Chip(NamedTuple):
    """A choice with its number of leads, None where nobody counts them; `address` is that of the page that shows it."""

    label: str
    number: int | None
    address: str
    is_chosen: bool


class Part(NamedTuple):
    """Leads that have not been called: `show` is the choice that lists just these, `label` a msgid; `key` stays when the choice changes."""

    key: str
    show: str
    label: str
    leads: int


class Link(NamedTuple):
    """A link to a page of leads: the address of the whole page, and that of the fragment that replaces the list."""

    page: str
    fragment: str


class Heading(NamedTuple):
    """The heading of a column: `order` is how the list is sorted by it now, as aria-sort says it, or empty; `link` sorts it otherwise."""

    name: str
    label: str
    order: str
    link: Link


@dataclass(frozen=True, slots=True)
class LeadsQuery:
    """What the query string asks for: a choice, or outcomes separated by commas, a search, and an order (as in sql/jobs/jobs.py)."""

    show: str
    outcomes: tuple[str, ...]
    search: str
    sort: str = ""

    @property
    def is_unfiltered(self) -> bool:
        """True for the lists that a reader sees without having asked for anything."""
        return self.show in {CALLED, ALL} and not self.search

    @property
    def export(self) -> dict[str, str]:
        """As the filter of an export."""
        chosen = CHOICES[self.show].export if self.show else {"outcome": ",".join(self.outcomes)}
        return {**chosen, **({"search": self.search} if self.search else {})}

    @property
    def query(self) -> dict[str, str]:
        """As a query string."""
        fields = (("show", self.show), ("outcome", ",".join(self.outcomes)), ("search", self.search), ("sort", self.sort))
        return {name: value for name, value in fields if value}


def chosen_of(fields: Mapping[str, str], run: Run) -> LeadsQuery:
    """The choice in a query string or a form; without one the leads that have been called, or all when none has."""
    outcomes = tuple(word for word in fields.get("outcome", "").split(",") if word in OUTCOMES)
    search = fields.get("search", "").strip()[:MAX_SEARCH_CHARACTERS]
    show = fields.get("show", "")
    if outcomes:
        show = ""
    elif show not in CHOICES:
        show = CALLED if run.started_at and not search else ALL
    sort = fields.get("sort", "")
    return LeadsQuery(show, outcomes, search if storable(search) else "", sort if sort in SORTS else "")


async def filter_of(request: http.Request, principal: Principal, chosen: LeadsQuery) -> JobFilter:
    """The filter of the database for a choice."""
    search = await job_search(request, principal, chosen.search)
    if not chosen.show:
        return JobFilter(None, chosen.outcomes or None, search)
    return JobFilter(CHOICES[chosen.show].statuses, CHOICES[chosen.show].outcomes, search)


async def leads_values(request: http.Request, principal: Principal, run: Run) -> dict[str, Any]:
    """What the template of the leads needs."""
    chosen = chosen_of(request.query, run)
    after = optional_id(request.query.get("after", "")) or 0
    wanted = await filter_of(request, principal, chosen)
    jobs, more = await list_jobs(request, principal, run.run_id, wanted, after=after, limit=PAGE_LEADS, sort=chosen.sort)
    before = await start_of_previous_jobs(request, principal, run.run_id, wanted, after=after, limit=PAGE_LEADS, sort=chosen.sort)
    counts = await request.app[keys.RESULT_COUNTS].outcomes(run)
    return {
        "run": run,
        "jobs": jobs,
        "chosen": chosen,
        "chips": list(_chips(run, chosen, counts)),
        "headings": [_heading(run, chosen, *column) for column in COLUMNS],
        "matching": await request.app[keys.JOBS].count(principal.business_id, run.run_id, wanted) if after or more else len(jobs),
        "all_leads": ALL,
        "export": chosen.export,
        "previous": None if before is None else _link(run, {**chosen.query, **({"after": str(before)} if before else {})}),
        "next": _link(run, {**chosen.query, "after": str(jobs[-1].position)}) if more else None,
    }


def _chips(run: Run, chosen: LeadsQuery, counts: OutcomeCounts) -> Iterator[Chip]:
    kept = {name: value for name, value in (("search", chosen.search), ("sort", chosen.sort)) if value}
    for name, number in ((CALLED, sum(counts.called.values())), ("line", run.in_progress)):
        if name == CALLED or number:
            yield _choice(run, chosen, name, number, kept)
    for group in GROUPS:
        if count := group.count(counts.called):
            address = _link(run, {**kept, "outcome": ",".join(group.outcomes)}).page
            yield Chip(group.label, count, address, chosen.outcomes == group.outcomes)
    again = max(run.queued - counts.not_called.get("queued", 0), 0)
    for name, number in (("again", again), ("queued", run.queued), ("cancelled", run.cancelled), ("skipped", run.skipped)):
        if number:
            yield _choice(run, chosen, name, number, kept)
    # A part of the results is a chip while it is shown.
    for part in not_called_parts(run, counts.not_called):
        if part.show == chosen.show and part.show in PRECISE:
            yield _choice(run, chosen, part.show, part.leads, kept)
    yield _choice(run, chosen, ALL, run.total_leads, kept)


def not_called_parts(run: Run, not_called: Mapping[str, int]) -> list[Part]:
    """The leads of the run that have not been called, in parts of which no two share a lead, nor does one share a lead with an outcome."""
    counters = {"in_progress": run.in_progress, "queued": run.queued, "cancelled": run.cancelled}
    found = []
    for counted, (plain, precise) in PARTS.items():
        if leads := not_called.get(counted, 0):
            show = plain if leads == counters.get(counted, leads) else precise
            found.append(Part(plain, show, CHOICES[show].label, leads))
    if leads := not_called.get("completed", 0) + not_called.get("failed", 0):
        found.append(Part("not-known", "not-known", CHOICES["not-known"].label, leads))
    return found


def _choice(run: Run, chosen: LeadsQuery, name: str, number: int | None, kept: dict[str, str]) -> Chip:
    return Chip(CHOICES[name][0], number, _link(run, {**kept, "show": name}).page, chosen.show == name)


def _heading(run: Run, chosen: LeadsQuery, name: str, label: str, downwards: bool) -> Heading:  # noqa: FBT001 - a row of COLUMNS
    """Its link sorts by the column, then the other way round, then as the leads are dialled."""
    first, second = (f"-{name}", name) if downwards else (name, f"-{name}")
    order = {name: "ascending", f"-{name}": "descending"}.get(chosen.sort, "")
    query = replace(chosen, sort={first: second, second: ""}.get(chosen.sort, first)).query
    return Heading(name, label, order, _link(run, query))


def _link(run: Run, query: dict[str, str]) -> Link:
    page = URL(f"/runs/{run.run_id}").with_query(query)
    return Link(f"{page}#leads", str(page.with_path(f"/runs/{run.run_id}/leads").with_query(query)))
