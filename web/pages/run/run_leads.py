"""The leads of a run, a page at a time: those that have been called first; searched, filtered by how their calls ended, and sorted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from yarl import URL

from dialer.model import JobStatus
from sql.jobs.jobs import JobFilter
from sql.stored_text import storable
from web.operations.job_filter import MAX_SEARCH_CHARACTERS, OUTCOMES, job_search
from web.operations.jobs import list_jobs, start_of_previous_jobs
from web.pages.outcome_groups import GROUPS
from web.server import keys
from web.server.i18n import msgid
from web.server.inputs import optional_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiohttp import web as http

    from sql.runs.runs import Run
    from web.access.auth import Principal

PAGE_LEADS: Final = 50
# Choices of the list besides outcomes: the statuses they mean, None for all.
ALL: Final = "all"
CALLED: Final = "called"
CHOICES: Final = {
    CALLED: (msgid("Called"), tuple(status for status in JobStatus if status is not JobStatus.QUEUED)),
    "line": (msgid("On the line"), (JobStatus.DIALING, JobStatus.CALLING)),
    "queued": (msgid("Still to call"), (JobStatus.QUEUED,)),
    "cancelled": (msgid("Cancelled"), (JobStatus.CANCELLED,)),
    "skipped": (msgid("Left out"), (JobStatus.SKIPPED,)),
    ALL: (msgid("All"), None),
}


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


class Chip(NamedTuple):
    """A choice with its number of leads, None where nobody counts them; `address` is that of the page that shows it."""

    label: str
    number: int | None
    address: str
    is_chosen: bool


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
        statuses = (CHOICES[self.show][1] if self.show else None) or ()
        fields = (("status", ",".join(statuses)), ("outcome", ",".join(self.outcomes)), ("search", self.search))
        return {name: value for name, value in fields if value}

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
    statuses = CHOICES[chosen.show][1] if chosen.show else None
    return JobFilter(statuses, chosen.outcomes or None, await job_search(request, principal, chosen.search))


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


def _chips(run: Run, chosen: LeadsQuery, counts: dict[str, int]) -> Iterator[Chip]:
    kept = {name: value for name, value in (("search", chosen.search), ("sort", chosen.sort)) if value}
    for name, number in ((CALLED, None), ("line", run.in_progress)):
        if number != 0:
            yield _choice(run, chosen, name, number, kept)
    for group in GROUPS:
        if count := group.count(counts):
            address = _link(run, {**kept, "outcome": ",".join(group.outcomes)}).page
            yield Chip(group.label, count, address, chosen.outcomes == group.outcomes)
    for name, number in (("queued", run.queued), ("cancelled", run.cancelled), ("skipped", run.skipped)):
        if number:
            yield _choice(run, chosen, name, number, kept)
    yield _choice(run, chosen, ALL, run.total_leads, kept)


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
